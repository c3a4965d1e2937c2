"""`/v1/images/generations`: pictures, signed."""

import asyncio
import base64
import io
from collections.abc import AsyncIterator, Callable
from typing import Annotated, Any

from msgspec import Meta

from bottega.core.errors import BottegaError, InvalidValue, NotFound, PolicyDenied, TooLarge
from bottega.core.request import Request
from bottega.engines.plain_things import drawer
from bottega.server.answer import Answer
from bottega.server.body import Body, only
from bottega.server.config import Named, Target
from bottega.server.desk import Desk
from bottega.server.message import Call, Flow, Reply, event, events, reply
from bottega.server.names import ALIASES
from bottega.server.problem import body_of
from bottega.service.keys import ApiKey
from bottega.service.signed import Coded

ENGINES = ("layout", "image", "pictogram", "drawing", "openai_images")
USUAL = (1024, 1024)  # pixels
MOST = 4  # pictures of one request
FORMATS = {"png": "image/png", "jpeg": "image/jpeg", "webp": "image/webp"}
QUALITY = 92  # of JPEG and WebP, of 100
TITLE = 200  # characters of a prompt that a composed picture shows


class ImageBody(Body, kw_only=True):
    """What the picture shows, how large it is, how many there are."""

    model: str = "image"
    prompt: str
    n: int | None = None
    size: str | None = None
    response_format: str | None = None
    output_format: str | None = None
    seed: int | None = None
    stream: bool | None = None
    partial_images: int | None = None  # no engine here has any to show
    user: str | None = None
    output_compression: Annotated[int, Meta(ge=0, le=100)] | None = None  # quality of JPEG and WebP
    quality: Annotated[Any, only("auto", "standard", why="there is one quality")] = None
    background: Annotated[Any, only("auto", "opaque", why="pictures are opaque")] = None
    style: Annotated[Any, only(remedy="say it in the prompt")] = None
    input_fidelity: Annotated[Any, only("low", why="what is drawn over is not looked at")] = None
    markup: Annotated[Any, only()] = None
    svg: Annotated[Any, only(remedy="bottega call drawing gives SVG")] = None
    complexity: Annotated[Any, only()] = None
    frame_count: Annotated[Any, only(1, why="pictures do not move", remedy="ask /v1/videos")] = None
    frame_duration_ms: Annotated[Any, only(why="pictures do not move", remedy="ask /v1/videos")] = None


Asking = Callable[[Target, int, int, int], Request]


async def generations(desk: Desk, call: Call, key: ApiKey) -> Reply | Flow:
    """Make pictures from a prompt."""
    asked = await call.read(ImageBody)
    named, words = desk.names.get(asked.model, ENGINES), ""
    if asked.model in ALIASES and named.targets[0].engine == ALIASES[asked.model]:
        named, words = routed(desk, asked.prompt, named)

    def asking(target: Target, width: int, height: int, seed: int) -> Request:
        return request_for(target, words or asked.prompt, width, height, seed)

    return await made(desk, call, key, asked, named, asking, words)


def routed(desk: Desk, prompt: str, composed: Named) -> tuple[Named, str]:
    """Who answers for `image`: the house model that draws the plain thing, and its words; else who composes the prompt."""
    found = drawer(prompt, desk.service.shop.catalog.path)
    if found is None:
        return composed, ""
    try:
        return desk.names.get(found.engine, ENGINES), found.words
    except (NotFound, PolicyDenied):
        return composed, ""


