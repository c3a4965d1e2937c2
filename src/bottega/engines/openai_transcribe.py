"""Recordings written down by any server that speaks OpenAI's transcription protocol."""

import json
from collections.abc import AsyncIterator
from pathlib import PurePath
from typing import ClassVar, Literal

from pydantic import Field

from bottega.core.errors import InvalidValue, TooLarge
from bottega.core.request import Delta, Finished, Output, Progress, Request, Usage
from bottega.core.value import JsonObject
from bottega.engines.base import Bench, Card, Estimate, Params, Port, parts_at
from bottega.engines.openai_api import (
    UpstreamEngine,
    UpstreamParams,
    model_of,
    multipart,
    params_of,
    upstream_card,
)

SUFFIXES = {
    "audio/wav": ".wav", "audio/x-wav": ".wav", "audio/mpeg": ".mp3", "audio/flac": ".flac", "audio/mp4": ".m4a", "audio/ogg": ".ogg",
    "audio/webm": ".webm",
}  # fmt: skip
PACKED = 2_000  # bytes of a second at 16 kbit/s: speech is seldom packed closer


class OpenAITranscribeParams(UpstreamParams, frozen=True):
    """What is heard, where, and what it costs there."""

    language: str = Field(
        default="", pattern="^([a-z]{2,3})?$", description="spoken (ISO 639); empty: detect it"
    )
    task: Literal["transcribe", "translate"] = Field(
        default="transcribe", description="as it is spoken, or translated into English"
    )
    prompt: str = Field(
        default="", max_length=1_000, description="what was said before, or how names are spelled"
    )
    response_format: Literal["verbose_json", "json"] = Field(
        default="verbose_json", description="json for servers that tell no times"
    )
    seconds: float = Field(default=0.0, ge=0, description="how long the sound lasts, where that is known")
    largest: int = Field(default=25 << 20, ge=1, description="bytes of a recording that the server takes")
    price: float = Field(default=0.0, ge=0, description="US dollars for a minute")


class OpenAITranscribe(UpstreamEngine):
    """Writes down what is said with a remote model; with the time of every word where the server tells it."""

    card: ClassVar[Card] = upstream_card(
        id="openai_transcribe",
        summary="Writes down what is said with a model behind an OpenAI-compatible server",
        modality="text",
        inputs=(Port(name="audio", media_types=("audio/*",), note="WAV, MP3, FLAC, M4A, OGG"),),
        outputs=(Port(name="transcript", media_types=("application/json",)),),
        not_covered="What the server keeps, and whether it heard well.",
    )
    params: ClassVar[type[Params]] = OpenAITranscribeParams

    async def generate(self, request: Request, bench: Bench) -> AsyncIterator[Output]:
        """Yield what is said, the usage in seconds with its cost, then the transcript.

        Raises:
            InvalidValue: there is no recording.
            TooLarge: it has more bytes than the server takes.
        """
        params = params_of(OpenAITranscribeParams, request, bench)
        parts = parts_at(request, "audio")
        if not parts or parts[0].artifact is None:
            raise InvalidValue("there is no sound to write down", remedy="give one file at the port 'audio'")
        given = parts[0].artifact
        if given.size > params.largest:
            raise TooLarge(
                f"the recording has {given.size} bytes, the server takes {params.largest}",
                where="audio",
                remedy="send less, or pack it closer",
            )
        suffix = SUFFIXES.get(given.media_type) or PurePath(parts[0].name).suffix.lower() or ".wav"
        media_type, body = multipart(
            _fields(request, params), [("file", f"audio{suffix}", bench.read(parts[0]))]
        )
        path = "audio/translations" if params.task == "translate" else "audio/transcriptions"
        answer: JsonObject = {}
        async for output in self._insist(path, body, params, bench, media_type):
            if isinstance(output, Progress):
                yield output
            else:
                answer = output
        transcript = _transcript(answer, params)
        yield Delta(text=transcript["text"])
        seconds = transcript["duration"] or given.size / PACKED
        yield Usage(output_units=round(seconds, 3), unit="second", cost=seconds / 60 * params.price)
        yield Finished(
            port="transcript",
            media_type="application/json",
            data=json.dumps(transcript, ensure_ascii=False, indent=1).encode(),
            details={
                "language": transcript["language"], "words": len(transcript["words"]), "host": params.host,
            },
        )  # fmt: skip

    def estimate(self, params: Params, input_bytes: int) -> Estimate:
        """A tenth of the length."""
        assert isinstance(params, OpenAITranscribeParams)
        longest = 1 + (params.seconds or input_bytes / PACKED)
        return Estimate(seconds=3 + longest / 10, cost=longest / 60 * params.price, units={"second": longest})


def _fields(request: Request, params: OpenAITranscribeParams) -> JsonObject:
    fields: JsonObject = {"model": model_of(request), "response_format": params.response_format}
    if params.language and params.task == "transcribe":
        fields["language"] = params.language
    if params.prompt:
        fields["prompt"] = params.prompt
    if params.response_format == "verbose_json" and params.task == "transcribe":
        fields["timestamp_granularities[]"] = ["word", "segment"]
    return fields


def _transcript(answer: JsonObject, params: OpenAITranscribeParams) -> JsonObject:
    """As the local engine writes it; without words and stretches where the server tells no times."""
    words = [
        {"word": str(each.get("word", "")).strip(), "start": round(float(each["start"]), 2),
         "end": round(float(each["end"]), 2)}
        for each in answer.get("words") or ()
    ]  # fmt: skip
    return {
        "text": str(answer.get("text") or "").strip(),
        "language": str(answer.get("language") or params.language),
        "duration": round(float(answer.get("duration") or params.seconds), 3),
        "words": words,
        "segments": [*(answer.get("segments") or ())],
    }
