"""Sound of a remote model, and what is no sound: a WAV file in pieces, on a real server on loopback."""

import io
import struct
import wave
from collections.abc import Iterator
from typing import Any

import pytest
from tests.upstream import Upstream

from bottega.core.errors import EngineFailed, InvalidValue
from bottega.core.request import AudioChunk, Finished, Output, Part, Request, Usage
from bottega.engines.base import Bench
from bottega.engines.openai_speech import Heard, OpenAISpeech

PCM = struct.pack("<6h", 1, -2, 3, -4, 5, -6)


def wav(pcm: bytes = PCM, rate: int = 24_000, channels: int = 1, width: int = 2) -> bytes:
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(width)
        file.setframerate(rate)
        file.writeframes(pcm)
    return out.getvalue()


def streamed(length: int) -> bytes:
    """A WAV file whose header says another length."""
    made = bytearray(wav())
    made[40:44] = length.to_bytes(4, "little")
    return bytes(made)


@pytest.mark.parametrize("size", [1, 3, 7, 45, 1000])
@pytest.mark.parametrize(
    "data",
    [wav(), streamed(0xFFFFFFFF), streamed(0), wav() + b"LIST\x04\x00\x00\x00abcd",
     wav()[:12] + b"LIST\x03\x00\x00\x00abc\x00" + wav()[12:]],
)  # fmt: skip
def test_samples_come_whole_however_a_file_is_cut(data: bytes, size: int) -> None:
    heard, said = Heard(), b""
    for at in range(0, len(data), size):
        piece = heard.take(data[at : at + size], "host")
        assert len(piece) % 2 == 0
        said += piece
    assert said == PCM and heard.rate == 24_000
    with wave.open(io.BytesIO(heard.wav())) as file:
        assert file.readframes(99) == PCM and file.getframerate() == 24_000


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b'{"error": "no"}     ', "no WAV file"),
        (wav(channels=2, pcm=PCM), "2 channels of 16 bits"),
        (wav(width=1, pcm=PCM), "1 channels of 8 bits"),
        (wav(rate=96_000), "at 96000 Hz"),
        (b"RIFF\x00\x00\x00\x00WAVELIST\xff\xff\x00\x00" + b"x" * 5000, "no samples"),
    ],
)
def test_what_is_no_sound_of_ours_is_refused(data: bytes, told: str) -> None:
    with pytest.raises(EngineFailed, match=told):
        Heard().take(data, "host")


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    made = Upstream()
    yield made
    made.close()


async def say(upstream: Upstream, bench: Bench, text: str = "Hello.", **params: Any) -> list[Output]:
    given = {"base_url": upstream.url, "backoff": 0.01, **params}
    part = Part(port="script", text=text)
    request = Request(engine="openai_speech", model="m", parts=(part,), params=given)
    return [output async for output in OpenAISpeech().generate(request, bench)]


async def test_sound_comes_as_it_is_made_and_is_paid_by_the_character(
    upstream: Upstream, bench: Bench
) -> None:
    upstream.script["m"] = [{"status": 429}, {"sound": wav()}]
    outputs = await say(upstream, bench, voice="coral", price_in=10.0)
    assert b"".join(each.pcm for each in outputs if isinstance(each, AudioChunk)) == PCM
    usage = next(each for each in outputs if isinstance(each, Usage))
    assert (usage.input_units, usage.unit) == (6, "second") and usage.cost == pytest.approx(6e-5)
    assert isinstance(outputs[-1], Finished) and outputs[-1].data == wav()
    sent = upstream.asked[-1]
    assert (sent["voice"], sent["response_format"], sent["input"]) == ("coral", "wav", "Hello.")
    assert "instructions" not in sent and len(upstream.asked) == 2


async def test_silence_is_no_answer(upstream: Upstream, bench: Bench) -> None:
    upstream.script["m"] = [{"sound": wav(b"")}]
    with pytest.raises(EngineFailed, match="no sound"):
        await say(upstream, bench)
    with pytest.raises(InvalidValue, match="nothing to read"):
        await say(upstream, bench, "  ")
