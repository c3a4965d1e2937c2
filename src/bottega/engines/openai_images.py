"""Pictures by any server that speaks OpenAI's image protocol: made from words, or a picture changed by them."""

import asyncio
import base64
import binascii
import io
from collections.abc import AsyncIterator
from typing import Any, ClassVar, Literal

from pydantic import Field
from pydantic_core import to_json

from bottega.core.errors import EngineFailed
from bottega.core.request import Finished, Output, Progress, Request, Usage
from bottega.core.value import JsonObject
from bottega.engines.base import Bench, Card, Estimate, Params, Port, parts_at, require
from bottega.engines.openai_api import (
    JSON,
    UpstreamEngine,
    UpstreamParams,
    model_of,
    multipart,
    params_of,
    upstream_card,
)

LARGEST = 4096  # pixels of a side
PICTURES = ("image/png", "image/jpeg", "image/webp")
SUFFIXES = {"image/png": ".png", "image/jpeg": ".jpg", "image/webp": ".webp"}


class OpenAIImagesParams(UpstreamParams, frozen=True):
    """What the picture shows, where it is made, and what it costs there."""

    prompt: str = Field(min_length=1, max_length=32_000, description="what the picture shows")
    width: int = Field(
        default=1024, ge=64, le=LARGEST, description="pixels; not every server makes every size"
    )
    height: int = Field(default=1024, ge=64, le=LARGEST, description="pixels")
    quality: str = Field(default="", max_length=40, description="as the server names it; empty: as it likes")
    response_format: Literal["b64_json", ""] = Field(
        default="b64_json",
        description="asks for the picture itself; empty for servers that give nothing else",
    )
    seeded: bool = Field(default=False, description="send the seed, which not every server knows")
    price: float = Field(default=0.0, ge=0, description="US dollars for a picture")


class OpenAIImages(UpstreamEngine):
    """One picture of a remote model, as PNG. With a picture at the port ``image`` that one is changed."""

    card: ClassVar[Card] = upstream_card(
        id="openai_images",
        summary="Makes and changes pictures with a model behind an OpenAI-compatible server",
        modality="image",
        inputs=(
            Port(name="image", media_types=PICTURES, required=False, note="the picture that is changed"),
            Port(name="mask", media_types=("image/png",), required=False, note="transparent where it is"),
        ),
        outputs=(Port(name="png", media_types=("image/png",)),),
        not_covered="What the server keeps. Pictures that it gives as an address are not fetched.",
    )
    params: ClassVar[type[Params]] = OpenAIImagesParams

    async def generate(self, request: Request, bench: Bench) -> AsyncIterator[Output]:
        """Yield one picture's usage with its cost, then the picture."""
        params = params_of(OpenAIImagesParams, request, bench)
        fields = _fields(request, params)
        files = [
            (
                port,
                f"{port}{SUFFIXES.get(part.artifact.media_type if part.artifact else '', '')}",
                bench.read(part),
            )
            for port in ("image", "mask")
            for part in parts_at(request, port)
        ]
        if files:
            path, (media_type, body) = "images/edits", multipart(fields, files)
        else:
            path, media_type, body = "images/generations", JSON, to_json(fields)
        answer: JsonObject = {}
        async for output in self._insist(path, body, params, bench, media_type):
            if isinstance(output, Progress):
                yield output
            else:
                answer = output
        yield Usage(output_units=1, unit="image", cost=params.price)
        png, size = await asyncio.to_thread(_picture, answer, params)
        details = {"width": size[0], "height": size[1], "host": params.host}
        yield Finished(port="png", media_type="image/png", data=png, details=details)

    def estimate(self, params: Params, input_bytes: int) -> Estimate:
        """Half a minute, and the price of a picture."""
        assert isinstance(params, OpenAIImagesParams)
        return Estimate(seconds=30, cost=params.price, units={"image": 1.0})


def _fields(request: Request, params: OpenAIImagesParams) -> JsonObject:
    fields: JsonObject = {
        "model": model_of(request),
        "prompt": params.prompt,
        "n": 1,
        "size": f"{params.width}x{params.height}",
    }
    if params.seeded and request.seed is not None:
        fields["seed"] = request.seed
    more = {"quality": params.quality, "response_format": params.response_format}
    return fields | {name: value for name, value in more.items() if value}


def _picture(answer: JsonObject, params: OpenAIImagesParams) -> tuple[bytes, tuple[int, int]]:
    """The picture of an answer as PNG, and its size.

    Raises:
        EngineFailed: there is none, or it cannot be read, or it is larger than any that is asked for.
    """
    pictures: Any = require("PIL.Image", extra="all")
    data: list[JsonObject] = answer.get("data") or [{}]
    packed = data[0].get("b64_json")
    if not packed:
        raise EngineFailed(
            "the server gives no picture, or only its address",
            where=params.host,
            remedy="set response_format to b64_json",
        )
    try:
        given = base64.b64decode(packed, validate=True)
        with pictures.open(io.BytesIO(given), formats=("PNG", "JPEG", "WEBP")) as picture:
            if max(picture.size) > LARGEST:
                raise EngineFailed(f"the server's picture has {picture.size} pixels", where=params.host)
            picture.load()
            if picture.format == "PNG":
                return given, picture.size
            out = io.BytesIO()
            picture.save(out, "PNG")
            return out.getvalue(), picture.size
    except (OSError, SyntaxError, ValueError, TypeError, binascii.Error) as error:
        raise EngineFailed("the server's picture cannot be read", where=params.host) from error