async def made(
    desk: Desk,
    call: Call,
    key: ApiKey,
    asked: ImageBody,
    named: Named,
    asking: Asking,
    words: str = "",
    kind: str = "image_generation",
) -> Reply | Flow:
    """Pictures as they were asked for, signed; as a stream an event for each, of this ``kind``.

    ``asking`` makes the engine's request of target, width, height and seed; ``words`` are what is drawn instead of the
    prompt as it was written.
    """
    if not asked.prompt.strip():
        raise InvalidValue("there is no prompt", where="prompt")
    count = 1 if asked.n is None else asked.n
    if not 1 <= count <= MOST:
        raise InvalidValue(f"{count} is not between 1 and {MOST}", where="n")
    coding = asked.output_format or "png"
    if coding == "png" and asked.output_compression not in (None, 100):
        raise InvalidValue("PNG loses nothing", where="output_compression", remedy="ask for jpeg or webp")
    if coding not in FORMATS:
        raise InvalidValue(
            f"'{coding}' is not known", where="output_format", remedy=f"one of: {', '.join(FORMATS)}"
        )
    if asked.response_format not in (None, "b64_json"):
        raise InvalidValue("pictures come as base64", where="response_format", remedy="b64_json")
    width, height = sizes(asked.size, desk.config.pixels)
    if desk.guards.on_input:
        await desk.guards.let_in(asked.prompt.encode(), "text/plain")
    first = asked.seed if asked.seed is not None else int.from_bytes(call_seed(call), "big")

    async def picture(number: int) -> tuple[Answer, str]:
        def one(target: Target) -> Request:
            return asking(target, width, height, first + number)

        answer = await desk.ask(call, key, named, one, part=number)
        return answer, await _sent(desk, answer, one, coding, asked.output_compression)

    about = {"output_format": coding, "size": f"{width}x{height}"}
    usage = {"input_tokens": 0, "output_tokens": 0, "total_tokens": 0,
             "input_tokens_details": {"image_tokens": 0, "text_tokens": 0}}  # fmt: skip
    answer, sent = await picture(0)
    if asked.stream:
        numbers, name = range(1, count), f"{kind}.completed"

        async def flow() -> AsyncIterator[bytes]:
            told = {
                "type": name,
                "created_at": answer.created,
                "quality": "auto",
                "background": "auto",
                **about,
                "usage": usage,
            }
            yield event({**told, "b64_json": sent}, name)
            try:
                for number in numbers:
                    yield event({**told, "b64_json": (await picture(number))[1]}, name)
            except BottegaError as error:
                yield event({"type": "error", **body_of(error)}, "error")

        return events(flow(), *answer.headers)
    several = [sent, *[(await picture(number))[1] for number in range(1, count)]]
    data = [{"b64_json": each, "revised_prompt": words or None, "url": None} for each in several]
    return reply(
        {"created": answer.created, "data": data, **about, "usage": {**usage, "images": count}},
        *answer.headers,
    )


async def _sent(
    desk: Desk, answer: Answer, asking: Callable[[Target], Request], coding: str, quality: int | None
) -> str:
    """The picture of an answer, judged, signed, in the format asked for, as base64."""
    assert answer.result is not None and answer.target is not None
    output = answer.output("png" if any(each.port == "png" for each in answer.result.outputs) else "")
    if desk.guards.on_output:
        await desk.guards.let_out(
            desk.service.shop.artifacts.read(output.artifact), output.artifact.media_type
        )
    coded = None
    if coding != "png":
        made = desk.service.shop.artifacts.read(output.artifact)
        coded = Coded(await asyncio.to_thread(_coded, made, coding, quality), f"image/{coding}")
    request = asking(answer.target)
    picture = await asyncio.to_thread(desk.service.signed, answer.id, request, answer.result, output, coded)
    return base64.b64encode(picture).decode()


def request_for(target: Target, prompt: str, width: int, height: int, seed: int) -> Request:
    """The engine's request: a composed picture shows the prompt's words, a generated one what they say."""
    if target.engine == "layout":
        kind = "hero" if width > 1.3 * height else "social"
        params = {"kind": kind, "title": prompt[:TITLE], "width": width, "height": height}
    else:
        step = 8 if target.engine == "image" else 1
        whole = prompt if target.engine == "openai_images" else prompt[:2000]
        params = {"prompt": whole, "width": width - width % step, "height": height - height % step}
    return Request(engine=target.engine, model=target.model, params={**params, **target.params}, seed=seed)


def sizes(size: str | None, most: int) -> tuple[int, int]:
    """Width and height of "1024x768"; "auto" and nothing are the usual ones.

    Raises:
        InvalidValue: it is no size.
        TooLarge: it has too many pixels.
    """
    if size in (None, "auto"):
        return USUAL
    width, _, height = size.partition("x")
    if not (width.isdecimal() and height.isdecimal() and len(size) < 12):
        raise InvalidValue(f"'{size}' is no size", where="size", remedy="write 1024x1024")
    found = int(width), int(height)
    if min(found) < 64 or max(found) > 4096:
        raise InvalidValue(f"'{size}' is not between 64x64 and 4096x4096", where="size")
    if found[0] * found[1] > most:
        raise TooLarge(f"'{size}' has more than {most} pixels", where="size")
    return found


def call_seed(call: Call) -> bytes:
    """A seed for a request that names none; the same for the same idempotency key."""
    import hashlib
    import secrets

    given = call.header(b"idempotency-key").encode()
    return (hashlib.sha256(given).digest() if given else secrets.token_bytes(8))[:4]


def _coded(data: bytes, kind: str, quality: int | None) -> bytes:
    from PIL import Image

    with Image.open(io.BytesIO(data)) as picture:
        out = io.BytesIO()
        (picture.convert("RGB") if kind == "jpeg" else picture).save(
            out, kind.upper(), quality=QUALITY if quality is None else quality
        )
        return out.getvalue()
