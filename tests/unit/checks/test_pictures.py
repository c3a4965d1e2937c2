"""Each picture check accepts its gold and refuses its counter-example."""

import io
import json
import struct
import wave
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageDraw

from bottega.checks.base import Subject
from bottega.checks.contrast import Contrast, ContrastOptions
from bottega.checks.decodes import Decodes, DecodesOptions
from bottega.checks.legible import Legible, LegibleOptions
from bottega.checks.not_blank import NotBlank, NotBlankOptions
from bottega.core.artifact import Artifact
from bottega.core.canonical import digest_bytes
from bottega.core.request import Finished, Request


def subject(tmp_path: Path, data: bytes, media_type: str, **more: Any) -> Subject:
    path = tmp_path / "file"
    path.write_bytes(data)
    artifact = Artifact(sha256=digest_bytes(data), media_type=media_type, size=len(data))
    return Subject(artifact=artifact, path=path, port="out", **more)


def drawn(
    form: str = "PNG", size: tuple[int, int] = (320, 180), ink: str = "#202020", ground: str = "#ffffff"
) -> bytes:
    picture = Image.new("RGB", size, ground)
    pen = ImageDraw.Draw(picture)
    for row in range(6):
        pen.rectangle((20, 20 + row * 24, 60 + row * 35, 32 + row * 24), fill=ink)
    out = io.BytesIO()
    picture.save(out, form)
    return out.getvalue()


def sound() -> bytes:
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(24000)
        file.writeframes(b"\1\2" * 2400)
    return out.getvalue()


PDF = b"%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj\n3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 99 99]>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n"
SVG = b'<svg xmlns="http://www.w3.org/2000/svg" width="40" height="20" viewBox="0 0 40 20"><circle cx="9" cy="9" r="5"/></svg>'
GOLD = {
    "image/png": drawn(),
    "image/jpeg": drawn("JPEG"),
    "image/svg+xml": SVG,
    "application/pdf": PDF,
    "audio/wav": sound(),
    "application/json": b'{"a": [1, 2]}',
    "application/vnd.bottega.passages+json": b'{"query": "", "passages": []}',
    "text/csv": b"a,b\n1,2\n",
    "text/html": b"<!doctype html><html><head><title>t</title></head><body><p>x</p></body></html>",
    "text/vtt": b"WEBVTT\n\n00:00.000 --> 00:01.000\nHello\n",
    "text/markdown": "# Été\n".encode(),
    "text/plain": b"words",
}


async def decodes(subject: Subject) -> str:
    return (await Decodes().judge(subject, DecodesOptions())).outcome


@pytest.mark.parametrize("media_type", sorted(GOLD))
async def test_decodes_accepts_whole_files(tmp_path: Path, media_type: str) -> None:
    assert await decodes(subject(tmp_path, GOLD[media_type], media_type)) == "pass"


