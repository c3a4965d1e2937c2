"""Sound as asked passes; silence, clipping, wrong level and length do not."""

import io
import subprocess
from pathlib import Path
from typing import Any

import imageio_ffmpeg
import numpy
import pytest
import soundfile

from bottega.checks.audio_level import AudioLevel, AudioLevelOptions
from bottega.checks.base import Subject
from bottega.core.artifact import Artifact
from bottega.core.canonical import digest_bytes
from bottega.core.verdict import Verdict
from bottega.engines.loudness import normalise

RATE = 24_000


def voice(seconds: float = 3.0) -> Any:
    """Noise that swells like syllables, at -16 LUFS."""
    time = numpy.arange(int(seconds * RATE)) / RATE
    noise = numpy.random.default_rng(7).normal(size=len(time)) * (
        0.3 + numpy.sin(2 * numpy.pi * 2 * time) ** 2
    )
    return normalise(noise * 0.1, RATE)


def wav(samples: Any) -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, RATE, format="WAV", subtype="PCM_16")
    return buffer.getvalue()


def aac(data: bytes, folder: Path) -> bytes:
    source, target = folder / "source.wav", folder / "target.m4a"
    source.write_bytes(data)
    program = imageio_ffmpeg.get_ffmpeg_exe()
    subprocess.run([program, "-loglevel", "error", "-i", str(source), "-c:a", "aac", str(target)], check=True)
    return target.read_bytes()


async def judge(path: Path, data: bytes, options: AudioLevelOptions | None = None) -> Verdict:
    path.write_bytes(data)
    artifact = Artifact(sha256=digest_bytes(data), media_type="audio/wav", size=len(data))
    subject = Subject(artifact=artifact, path=path, port="audio")
    return await AudioLevel().judge(subject, options or AudioLevelOptions())


async def test_good_sound_passes(tmp_path: Path) -> None:
    verdict = await judge(tmp_path / "a.wav", wav(voice()))
    assert verdict.outcome == "pass"
    assert verdict.score == pytest.approx(-16, abs=0.3)
    assert verdict.evidence["seconds"] == pytest.approx(3.0)


async def test_compressed_sound_is_decoded(tmp_path: Path) -> None:
    verdict = await judge(tmp_path / "b.m4a", aac(wav(voice()), tmp_path))
    assert verdict.outcome in ("pass", "flag")
    assert verdict.score == pytest.approx(-16, abs=0.5)


async def test_silence_is_blocked(tmp_path: Path) -> None:
    assert (await judge(tmp_path / "a.wav", wav(numpy.zeros(RATE)))).outcome == "block"
    assert (await judge(tmp_path / "b.wav", wav(voice() * 0.002))).reason == "the sound is silent"


async def test_clipping_is_blocked(tmp_path: Path) -> None:
    verdict = await judge(tmp_path / "a.wav", wav(numpy.clip(voice() * 8, -1, 1)))
    assert verdict.outcome == "block"
    assert "clipped" in verdict.reason


async def test_a_wrong_level_is_flagged(tmp_path: Path) -> None:
    verdict = await judge(tmp_path / "a.wav", wav(voice() * 0.4))
    assert (verdict.outcome, verdict.score) == ("flag", pytest.approx(-24, abs=0.3))


@pytest.mark.parametrize("limits", [{"min_seconds": 5}, {"max_seconds": 2}])
async def test_a_wrong_length_is_blocked(tmp_path: Path, limits: dict[str, float]) -> None:
    verdict = await judge(tmp_path / "a.wav", wav(voice()), AudioLevelOptions.model_validate(limits))
    assert verdict.outcome == "block"
    assert verdict.reason.startswith("3.0 s long")


async def test_what_is_no_sound_raises(tmp_path: Path) -> None:
    with pytest.raises(Exception, match=r".+"):
        await judge(tmp_path / "a.wav", b"no sound at all")
