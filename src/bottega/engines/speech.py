"""Text to speech with Kokoro-82M on ONNX Runtime: 24 kHz, mono, -16 LUFS."""

import asyncio
import io
import json
import wave
from collections.abc import AsyncIterator
from typing import Any, ClassVar, Literal

from pydantic import Field

from bottega.core.errors import BottegaError, InvalidValue
from bottega.core.request import AudioChunk, Finished, Output, Progress, Request, Usage
from bottega.engines.base import GENERATED, Bench, Card, Engine, Estimate, Params, Port, parts_at, require
from bottega.engines.kokoro import RATE, Kokoro
from bottega.engines.loudness import loudness, normalise, true_peak
from bottega.engines.phonemes import Dialect, phonemes, token_runs
from bottega.engines.script import sentences
from bottega.engines.spoken import spoken

MODEL = "kokoro-82m"
VOICES: dict[str, Dialect] = {
    "af_heart": "en-us",
    "am_michael": "en-us",
    "bf_emma": "en-gb",
    "ff_siwis": "fr-fr",
}
_FADE = 0.008  # seconds
_MARGIN = 0.04  # seconds of quiet kept around a sentence
SLOWEST = 0.5  # seconds of speech a byte of script: a digit, said as a word
_STREAM_GAIN = 2.0  # the model speaks at about -22 LUFS; the stream comes before the whole can be measured


class SpeechParams(Params, frozen=True):
    """Who reads, how fast, with which pauses."""

    voice: Literal["", "af_heart", "am_michael", "bf_emma", "ff_siwis"] = Field(
        default="", description="empty: the first voice of the language"
    )
    language: Literal["en", "fr"] = Field(default="en", description="language of the script")
    speed: float = Field(default=1.0, ge=0.7, le=1.4, description="1 is natural")
    pause: float = Field(
        default=0.35, ge=0, le=3, description="seconds between sentences; twice between paragraphs"
    )