@pytest.mark.parametrize("media_type", sorted(set(GOLD) - {"text/markdown", "text/plain", "text/csv"}))
async def test_decodes_refuses_truncated_files(tmp_path: Path, media_type: str) -> None:
    data = GOLD[media_type]
    assert await decodes(subject(tmp_path, data[: len(data) * 6 // 10], media_type)) == "block"


@pytest.mark.parametrize(
    ("data", "media_type"),
    [
        (GOLD["image/png"], "image/jpeg"),
        (GOLD["image/jpeg"], "image/png"),
        (b"a,b\n1\n", "text/csv"),
        (b"\xff\xfe\0", "text/plain"),
        (b"  \n", "text/markdown"),
        (b'{"a": NaN}', "application/json"),
        (b'<svg xmlns="http://www.w3.org/2000/svg"/>', "image/svg+xml"),
        (SVG.replace(b"<circle", b'<image href="file:///etc/passwd"/><circle'), "image/svg+xml"),
        (GOLD["text/plain"], "application/x-unknown"),
        (b"not a film", "video/mp4"),
    ],
)
async def test_decodes_refuses_mislabelled_files(tmp_path: Path, data: bytes, media_type: str) -> None:
    assert await decodes(subject(tmp_path, data, media_type)) == "block"


async def test_decodes_refuses_a_damaged_picture(tmp_path: Path) -> None:
    data = bytearray(GOLD["image/png"])
    data[len(data) // 2] ^= 0xFF
    assert await decodes(subject(tmp_path, bytes(data), "image/png")) == "block"


async def test_decodes_measures_the_asked_size(tmp_path: Path) -> None:
    png = GOLD["image/png"]
    assert await decodes(subject(tmp_path, png, "image/png", params={"width": 160, "height": 90})) == "pass"
    assert await decodes(subject(tmp_path, png, "image/png", params={"width": 300})) == "block"
    assert await decodes(subject(tmp_path, png, "image/png", details={"width": 321})) == "block"


async def not_blank(subject: Subject) -> str:
    return (await NotBlank().judge(subject, NotBlankOptions())).outcome


async def test_not_blank_accepts_drawings(tmp_path: Path) -> None:
    assert await not_blank(subject(tmp_path, drawn(), "image/png")) == "pass"
    assert await not_blank(subject(tmp_path, SVG, "image/svg+xml")) == "pass"


@pytest.mark.parametrize("speck", [False, True])
async def test_not_blank_refuses_one_colour(tmp_path: Path, speck: bool) -> None:
    picture = Image.new("RGB", (400, 300), "#3050a0")
    if speck:
        picture.putpixel((200, 150), (255, 255, 255))
    out = io.BytesIO()
    picture.save(out, "PNG")
    assert await not_blank(subject(tmp_path, out.getvalue(), "image/png")) == "block"


async def test_not_blank_flags_a_bare_gradient(tmp_path: Path) -> None:
    rows = b"".join(b"\0" + bytes(x * 255 // 511 for x in range(512)) for _ in range(256))
    chunks = [
        (b"IHDR", struct.pack(">IIBBBBB", 512, 256, 8, 0, 0, 0, 0)),
        (b"IDAT", zlib.compress(rows)),
        (b"IEND", b""),
    ]
    png = b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        for name, body in chunks
    )
    assert await not_blank(subject(tmp_path, png, "image/png")) != "pass"


def lettered(ink: str, ground: str) -> tuple[bytes, dict[str, Any]]:
    picture = Image.new("RGB", (400, 120), ground)
    ImageDraw.Draw(picture).text((20, 30), "Two nights", fill=ink, font_size=48)
    out = io.BytesIO()
    picture.save(out, "PNG")
    text = {"text": "Two nights", "box": [20, 34, 280, 84], "colour": ink, "contrast": 21.0}
    return out.getvalue(), {"texts": [text]}


@pytest.mark.parametrize(
    ("ink", "ground", "outcome"),
    [("#111111", "#ffffff", "pass"), ("#808080", "#ffffff", "flag"), ("#c0c0c0", "#ffffff", "block")],
)
async def test_contrast_is_measured_not_believed(tmp_path: Path, ink: str, ground: str, outcome: str) -> None:
    png, details = lettered(ink, ground)
    verdict = await Contrast().judge(subject(tmp_path, png, "image/png", details=details), ContrastOptions())
    assert verdict.outcome == outcome, verdict


async def test_contrast_blocks_text_that_is_not_there(tmp_path: Path) -> None:
    png, details = lettered("#ffffff", "#ffffff")
    details["texts"][0]["colour"] = "#111111"
    verdict = await Contrast().judge(subject(tmp_path, png, "image/png", details=details), ContrastOptions())
    assert (verdict.outcome, verdict.evidence["absent"]) == ("block", ["Two nights"])


@pytest.mark.parametrize(
    ("read", "outcome", "missing"),
    [
        ("ECLAIREZ vos nuits\nen pleine nature", "pass", []),
        ("Eclairezvos nuits en", "flag", ["pleine", "nature"]),
        ("some other words", "block", ["eclairez", "vos", "nuits", "en", "pleine", "nature"]),
    ],
)
async def test_legible_wants_the_words_back(
    tmp_path: Path, read: str, outcome: str, missing: list[str]
) -> None:
    asked: list[Request] = []

    async def ask(request: Request) -> Sequence[Finished]:
        asked.append(request)
        data = json.dumps({"text": read, "lines": []}).encode()
        return [Finished(port="text", media_type="application/json", data=data)]

    details = {"texts": [{"text": "Éclairez vos nuits en pleine nature"}]}
    picture = subject(tmp_path, drawn(), "image/png", details=details, ask=ask)
    verdict = await Legible().judge(picture, LegibleOptions())
    assert (verdict.outcome, verdict.evidence["missing"]) == (outcome, missing)
    assert asked[0].engine == "ocr" and asked[0].parts[0].artifact == picture.artifact


async def test_legible_blocks_when_nothing_can_read(tmp_path: Path) -> None:
    details = {"texts": [{"text": "words"}]}
    verdict = await Legible().judge(
        subject(tmp_path, drawn(), "image/png", details=details), LegibleOptions()
    )
    assert verdict.outcome == "block"
