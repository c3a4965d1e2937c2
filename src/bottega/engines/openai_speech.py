"""Speech by any server that speaks OpenAI's speech protocol, as it comes."""

import io
import struct
import wave
from collections.abc import AsyncIterator
from typing import ClassVar

from pydantic import Field
from pydantic_core import to_json

from bottega.core.errors import BottegaError, EngineBusy, EngineFailed, InvalidValue
from bottega.core.request import AudioChunk, Finished, Output, Request, Usage
from bottega.core.value import JsonObject
from bottega.engines.base import Bench, Card, Estimate, Params, Port, parts_at
from bottega.engines.openai_api import (
    UpstreamEngine,
    UpstreamParams,
    again,
    model_of,
    params_of,
    paused,
    upstream_card,
)

SLOWEST = 0.5  # seconds of speech a byte of script: a digit, said as a word
LONGEST = 3600  # seconds of sound that are taken of one answer
UNKNOWN = 0x7FFFFFFF  # and more: a length that nobody knew
HEAD = 4096  # bytes in which the samples of a WAV file have begun


class OpenAISpeechParams(UpstreamParams, frozen=True):
    """Who reads, how fast, where, and what it costs there."""

    voice: str = Field(default="", max_length=200, description="as the server names it; empty: as it likes")
    speed: float = Field(default=1.0, ge=0.25, le=4, description="1 is natural")
    instructions: str = Field(default="", max_length=4_000, description="how to read, for models that listen")
    price_in: float = Field(default=0.0, ge=0, description="US dollars per million characters")


class OpenAISpeech(UpstreamEngine):
    """Reads a script aloud with a remote model, and passes the sound on as it comes."""

    card: ClassVar[Card] = upstream_card(
        id="openai_speech",
        summary="Reads a script aloud with a model behind an OpenAI-compatible server",
        modality="speech",
        inputs=(Port(name="script", media_types=("text/plain", "text/markdown")),),
        outputs=(Port(name="audio", media_types=("audio/wav",), note="mono, 16 bit, at the server's rate"),),
        not_covered="What the server keeps. Its loudness stays as it is; sound in stereo, or of other than 16 bits, is refused.",
    )
    params: ClassVar[type[Params]] = OpenAISpeechParams

    async def generate(self, request: Request, bench: Bench) -> AsyncIterator[Output]:
        """Yield an `AudioChunk` a piece, the usage in seconds with its cost, then the whole. Retries before the first piece.

        Raises:
            InvalidValue: there is nothing to read.
        """
        params = params_of(OpenAISpeechParams, request, bench)
        script = "\n\n".join(bench.text(part) for part in parts_at(request, "script")).strip()
        if not script:
            raise InvalidValue("the script has nothing to read", where="script", remedy="give a sentence")
        body, heard, attempt = to_json(_body(request, script, params)), Heard(), 0
        try:
            while True:
                try:
                    async for piece in self._pieces("audio/speech", body, params, bench):
                        if pcm := heard.take(piece, params.host):
                            yield AudioChunk(pcm=pcm, sample_rate=heard.rate)
                    break
                except EngineBusy as error:
                    if heard.given:
                        raise
                    pause = params.pause(error, attempt)
                    attempt += 1
                    heard = Heard()
                    yield again(error, attempt, pause)
                    await paused(pause, bench)
            if not heard.pcm:
                raise EngineFailed("the server sent no sound", where=params.host)
        except BottegaError:
            if heard.given:
                yield _usage(script, heard, params)
            raise
        yield _usage(script, heard, params)
        details = {"voice": params.voice, "seconds": round(heard.seconds, 3), "host": params.host}
        yield Finished(port="audio", media_type="audio/wav", data=heard.wav(), details=details)

    def estimate(self, params: Params, input_bytes: int) -> Estimate:
        """A tenth of the sound's length; a character is at least one byte."""
        assert isinstance(params, OpenAISpeechParams)
        cost = input_bytes * params.price_in / 1e6
        longest = 5 + input_bytes * SLOWEST / params.speed
        return Estimate(seconds=2 + longest / 10, cost=cost, units={"second": longest})


class Heard:
    """A WAV file as it comes; servers that stream do not know its length, and write one that no file has."""

    def __init__(self) -> None:
        self.rate = 0  # Hz
        self.pcm = bytearray()
        self.given = 0  # bytes that were passed on
        self._head = b""
        self._most = UNKNOWN  # bytes of samples; further chunks may follow them

    @property
    def seconds(self) -> float:
        """How long it is so far."""
        return len(self.pcm) / 2 / self.rate if self.rate else 0.0

    def take(self, piece: bytes, host: str) -> bytes:
        """More of it; gives the whole samples that are new.

        Raises:
            EngineFailed: it is no WAV file of 16 bits in mono, or too long.
        """
        if self.rate:
            self.pcm += piece
        else:
            self._head += piece
            self._begin(host)
        del self.pcm[self._most :]
        if self.seconds > LONGEST:
            raise EngineFailed(f"the sound lasts more than {LONGEST} s", where=host)
        whole = len(self.pcm) - len(self.pcm) % 2
        new, self.given = bytes(self.pcm[self.given : whole]), whole
        return new

    def _begin(self, host: str) -> None:
        head, at, shape = self._head, 12, (0, 0, 0)
        if len(head) < at:
            return
        if head[:4] != b"RIFF" or head[8:12] != b"WAVE":
            raise EngineFailed("the server sent no WAV file", where=host, remedy="choose a model that can")
        while at + 8 <= len(head):
            name, size = head[at : at + 4], int.from_bytes(head[at + 4 : at + 8], "little")
            at += 8
            if name == b"fmt " and at + 16 <= len(head):
                _, channels, rate, _, _, bits = struct.unpack_from("<HHIIHH", head, at)
                shape = (channels, bits, rate)
            elif name == b"data":
                if shape[:2] != (1, 16) or not 8_000 <= shape[2] <= 48_000:
                    said = "{} channels of {} bits at {} Hz".format(*shape)
                    raise EngineFailed(
                        f"the server's sound has {said}", where=host, remedy="mono of 16 bits is read"
                    )
                self.rate, self.pcm, self._most = shape[2], bytearray(head[at:]), size or UNKNOWN
                return
            at += size + size % 2
        if len(head) > HEAD:
            raise EngineFailed("the server's WAV file has no samples", where=host)

    def wav(self) -> bytes:
        """All of it, with a header that is right."""
        out = io.BytesIO()
        with wave.open(out, "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(self.rate)
            file.writeframes(self.pcm[: self.given])
        return out.getvalue()


def _body(request: Request, script: str, params: OpenAISpeechParams) -> JsonObject:
    body: JsonObject = {
        "model": model_of(request),
        "input": script,
        "response_format": "wav",
        "speed": params.speed,
    }
    more = {"voice": params.voice, "instructions": params.instructions}
    return body | {name: value for name, value in more.items() if value}


def _usage(script: str, heard: Heard, params: OpenAISpeechParams) -> Usage:
    cost = len(script) * params.price_in / 1e6
    return Usage(input_units=len(script), output_units=round(heard.seconds, 3), unit="second", cost=cost)
