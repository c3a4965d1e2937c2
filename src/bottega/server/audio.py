"""`/v1/audio/speech`: a text, read aloud."""

import asyncio
import base64
import io
from collections.abc import AsyncIterator
from typing import Annotated, Any, Literal

from bottega.core.errors import BottegaError, InvalidValue, TooLarge
from bottega.core.request import AudioChunk, Output, Part, Request
from bottega.core.value import JsonObject
from bottega.engines.base import require
from bottega.server.answer import Answer
from bottega.server.body import Body, only
from bottega.server.config import Target
from bottega.server.desk import Desk
from bottega.server.message import Call, Flow, Reply, event, events
from bottega.server.problem import body_of
from bottega.service.keys import ApiKey
from bottega.service.signed import Coded

SPEAKERS = ("speech", "openai_speech")
VOICES = {"af_heart", "am_michael", "bf_emma", "ff_siwis"}
FORMATS = {
    "mp3": "audio/mpeg", "wav": "audio/wav", "flac": "audio/flac", "opus": "audio/ogg", "pcm": "audio/pcm",
}  # fmt: skip
RATE = 24_000  # Hz, of sound that comes without a header
LONGEST = 20_000  # characters of a script


class SpeechBody(Body, kw_only=True):
    """What is read aloud. A voice that the engine does not have stands for the first of the language."""

    model: str
    input: str
    voice: str | dict[str, Any] = ""
    response_format: str = "mp3"
    speed: float = 1.0
    stream_format: Literal["audio", "sse"] = "audio"
    language: str = "en"
    instructions: Annotated[Any, only("", why="voices take no directions")] = None


async def speech(desk: Desk, call: Call, key: ApiKey) -> Reply | Flow:
    """Read a text aloud."""
    asked = await call.read(SpeechBody)
    named = desk.names.get(asked.model, SPEAKERS)
    if not asked.input.strip():
        raise InvalidValue("there is nothing to read", where="input")
    if len(asked.input) > LONGEST:
        raise TooLarge(f"the text has {len(asked.input)} characters, {LONGEST} are allowed", where="input")
    if asked.response_format not in FORMATS:
        raise InvalidValue(
            f"'{asked.response_format}' is not known",
            where="response_format",
            remedy=f"one of: {', '.join(FORMATS)}",
        )
    if not 0.7 <= asked.speed <= 1.4:
        raise InvalidValue(f"{asked.speed} is not between 0.7 and 1.4", where="speed")
    if desk.guards.on_input:
        await desk.guards.let_in(asked.input.encode(), "text/plain")
    voice = asked.voice if isinstance(asked.voice, str) else ""

    def asking(target: Target) -> Request:
        params: JsonObject = {"voice": voice, "speed": asked.speed}
        if target.engine == "speech":
            params |= {"voice": voice if voice in VOICES else "", "language": asked.language}
        part = Part(port="script", name="input", text=asked.input)
        params |= target.params
        return Request(engine=target.engine, model=target.model, parts=(part,), params=params)

    if asked.stream_format == "sse" and not desk.guards.on_output:
        answer, outputs = await desk.stream(call, key, named, asking)
        return events(_events(desk, outputs, answer), *answer.headers)
    if asked.response_format == "pcm" and not desk.guards.on_output:
        answer, outputs = await desk.stream(call, key, named, asking)
        return Flow(_sound(desk, outputs, answer), ((b"content-type", b"audio/pcm"), *answer.headers))
    answer = await desk.ask(call, key, named, asking)
    assert answer.result is not None and answer.target is not None
    made = answer.output("audio")
    if desk.guards.on_output:
        await desk.guards.let_out(desk.service.shop.artifacts.read(made.artifact), made.artifact.media_type)
    kind = asked.response_format
    coded = None
    if kind != "wav":
        sound = await asyncio.to_thread(_coded, desk.service.shop.artifacts.read(made.artifact), kind)
        coded = Coded(sound, FORMATS[kind])
    data = await asyncio.to_thread(
        desk.service.signed, answer.id, asking(answer.target), answer.result, made, coded
    )
    return Reply(data, 200, ((b"content-type", FORMATS[kind].encode()), *answer.headers))


def _coded(wav: bytes, kind: str) -> bytes:
    """A WAV file in another format."""
    import soundfile

    samples, rate = soundfile.read(io.BytesIO(wav), dtype="int16")
    if (
        kind in ("pcm", "opus") and rate != RATE
    ):  # who reads the one expects this rate, and the other knows few
        samples, rate = _at_rate(samples, rate), RATE
    if kind == "pcm":
        return samples.astype("<i2").tobytes()
    out = io.BytesIO()
    named = {"mp3": ("MP3", "MPEG_LAYER_III"), "flac": ("FLAC", "PCM_16"), "opus": ("OGG", "OPUS")}[kind]
    soundfile.write(out, samples, rate, format=named[0], subtype=named[1])
    return out.getvalue()


def _at_rate(samples: Any, rate: int) -> Any:
    """Samples of 16 bits, at another rate."""
    numpy: Any = require("numpy", extra="speech")
    signal: Any = require("scipy.signal", extra="speech")
    whole: Any = signal.resample_poly(samples.astype("f8"), RATE, rate)
    return numpy.clip(numpy.round(whole), -32768, 32767).astype("i2")


async def _sound(desk: Desk, outputs: AsyncIterator[Output], answer: Answer) -> AsyncIterator[bytes]:
    """Samples as they are made; of an earlier answer under the same idempotency key, all at once."""
    spoke = False
    async for output in outputs:
        if isinstance(output, AudioChunk) and output.sample_rate == RATE:
            spoke = True
            yield output.pcm
    if not spoke and answer.error is None:
        whole = desk.service.shop.artifacts.read(answer.output("audio").artifact)
        yield await asyncio.to_thread(_coded, whole, "pcm")


async def _events(desk: Desk, outputs: AsyncIterator[Output], answer: Answer) -> AsyncIterator[bytes]:
    async for pcm in _sound(desk, outputs, answer):
        kind = "speech.audio.delta"
        yield event({"type": kind, "audio": base64.b64encode(pcm).decode()}, kind)
    if isinstance(answer.error, BottegaError):
        yield event({"type": "error", **body_of(answer.error)}, "error")
        return
    kind = "speech.audio.done"
    usage = {"input_tokens": 0, "output_tokens": 0, "total_tokens": 0}
    yield event({"type": kind, "usage": usage}, kind)
