"""The real voices, heard by the real recogniser."""

import io
import json
import wave
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy
import pytest

from bottega.checks.audio_level import AudioLevel, AudioLevelOptions
from bottega.checks.base import InputFile, Subject
from bottega.checks.speech_matches import SpeechMatches, SpeechMatchesOptions
from bottega.core.errors import Cancelled, InvalidValue
from bottega.core.request import AudioChunk, Finished, Part, Progress, Request
from bottega.engines.base import Bench, Engine
from bottega.engines.speech import Speech
from bottega.engines.transcribe import Transcribe

ENGLISH = "This kettle holds **1.7 L**. It costs €49.90."
FRENCH = "La bouilloire contient 1,7 L. Elle coûte 49,90 €."


@pytest.fixture(scope="module")
def speech() -> Speech:
    return Speech()


@pytest.fixture(scope="module")
def recogniser() -> Transcribe:
    return Transcribe()


def request(script: str, **params: Any) -> Request:
    return Request(engine="speech", parts=(Part(port="script", text=script),), params=params)


async def files(engine: Engine, asked: Request, bench: Bench) -> dict[str, bytes]:
    outputs = [output async for output in engine.generate(asked, bench)]
    return {output.port: output.data or b"" for output in outputs if isinstance(output, Finished)}


@pytest.mark.weights("kokoro-82m")
@pytest.mark.weights("whisper-base")
@pytest.mark.parametrize(("script", "language"), [(ENGLISH, "en"), (FRENCH, "fr")])
async def test_speech_says_its_script(
    script: str, language: str, speech: Speech, recogniser: Transcribe, bench: Bench, store_file: Any
) -> None:
    outputs = [output async for output in speech.generate(request(script, language=language), bench)]
    made = {output.port: output.data or b"" for output in outputs if isinstance(output, Finished)}
    timings = json.loads(made["timings"])
    assert sum(isinstance(output, AudioChunk) for output in outputs) == len(timings["segments"])
    assert [output.fraction for output in outputs if isinstance(output, Progress)][-1] == 1.0

    with wave.open(io.BytesIO(made["audio"])) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (24_000, 1, 2)
        samples = numpy.frombuffer(file.readframes(file.getnframes()), numpy.int16) / 32768
    assert len(samples) / 24_000 == pytest.approx(timings["duration"], abs=0.001)
    first, second = timings["segments"][:2]
    assert first["text"] in script.replace("**", "") and first["end"] < second["start"]
    pause = samples[int(first["end"] * 24_000) + 1 : int(second["start"] * 24_000) - 1]
    assert numpy.abs(pause).max() < 0.001
    assert numpy.abs(samples[:24]).max() < 0.01  # starts without a click

    audio = store_file(made["audio"], "audio/wav")
    text = store_file(script, "text/markdown")

    async def ask(asked: Request) -> Sequence[Finished]:
        return [o async for o in recogniser.generate(asked, bench) if isinstance(o, Finished)]

    subject = Subject(
        artifact=audio,
        path=bench.locate(audio),
        port="audio",
        params={"language": language},
        inputs=[InputFile("script", "script.md", text, bench.locate(text))],
        ask=ask,
    )
    level = await AudioLevel().judge(subject, AudioLevelOptions())
    assert level.outcome == "pass", level.reason
    words = await SpeechMatches().judge(subject, SpeechMatchesOptions())
    assert words.outcome == "pass", words.reason
    assert words.score is not None and words.score < 0.1

    other = store_file("Our lantern glows for two nights and floats on water.", "text/markdown")
    wrong = replace(subject, inputs=[InputFile("script", "other.md", other, bench.locate(other))])
    assert (await SpeechMatches().judge(wrong, SpeechMatchesOptions())).outcome == "block"


@pytest.mark.weights("kokoro-82m")
async def test_same_request_same_bytes(speech: Speech, bench: Bench) -> None:
    asked = request("Meet Aria.", voice="bf_emma")  # once gave no sound: 0/0 in half precision
    first = await files(speech, asked, bench)
    speech.close()
    assert await files(speech, asked, bench) == first
    faster = await files(speech, request("Meet Aria.", voice="bf_emma", speed=1.4), bench)
    assert len(faster["audio"]) < len(first["audio"])


async def test_bad_requests(bench: Bench) -> None:
    with pytest.raises(InvalidValue, match="nothing to read"):
        await files(Speech(), request("```\ncode\n```"), bench)
    with pytest.raises(InvalidValue, match="does not speak"):
        await files(Speech(), request("Bonjour.", voice="af_heart", language="fr"), bench)


async def test_cancelled_before_it_starts(bench: Bench) -> None:
    bench.cancelled.set()
    with pytest.raises(Cancelled):
        await files(Speech(), request("Meet Aria."), bench)


async def test_undecodable_sound(bench: Bench, store_file: Any) -> None:
    for data in (b"no sound", b""):
        part = Part(port="audio", name="noise.mp3", artifact=store_file(data, "audio/mpeg"))
        with pytest.raises(InvalidValue, match="cannot be decoded"):
            await files(Transcribe(), Request(engine="transcribe", parts=(part,)), bench)
