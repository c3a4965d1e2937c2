"""Small stills for the page: posters, first pages, waveforms."""

import array
import base64
import io
import sys
import wave
from itertools import pairwise
from pathlib import Path
from typing import Any

from bottega.engines.base import require
from bottega.engines.pdfium import pdfium

BARS = 96
WIDE = 960  # pixels, of an inlined still


def data_uri(data: bytes, media_type: str) -> str:
    """Bytes as a ``data:`` address."""
    return f"data:{media_type};base64,{base64.b64encode(data).decode('ascii')}"


def raster_size(path: Path) -> tuple[int, int]:
    """Width and height in pixels; zeros when the file does not open."""
    pillow: Any = require("PIL.Image", extra="all")
    try:
        with pillow.open(path) as picture:
            return picture.size
    except OSError:
        return (0, 0)


def poster(path: Path) -> str:
    """A film's still as a JPEG data URI, at most `WIDE` pixels wide; empty when it does not open."""
    pillow: Any = require("PIL.Image", extra="all")
    try:
        with pillow.open(path) as picture:
            still = picture.convert("RGB")
    except OSError:
        return ""
    still.thumbnail((WIDE, WIDE))
    out = io.BytesIO()
    still.save(out, "JPEG", quality=82, optimize=True)
    return data_uri(out.getvalue(), "image/jpeg")


def first_page(path: Path) -> tuple[str, int, int, int]:
    """First page of a PDF: PNG data URI in at most 128 colours, page count, width and height in pixels."""
    with pdfium() as library:
        try:
            document = library.PdfDocument(path)
        except library.PdfiumError:
            return ("", 0, 0, 0)
        with document:
            count = len(document)
            page = document[0]
            scale = WIDE / max(page.get_width(), 1)
            picture = page.render(scale=min(scale, 2.0)).to_pil().convert("RGB")
    out = io.BytesIO()
    picture.quantize(128).save(out, "PNG", optimize=True)
    return (data_uri(out.getvalue(), "image/png"), count, picture.width, picture.height)


def waveform(path: Path) -> tuple[tuple[float, ...], float]:
    """Peaks of 16-bit PCM in `BARS` equal parts, 0 to 1 of the loudest, and the length in seconds."""
    try:
        with wave.open(str(path), "rb") as sound:
            if sound.getsampwidth() != 2:
                return ((), sound.getnframes() / sound.getframerate())
            samples = array.array("h", sound.readframes(sound.getnframes()))
            seconds = sound.getnframes() / sound.getframerate()
    except (wave.Error, EOFError):
        return ((), 0.0)
    if sys.byteorder == "big":
        samples.byteswap()
    if not samples:
        return ((), 0.0)
    edges = [len(samples) * index // BARS for index in range(BARS + 1)]
    peaks = [max(map(abs, samples[a:b:7]), default=0) for a, b in pairwise(edges)]
    loudest = max(peaks) or 1
    return (tuple(round(peak / loudest, 3) for peak in peaks), seconds)
