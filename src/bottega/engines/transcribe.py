"""Speech recognition with Whisper base on CTranslate2, with the time of every word."""

import asyncio
import io
import json
from collections.abc import AsyncIterator
from typing import Any, ClassVar, Literal

from pydantic import Field

from bottega.core.errors import BottegaError, InvalidValue
from bottega.core.request import Delta, Finished, Output, Progress, Request, Usage
from bottega.engines.base import Bench, Card, Engine, Estimate, Params, Port, parts_at, require

MODEL = "whisper-base"
_RATE = 16_000  # Hz, what Whisper hears
# What is told of a stretch of speech: times in seconds, the mean natural-log probability of its tokens
STRETCH = (
    "id",
    "seek",
    "start",
    "end",
    "text",
    "tokens",
    "temperature",
    "avg_logprob",
    "compression_ratio",
    "no_speech_prob",
)


class TranscribeParams(Params, frozen=True):
    """The language, when it is known."""

    language: Literal["", "en", "fr", "de", "es", "it", "pt", "nl"] = Field(
        default="", description="language spoken; empty: detect it"
    )
    task: Literal["transcribe", "translate"] = Field(
        default="transcribe", description="as it is spoken, or translated into English"
    )
    prompt: str = Field(
        default="",
        max_length=1_000,
        description="what was said before, or how names are spelled; it is not obeyed",
    )


class Transcribe(Engine):
    """Writes down what is said. Greedy fallbacks are off: one beam search, no sampling, so the same words each time."""

    card: ClassVar[Card] = Card(
        id="transcribe",
        version="2",
        summary="Writes down what is said, with word times (Whisper base)",
        modality="text",
        inputs=(Port(name="audio", media_types=("audio/*",), note="WAV, MP3, FLAC, M4A, OGG"),),
        outputs=(Port(name="transcript", media_types=("application/json",)),),
        licence="MIT",
        determinism="exact",
        extra="transcribe",
        isolation="process",
        models=(MODEL,),
        not_covered="Who speaks; songs; several languages in one recording.",
    )
    params: ClassVar[type[Params]] = TranscribeParams

    def __init__(self) -> None:
        self._model: Any = None

    async def generate(self, request: Request, bench: Bench) -> AsyncIterator[Output]:
        """Yield a `Delta` for each stretch of speech, then the transcript.

        Raises:
            InvalidValue: the sound cannot be decoded.
        """
        params = TranscribeParams.model_validate(request.params)
        parts = parts_at(request, "audio")
        if not parts:
            raise InvalidValue("there is no sound to write down", remedy="give one file at the port 'audio'")
        samples = await asyncio.to_thread(_decode, bench.read(parts[0]), parts[0].name)
        bench.check_cancelled()
        duration = len(samples) / _RATE
        segments, info = await asyncio.to_thread(self._start, samples, params, bench)
        words: list[dict[str, object]] = []
        stretches: list[dict[str, object]] = []
        text: list[str] = []
        heard = 0.0  # seconds
        try:
            while (segment := await asyncio.to_thread(next, segments, None)) is not None:
                bench.check_cancelled()
                words.extend(
                    {
                        "word": word.word.strip(),
                        "start": round(float(word.start), 2),
                        "end": round(float(word.end), 2),
                        "probability": round(float(word.probability), 3),
                    }
                    for word in segment.words or ()
                )
                stretches.append({name: getattr(segment, name) for name in STRETCH})
                text.append(segment.text)
                heard = float(segment.end)
                yield Delta(text=segment.text)
                yield Progress(fraction=min(1.0, float(segment.end) / duration))
        except BottegaError:
            yield Usage(output_units=round(heard, 3), unit="second")
            raise
        transcript = {
            "text": "".join(text).strip(),
            "language": info.language,
            "duration": round(duration, 3),
            "words": words,
            "segments": stretches,
        }
        yield Usage(output_units=round(duration, 3), unit="second")
        yield Finished(
            port="transcript",
            media_type="application/json",
            data=json.dumps(transcript, ensure_ascii=False, indent=1).encode(),
            details={"language": info.language, "words": len(words)},
        )

    def _start(self, samples: Any, params: TranscribeParams, bench: Bench) -> tuple[Any, Any]:
        if self._model is None:
            whisper: Any = require("faster_whisper", extra="transcribe")
            self._model = whisper.WhisperModel(
                str(bench.weights(MODEL)),
                device="cpu",
                compute_type="int8",
                cpu_threads=bench.threads,
                local_files_only=True,
            )
        return self._model.transcribe(
            samples,
            language=params.language or None,
            task=params.task,
            initial_prompt=params.prompt or None,
            beam_size=5,
            temperature=0.0,
            condition_on_previous_text=False,
            word_timestamps=True,
        )

    def estimate(self, params: Params, input_bytes: int) -> Estimate:
        """A quarter of the length, for 24 kHz 16-bit sound, after loading."""
        return Estimate(
            seconds=3 + input_bytes / 48_000 * 0.25,
            units={"second": input_bytes / 2_000 + 1},  # 16 kbit/s: speech is seldom packed closer
        )

    def close(self) -> None:
        """Free the network."""
        self._model = None


def _decode(data: bytes, name: str) -> Any:
    """Mono float samples at 16 kHz."""
    whisper: Any = require("faster_whisper", extra="transcribe")
    try:
        samples = whisper.decode_audio(io.BytesIO(data), sampling_rate=_RATE)
    except Exception as error:  # the decoder raises its own tree of errors, all meaning this
        raise InvalidValue(
            "the sound cannot be decoded", where=name, remedy="send WAV, MP3, FLAC, M4A or OGG"
        ) from error
    if not len(samples):
        raise InvalidValue("the sound file is empty", where=name, remedy="send a recording with sound in it")
    return samples
