"""Every bad source gets one clear error: what, where, what to do."""

import io
import os
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import docx
import openpyxl
import pytest
import typst

from bottega.core.errors import UnreadableSource
from bottega.retrieval.convert import Limits, convert

PDF = typst.compile(b"#for i in range(4) [= Page #i\n#lorem(120)\n#pagebreak()]\nEnd.")


def saved(file: Any) -> bytes:
    out = io.BytesIO()
    file.save(out)
    return out.getvalue()


def word(text: str = "Rinse twice.") -> bytes:
    file: Any = docx.Document()
    file.add_paragraph(text)
    return saved(file)


def with_member(data: bytes, name: str, content: bytes, *, replace: bool = False) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new:
        for member in old.infolist():
            if not (replace and member.filename == name):
                new.writestr(member, old.read(member))
        new.writestr(name, content)
    return out.getvalue()


def encrypted_pdf() -> bytes:
    """The smallest PDF that asks for a password: no password fits these check values."""
    objects = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 9 9]>>",
        b"<</Filter/Standard/V 1/R 2/P -4/O<" + b"4f" * 32 + b">/U<" + b"55" * 32 + b">>>",
    ]
    data = b"%PDF-1.4\n"
    places: list[int] = []
    for number, body in enumerate(objects, start=1):
        places.append(len(data))
        data += b"%d 0 obj" % number + body + b"endobj\n"
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    trailer = b"trailer<</Size 5/Root 1 0 R/Encrypt 4 0 R/ID[<00><00>]>>\nstartxref\n%d\n%%%%EOF" % len(data)
    return data + b"xref\n0 5\n0000000000 65535 f \n" + table + trailer


def bomb() -> bytes:
    return with_member(word(), "word/media/zeros.xml", bytes(40_000_000))


def lying_bomb() -> bytes:
    """A member whose headers say 1,000 bytes and whose data expand to 40 MB."""
    data = bytearray(bomb())
    real = struct.pack("<I", 40_000_000)
    while (place := data.find(real)) >= 0:
        data[place : place + 4] = struct.pack("<I", 1_000)
    return bytes(data)


def crowd() -> bytes:
    out = io.BytesIO(word())
    with zipfile.ZipFile(out, "a") as archive:
        for number in range(6_000):
            archive.writestr(f"m{number}", b"")
    return out.getvalue()


def entities(encoding: str) -> bytes:
    text = '<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "aa"><!ENTITY b "&a;&a;">]><x>&b;</x>'
    return with_member(word(), "word/document.xml", text.encode(encoding), replace=True)


def uncomputed() -> bytes:
    book: Any = openpyxl.Workbook()
    book.active.title = "Sum"
    book.active.append(["a", "b"])
    book.active.append([1, "=A2*2"])
    return saved(book)


