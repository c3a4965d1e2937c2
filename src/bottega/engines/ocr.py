"""Text in pictures: PP-OCR on ONNX Runtime, with models that lie inside its package."""

import asyncio
import io
import logging
from collections.abc import AsyncIterator
from typing import Any, ClassVar

from pydantic import Field

from bottega.core.canonical import canonical_json
from bottega.core.errors import EngineFailed
from bottega.core.request import Finished, Output, Progress, Request
from bottega.core.value import JsonObject
from bottega.engines.base import Bench, Card, Engine, Estimate, Params, Port, parts_at, require

LONGEST = 1600  # pixels: larger pictures are read at this size, and boxes scaled back


class OcrParams(Params, frozen=True):
    """How sure a line must be."""

    confidence: float = Field(default=0.5, ge=0, le=1, description="lines below this are left out")


class Ocr(Engine):
    """Reads the lines of a picture, in reading order, with their places."""

    card: ClassVar[Card] = Card(
        id="ocr",
        version="1",
        summary="Reads the text in a picture",
        modality="text",
        inputs=(Port(name="image", media_types=("image/png", "image/jpeg", "image/webp", "image/tiff")),),
        outputs=(Port(name="text", media_types=("application/json",)),),
        licence="Apache-2.0",
        extra="ocr",
        isolation="process",
        not_covered="Latin and Chinese script; accents are often dropped; handwriting is not read reliably",
    )
    params: ClassVar[type[Params]] = OcrParams

    def __init__(self) -> None:
        self._reader: Any = None

    async def generate(self, request: Request, bench: Bench) -> AsyncIterator[Output]:
        """Yield the lines as JSON."""
        params = OcrParams.model_validate(request.params)
        parts = parts_at(request, "image")
        if not parts:
            raise EngineFailed(
                "there is no picture to read", where="image", remedy="connect a PNG or JPEG file"
            )
        bench.check_cancelled()
        found = await asyncio.to_thread(self._read, bench.read(parts[0]), bench.threads, params.confidence)
        bench.check_cancelled()
        yield Progress(fraction=1.0)
        details: JsonObject = {"lines": len(found["lines"])}
        yield Finished(
            port="text", media_type="application/json", data=canonical_json(found), details=details
        )

    def estimate(self, params: Params, input_bytes: int) -> Estimate:
        """A few seconds a picture."""
        return Estimate(seconds=4.0)

    def close(self) -> None:
        """Drop the three models."""
        self._reader = None

    def _read(self, data: bytes, threads: int, confidence: float) -> JsonObject:
        images: Any = require("PIL.Image", extra="all")
        numpy: Any = require("numpy", extra="all")
        try:
            image: Any = images.open(io.BytesIO(data)).convert("RGB")
        except OSError as error:
            raise EngineFailed(
                "the picture cannot be decoded", where="image", remedy="send PNG or JPEG"
            ) from error
        scale = min(1.0, LONGEST / max(image.size))
        if scale < 1:
            image = image.resize(
                (round(image.width * scale), round(image.height * scale)), images.Resampling.LANCZOS
            )
        result: Any = self._load(threads)(numpy.asarray(image)[:, :, ::-1])
        lines: list[JsonObject] = []
        if result.txts is not None:
            for text, score, box in zip(result.txts, result.scores, result.boxes.tolist(), strict=True):
                if score >= confidence:
                    corners = [[round(x / scale), round(y / scale)] for x, y in box]
                    lines.append({"text": text, "confidence": round(float(score), 4), "box": corners})
        return {"text": "\n".join(line["text"] for line in lines), "lines": lines}

    def _load(self, threads: int) -> Any:
        if self._reader is None:
            rapidocr: Any = require("rapidocr", extra="ocr")
            logging.getLogger("RapidOCR").setLevel(logging.ERROR)
            self._reader = rapidocr.RapidOCR(
                params={
                    "Global.log_level": "error",
                    "EngineConfig.onnxruntime.intra_op_num_threads": threads,
                    "EngineConfig.onnxruntime.inter_op_num_threads": 1,
                }
            )
        return self._reader
