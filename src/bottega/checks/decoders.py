"""Decode a file from its first byte to its last, by media type; what a decoder returns is what it measured."""

import csv
import io
import json
import re
import subprocess
import wave
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from bottega.engines.base import require
from bottega.engines.layout.scene import rasterise
from bottega.engines.pdfium import pdfium

Facts = dict[str, Any]


class Undecodable(Exception):
    """The file is not, or not wholly, what its media type says."""


def picture(path: Path, form: str) -> Facts:
    """Every pixel of a raster picture; the container must be the one named."""
    images: Any = require("PIL.Image", extra="all")
    try:
        with images.open(path) as image:
            if image.format != form:
                raise Undecodable(f"the file is {image.format}, not {form}")
            image.load()
            return {"width": image.width, "height": image.height}
    except (OSError, SyntaxError, ValueError) as error:
        raise Undecodable(f"not a whole {form}: {error}") from error


def svg(path: Path) -> Facts:
    """Well-formed XML without a document type, with a size, that a renderer can draw."""
    text = _utf8(path)
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise Undecodable("the SVG declares a document type")
    try:
        root = ElementTree.fromstring(text)
    except ElementTree.ParseError as error:
        raise Undecodable(f"not well-formed XML: {error}") from error
    if root.tag.rpartition("}")[2] != "svg":
        raise Undecodable(f"the root element is {root.tag}, not svg")
    outside = [
        link for link in re.findall(r"""href=["']([^"']*)""", text) if not link.startswith(("#", "data:"))
    ]
    if outside:
        raise Undecodable(f"the SVG refers to a file outside: {outside[0]}")
    box = [float(number) for number in root.get("viewBox", "0 0 0 0").replace(",", " ").split()]
    width, height = (float(re.sub(r"[a-z%]+$", "", root.get(name) or "") or box[place]) for name, place in (("width", 2), ("height", 3)))  # fmt: skip
    if width <= 0 or height <= 0:
        raise Undecodable("the SVG has no size")
    try:
        rasterise(text, 64, 64)
    except RuntimeError as error:
        raise Undecodable(f"the SVG cannot be drawn: {error}") from error
    return {"width": round(width), "height": round(height)}


def pdf(path: Path) -> Facts:
    """Header, end mark, and every page drawn small."""
    data = path.read_bytes()
    if not data.startswith(b"%PDF-") or b"%%EOF" not in data[-1024:]:
        raise Undecodable("the PDF has no header or no end")
    with pdfium() as library:
        try:
            with library.PdfDocument(data) as document:
                pages = len(document)
                for index in range(pages):
                    document[index].render(scale=0.2)
        except library.PdfiumError as error:
            raise Undecodable(f"the PDF does not open: {error}") from error
    if not pages:
        raise Undecodable("the PDF has no pages")
    return {"pages": pages}


def wav(path: Path) -> Facts:
    """All the frames that the header promises."""
    try:
        with wave.open(str(path), "rb") as sound:
            frames, wide = sound.getnframes(), sound.getnchannels() * sound.getsampwidth()
            held = len(sound.readframes(frames))
            rate = sound.getframerate()
    except (wave.Error, EOFError) as error:
        raise Undecodable(f"not a PCM WAV file: {error}") from error
    if held != frames * wide or not frames:
        raise Undecodable(f"the WAV file holds {held} of {frames * wide} bytes of sound")
    return {"seconds": round(frames / rate, 3), "sample_rate": rate}