CASES: dict[str, tuple[str, Callable[[], bytes], str]] = {
    "empty": ("a.md", lambda: b"", "the file is empty"),
    "white space": ("a.txt", lambda: b" \n\t\r\n", "nothing but white space"),
    "invisible": ("a.txt", lambda: "\u200b\ufeff".encode(), "holds no text"),
    "no content": ("a.html", lambda: b"<html><script>x()</script></html>", "holds no text"),
    "empty document": ("a.docx", lambda: word(""), "holds no text"),
    "empty workbook": ("a.xlsx", lambda: saved(openpyxl.Workbook()), "holds no text"),
    "not a pdf inside": ("a.pdf", lambda: b"%PDF-1.7\nnothing\n%%EOF", "damaged or cut off"),
    "cut pdf": ("a.pdf", lambda: PDF[: len(PDF) // 2], "damaged or cut off"),
    "encrypted pdf": ("a.pdf", encrypted_pdf, "asks for a password"),
    "scanned pdf": (
        "a.pdf",
        lambda: typst.compile(b"#rect(width: 3cm, height: 2cm, fill: black)"),
        "no text layer",
    ),
    "picture named pdf": ("a.pdf", lambda: b"\x89PNG\r\n\x1a\n", "image/png"),
    "unsupported": (
        "a.zip",
        lambda: with_member(word(), "x", b"")[:0] + b"PK\x05\x06" + bytes(18),
        "not supported",
    ),
    "binary": ("a.dat", lambda: bytes(range(256)), "not supported"),
    "undecodable": ("a.txt", lambda: b"caf\x81\x8d", "neither UTF-8 nor Windows-1252"),
    "cut docx": ("a.docx", lambda: word()[:-400], "application/zip"),
    "damaged docx": (
        "a.docx",
        lambda: with_member(word(), "word/document.xml", b"<w:document", replace=True),
        "damaged",
    ),
    "zip bomb": ("a.docx", bomb, "zip bomb"),
    "lying zip bomb": ("a.docx", lying_bomb, "damaged or cut off"),
    "many members": ("a.docx", crowd, "members in the archive"),
    "path traversal": ("a.docx", lambda: with_member(word(), "../../evil.xml", b"x"), "leaves the archive"),
    "entities": ("a.docx", lambda: entities("utf-8"), "XML entities"),
    "entities in UTF-16": ("a.docx", lambda: entities("utf-16"), "XML entities"),
    "entities in HTML": (
        "a.html",
        lambda: b'<!DOCTYPE html [<!ENTITY a "aa">]><html><p>&a;</p></html>',
        "XML entities",
    ),
    "formulas without values": ("a.xlsx", uncomputed, "Sum!B2"),
    "broken quotes": ("a.csv", lambda: b'a,b\n"1,2\n', "not a readable table"),
    "picture": ("a.png", lambda: b"\x89PNG\r\n\x1a\n" + bytes(30), "picture is damaged"),
    "sound": ("a.wav", lambda: b"RIFF\x24\x00\x00\x00WAVEfmt ", "no speech recognition"),
}


@pytest.mark.parametrize("case", CASES)
async def test_bad_files(case: str, tmp_path: Path) -> None:
    name, make, said = CASES[case]
    path = tmp_path / name
    path.write_bytes(make())
    with pytest.raises(UnreadableSource) as caught:
        await convert(path)
    assert said in caught.value.message
    assert caught.value.where == str(path)
    assert caught.value.remedy
    assert (caught.value.exit_code, caught.value.http_status) == (2, 422)


async def test_a_file_of_2_gb_is_refused_without_reading_it(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    with path.open("wb") as file:
        file.truncate(2_000_000_000)
    with pytest.raises(UnreadableSource, match="2,000 MB; the limit for a source is 200 MB"):
        await convert(path)


@pytest.mark.parametrize(
    ("name", "data", "limits", "said"),
    [
        ("a.pdf", PDF, Limits(pages=3), "5 pages; the limit is 3"),
        ("a.pdf", PDF, Limits(characters=50), "more than 50 characters"),
        ("a.txt", b"word " * 20, Limits(characters=50), "100 characters of text; the limit is 50"),
        ("a.docx", word("word " * 20), Limits(characters=50), "more than 50 characters"),
        ("a.docx", word(), Limits(archive_bytes=1_000), "expands"),
    ],
)
async def test_limits(name: str, data: bytes, limits: Limits, said: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(UnreadableSource, match=said):
        await convert(tmp_path / name, limits=limits)


async def test_missing_folder_and_pipe(tmp_path: Path) -> None:
    with pytest.raises(UnreadableSource, match="no such file"):
        await convert(tmp_path / "missing.md")
    with pytest.raises(UnreadableSource, match="a folder"):
        await convert(tmp_path)
    os.mkfifo(tmp_path / "pipe.md")
    with pytest.raises(UnreadableSource, match="not a regular file"):
        await convert(tmp_path / "pipe.md")


async def test_a_loop_of_links(tmp_path: Path) -> None:
    (tmp_path / "a.md").symlink_to(tmp_path / "b.md")
    (tmp_path / "b.md").symlink_to(tmp_path / "a.md")
    with pytest.raises(UnreadableSource, match="cannot be read"):
        await convert(tmp_path / "a.md")


async def test_no_permission(tmp_path: Path) -> None:
    path = tmp_path / "a.md"
    path.write_text("text")
    path.chmod(0)
    was = os.geteuid()
    if was == 0:
        os.seteuid(65534)  # root may read everything
    try:
        with pytest.raises(UnreadableSource, match="may not be read"):
            await convert(path)
    finally:
        os.seteuid(was)
