"""Pictures: their text by the engine `ocr`."""

import asyncio
import io
import json
import math
import warnings
from collections.abc import Iterator
from typing import Any

from bottega.core.errors import EngineFailed, UnreadableSource
from bottega.core.passage import Box, PrintedLine
from bottega.core.request import Part, Request
from bottega.engines.base import require
from bottega.retrieval.chunk import Block, clean
from bottega.retrieval.convert.pdf_lines import around
from bottega.retrieval.convert.reading import Pages, Reading

_SURE = 0.5  # lines recognised with less confidence are left out


async def read(reading: Reading) -> Pages:
    """One page for each picture in the file (TIFF may hold several), one block for lines that stand together.

    Raises:
        UnreadableSource: when a picture does not decode, is too large, or none holds text; for too many pages.
    """
    count = _check(reading)
    if count == 1:
        return [await recognise(reading, reading.data, reading.media_type, "the picture")]
    if count > reading.limits.ocr_pages:
        raise reading.refuse(
            f"{count} pictures in one file; at most {reading.limits.ocr_pages} are recognised",
            "split the file",
        )
    return [
        await recognise(
            reading, await asyncio.to_thread(_frame, reading, index), "image/png", f"page {index + 1}"
        )
        for index in range(count)
    ]


async def recognise(
    reading: Reading, data: bytes, media_type: str, what: str, scale: float = 1.0
) -> list[Block]:
    """The text of a picture, as blocks with their places, in units of ``scale`` pixels.

    Raises:
        UnreadableSource: when no engine is at hand, or it fails.
    """
    if reading.ask is None or reading.store is None:
        raise reading.refuse(
            f"{what} has no text layer and no character recognition is at hand",
            "pip install 'bottega[ocr]', or give the text as a document",
        )
    part = Part(port="image", name=reading.name, artifact=reading.store(data, media_type))
    try:
        files = await reading.ask(Request(engine="ocr", parts=(part,)))
    except EngineFailed as error:
        raise reading.refuse(f"{what} could not be recognised: {error.message}", error.remedy) from error
    found: dict[str, Any] = json.loads(next((one.data for one in files if one.data), b"{}"))
    lines: list[dict[str, Any]] = [line for line in found.get("lines", ()) if line["confidence"] >= _SURE]
    return list(_together(lines, scale))


def _together(lines: list[dict[str, Any]], scale: float) -> Iterator[Block]:
    """Join lines whose distance is under one line height; ``box`` is four corners in pixels."""
    held: list[tuple[str, Box]] = []
    bottom = float("-inf")
    for line in lines:
        xs, ys = zip(*line["box"], strict=True)
        top, low = min(ys), max(ys)
        if held and not -0.5 * (low - top) <= top - bottom <= 0.9 * (low - top):
            yield _block(held)
            held = []
        left, upper = math.floor(min(xs) / scale), math.floor(top / scale)
        if text := clean(str(line["text"])):
            held.append((text, (left, upper, math.ceil(max(xs) / scale), math.ceil(low / scale))))
        bottom = low
    if held:
        yield _block(held)


def _block(held: list[tuple[str, Box]]) -> Block:
    """Lines that stand together; where in a line a word stands is not known."""
    text, lines = "", list[PrintedLine]()
    for said, (left, top, right, bottom) in held:
        text = f"{text}\n{said}" if text else said
        lines.append((len(text) - len(said), len(text), top, bottom, (left, right)))
    return Block(text, box=around([box for _, box in held]), lines=tuple(lines))


def _check(reading: Reading) -> int:
    """How many pictures are to be read, none of them too large. The frames of a moving one count as one."""
    image: Any = require("PIL.Image", extra="ocr")
    sizes: list[tuple[int, int]] = []
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the size is judged below
            with image.open(io.BytesIO(reading.data)) as picture:
                for index in range(picture.n_frames if picture.format == "TIFF" else 1):
                    picture.seek(index)
                    sizes.append(picture.size)
    except Exception as error:
        raise _damaged(reading) from error
    for width, height in sizes:
        if width * height > reading.limits.pixels:
            raise reading.refuse(
                f"{width} x {height} pixels; the limit is {reading.limits.pixels:,}", "scale the picture down"
            )
    return len(sizes)


def _frame(reading: Reading, index: int) -> bytes:
    """One picture of several, as PNG."""
    image: Any = require("PIL.Image", extra="ocr")
    out = io.BytesIO()
    try:
        with image.open(io.BytesIO(reading.data)) as picture:
            picture.seek(index)
            picture.convert("RGB").save(out, "PNG")
    except Exception as error:
        raise _damaged(reading) from error
    return out.getvalue()


def _damaged(reading: Reading) -> UnreadableSource:
    return reading.refuse("the picture is damaged or cut off", "save it again as PNG or JPEG")