class Speech(Engine):
    """Reads a script aloud, sentence by sentence, and says when each was read."""

    card: ClassVar[Card] = Card(
        id="speech",
        version="1",
        summary="Reads a script aloud (Kokoro-82M)",
        modality="speech",
        inputs=(Port(name="script", media_types=("text/plain", "text/markdown")),),
        outputs=(
            Port(name="audio", media_types=("audio/wav",), note="24 kHz, mono, 16 bit, -16 LUFS"),
            Port(name="timings", media_types=("application/json",)),
        ),
        reads_names=False,
        licence="Apache-2.0",
        determinism="exact",
        extra="speech",
        isolation="process",
        models=(MODEL,),
        source_type=GENERATED,
        not_covered="Homographs may be misread; code blocks are not read; English and French only.",
    )
    params: ClassVar[type[Params]] = SpeechParams

    def __init__(self) -> None:
        self._network: Kokoro | None = None

    async def generate(self, request: Request, bench: Bench) -> AsyncIterator[Output]:
        """Yield an `AudioChunk` a sentence, then the whole, normalised.

        Raises:
            InvalidValue: there is nothing to read, or the voice does not speak the language.
        """
        params = SpeechParams.model_validate(request.params)
        voice = params.voice or next(
            name for name, said in VOICES.items() if said.startswith(params.language)
        )
        if not VOICES[voice].startswith(params.language):
            raise InvalidValue(
                f"the voice '{voice}' does not speak '{params.language}'",
                where="voice",
                remedy="leave the voice empty, or choose one of the language",
            )
        script = sentences("\n\n".join(bench.text(part) for part in parts_at(request, "script")))
        if not any(character.isalnum() for _, text in script for character in text):
            raise InvalidValue(
                "the script has nothing to read", where="script", remedy="give at least one sentence"
            )
        numpy: Any = require("numpy", extra="speech")
        pieces: list[Any] = []
        segments: list[dict[str, object]] = []
        at = 0  # samples
        try:
            for index, (paragraph, text) in enumerate(script):
                bench.check_cancelled()
                if index:
                    breath = params.pause * (1 if paragraph == script[index - 1][0] else 2)
                    pieces.append(numpy.zeros(int(breath * RATE), dtype=numpy.float64))
                    at += len(pieces[-1])
                said = await asyncio.to_thread(self._say, text, voice, params, bench)
                pieces.append(said)
                start, at = at, at + len(said)
                segments.append(
                    {
                        "start": round(start / RATE, 3),
                        "end": round(at / RATE, 3),
                        "text": text,
                        "paragraph": paragraph,
                    }
                )
                yield AudioChunk(pcm=_pcm(said * _STREAM_GAIN), sample_rate=RATE)
                yield Progress(fraction=(index + 1) / len(script), note=text)
        except BottegaError:
            yield Usage(
                input_units=sum(len(text) for _, text in script[: len(segments)]),
                output_units=round(at / RATE, 3),
                unit="second",
            )
            raise
        whole = await asyncio.to_thread(normalise, numpy.concatenate(pieces), RATE)
        seconds = len(whole) / RATE
        timings = {"sample_rate": RATE, "duration": round(seconds, 3), "segments": segments}
        details = {
            "voice": voice,
            "seconds": round(seconds, 3),
            "lufs": round(loudness(whole, RATE), 2),
            "true_peak_db": round(true_peak(whole), 2),
        }
        characters = sum(len(text) for _, text in script)
        yield Usage(input_units=characters, output_units=round(seconds, 3), unit="second")
        yield Finished(port="audio", media_type="audio/wav", data=_wav(whole), details=details)
        data = json.dumps(timings, ensure_ascii=False, indent=1).encode()
        yield Finished(port="timings", media_type="application/json", data=data)

    def _say(self, text: str, voice: str, params: SpeechParams, bench: Bench) -> Any:
        """One sentence as [n] float samples, trimmed and faded."""
        numpy: Any = require("numpy", extra="speech")
        if self._network is None:
            self._network = Kokoro(bench.weights(MODEL), bench.threads)
        parts: list[Any] = []
        for ids in token_runs(phonemes(spoken(text, params.language), VOICES[voice])):
            bench.check_cancelled()
            parts.append(_trim(self._network.say(ids, voice, params.speed).astype(numpy.float64)))
        return numpy.concatenate(parts) if parts else numpy.zeros(0)

    def estimate(self, params: Params, input_bytes: int) -> Estimate:
        """About 15 characters a second of speech, half a second of work each, after loading."""
        assert isinstance(params, SpeechParams)
        longest = input_bytes * (SLOWEST / params.speed + params.pause)  # a pause a sentence, two a paragraph
        return Estimate(seconds=4 + input_bytes / 15 * 0.5, units={"second": 5 + longest})

    def close(self) -> None:
        """Free the network."""
        self._network = None


def _trim(samples: Any) -> Any:
    """Cut the quiet ends (45 dB under the loudest 10 ms), keep a margin, fade both ends."""
    numpy: Any = require("numpy", extra="speech")
    frame = RATE // 100
    count = len(samples) // frame
    if not count:
        return samples
    power = (samples[: count * frame].reshape(count, frame) ** 2).mean(axis=1)
    loud = numpy.nonzero(power > power.max() * 10**-4.5)[0]
    margin = int(_MARGIN * RATE)
    kept = samples[max(0, loud[0] * frame - margin) : (loud[-1] + 1) * frame + margin].copy()
    fade = min(int(_FADE * RATE), len(kept) // 2)
    ramp = numpy.linspace(0.0, 1.0, fade)
    kept[:fade] *= ramp
    kept[len(kept) - fade :] *= ramp[::-1]
    return kept


def _pcm(samples: Any) -> bytes:
    numpy: Any = require("numpy", extra="speech")
    return numpy.clip(numpy.round(samples * 32767), -32768, 32767).astype("<i2").tobytes()


def _wav(samples: Any) -> bytes:
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(_pcm(samples))
    return buffer.getvalue()
