"""Pictures: their text by the engine `ocr`."""

import io
import json
import warnings
from typing import Any

from bottega.core.errors import EngineFailed
from bottega.core.request import Part, Request
from bottega.engines.base import require
from bottega.retrieval.chunk import Block
from bottega.retrieval.convert.reading import Pages, Reading

_SURE = 0.5  # lines recognised with less confidence are left out


async def read(reading: Reading) -> Pages:
    """One page, one block for lines that stand together.

    Raises:
        UnreadableSource: when the picture does not decode, is too large, or holds no text.
    """
    _check(reading)
    return [await recognise(reading, reading.data, reading.media_type, "the picture")]


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


def _check(reading: Reading) -> None:
    image: Any = require("PIL.Image", extra="ocr")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the size is judged below
            with image.open(io.BytesIO(reading.data)) as picture:
                width, height = picture.size
    except Exception as error:
        raise reading.refuse("the picture is damaged or cut off", "save it again as PNG or JPEG") from error
    if width * height > reading.limits.pixels:
        raise reading.refuse(
            f"{width} x {height} pixels; the limit is {reading.limits.pixels:,}", "scale the picture down"
        )