def media(path: Path) -> Facts:
    """Every frame of video and sound, through FFmpeg, stopping at the first error."""
    ffmpeg: Any = require("imageio_ffmpeg", extra="video")
    command = [
        ffmpeg.get_ffmpeg_exe(),
        "-nostdin",
        "-hide_banner",
        "-xerror",
        "-threads",
        "2",
        "-i",
        str(path),
        "-f",
        "null",
        "-",
    ]
    run = subprocess.run(command, capture_output=True, check=False, timeout=540)
    said = run.stderr.decode("utf-8", "replace")
    faults = [
        line
        for line in said.splitlines()
        if re.search(r"partial file|error|invalid|corrupt|truncat", line, re.IGNORECASE)
    ]
    if run.returncode or faults:
        raise Undecodable(f"FFmpeg stops: {(faults or said.splitlines() or ['no reason given'])[-1].strip()}")
    size = re.search(r"Video: .*?(\d{2,5})x(\d{2,5})", said)
    span = re.search(r"Duration: (\d+):(\d+):([\d.]+)", said)
    facts: Facts = {"width": int(size.group(1)), "height": int(size.group(2))} if size else {}
    if span:
        facts["seconds"] = round(
            int(span.group(1)) * 3600 + int(span.group(2)) * 60 + float(span.group(3)), 2
        )
    return facts


def json_text(path: Path) -> Facts:
    """One JSON document without NaN."""
    try:
        document = json.loads(_utf8(path), parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        raise Undecodable(f"not JSON: {error}") from error
    return {"kind": type(document).__name__}


def csv_text(path: Path) -> Facts:
    """A heading, and rows of the same length."""
    rows = [row for row in csv.reader(io.StringIO(_utf8(path))) if row]
    uneven = [index for index, row in enumerate(rows) if len(row) != len(rows[0])]
    if not rows or uneven:
        raise Undecodable(
            f"row {uneven[0]} has another length than the heading" if uneven else "the table is empty"
        )
    return {"rows": len(rows) - 1, "columns": len(rows[0])}


def html(path: Path) -> Facts:
    """A document from ``<html`` to ``</html>``, with every script and style closed."""
    text = _utf8(path)
    open_tags: list[str] = []

    class Reader(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            if tag in ("html", "head", "body", "script", "style", "title"):
                open_tags.append(tag)

        def handle_endtag(self, tag: str) -> None:
            if tag in open_tags:
                open_tags.remove(tag)

    reader = Reader()
    reader.feed(text)
    reader.close()
    if "<html" not in text.lower() or open_tags:
        raise Undecodable(f"not a whole page: {', '.join(open_tags) or 'html'} is missing or not closed")
    return {"characters": len(text)}


def vtt(path: Path) -> Facts:
    """WebVTT with cues in order, each with words."""
    text = _utf8(path)
    stamp = r"(?:\d+:)?\d\d:\d\d\.\d{3}"
    cues = re.findall(rf"^({stamp}) --> ({stamp}).*\n(.+)", text, re.MULTILINE)
    if not text.startswith("WEBVTT") or not cues or text.count("-->") != len(cues):
        raise Undecodable("not WebVTT with whole cues")
    return {"cues": len(cues)}


def plain(path: Path) -> Facts:
    """UTF-8 with words in it."""
    text = _utf8(path)
    if not text.strip():
        raise Undecodable("the text is empty")
    return {"characters": len(text)}


DECODERS: dict[str, Callable[[Path], Facts]] = {
    "image/png": lambda path: picture(path, "PNG"),
    "image/jpeg": lambda path: picture(path, "JPEG"),
    "image/webp": lambda path: picture(path, "WEBP"),
    "image/svg+xml": svg,
    "application/pdf": pdf,
    "audio/wav": wav,
    "application/json": json_text,
    "text/csv": csv_text,
    "text/html": html,
    "text/vtt": vtt,
    "text/markdown": plain,
    "text/plain": plain,
    "video/mp4": media,
    "audio/mpeg": media,
    "audio/flac": media,
    "audio/ogg": media,
    "audio/mp4": media,
}


def decoder(media_type: str) -> Callable[[Path], Facts] | None:
    """The decoder of a media type, if there is one."""
    return json_text if media_type.endswith("+json") else DECODERS.get(media_type)


def _utf8(path: Path) -> str:
    try:
        text = path.read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        raise Undecodable(f"not UTF-8 at byte {error.start}") from error
    if "\0" in text:
        raise Undecodable("the text holds NUL characters")
    return text


def _no_constant(name: str) -> float:
    raise Undecodable(f"{name} is not JSON")
