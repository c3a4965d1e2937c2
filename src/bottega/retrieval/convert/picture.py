"""Pictures: their text by the engine `ocr`."""

import asyncio
import io
import json
import warnings
from typing import Any

from bottega.core.errors import EngineFailed, UnreadableSource
from bottega.core.request import Part, Request
from bottega.engines.base import require
from bottega.retrieval.chunk import Block
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


async def recognise(reading: Reading, data: bytes, media_type: str, what: str) -> list[Block]:
    """The text of a picture, as blocks.

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
    return [Block(text) for text in _together(lines)]


def _together(lines: list[dict[str, Any]]) -> list[str]:
    """Join lines whose distance is under one line height; ``box`` is four corners in pixels."""
    out: list[str] = []
    bottom = float("-inf")
    for line in lines:
        ys = [float(corner[1]) for corner in line["box"]]
        top, low = min(ys), max(ys)
        if out and -0.5 * (low - top) <= top - bottom <= 0.9 * (low - top):
            out[-1] = f"{out[-1]}\n{line['text']}"
        else:
            out.append(str(line["text"]))
        bottom = low
    return out


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
