"""Is the sound there: not silent, not clipped, as loud and as long as asked?"""

import asyncio
import io
import math
from typing import Any

from pydantic import Field

from bottega.checks.base import Options, Subject
from bottega.core.verdict import Verdict
from bottega.engines.base import require
from bottega.engines.loudness import TARGET, loudness, true_peak

_SILENT = -50.0  # LUFS; below this nobody hears anything at a normal level


class AudioLevelOptions(Options, frozen=True):
    """Limits. Loudness in LUFS (ITU-R BS.1770-4), true peak in dBTP."""

    target: float = Field(default=TARGET, ge=-40, le=-5, description="LUFS")
    tolerance: float = Field(default=1.0, gt=0, le=10, description="LU from the target before it is flagged")
    max_true_peak: float = Field(default=-0.5, ge=-10, le=0, description="dBTP")
    min_seconds: float = Field(default=0.3, ge=0, description="shortest sound")
    max_seconds: float = Field(default=3600.0, gt=0, description="longest sound")


class AudioLevel:
    """Decodes all of it and measures. Says nothing of what is heard: music, speech and noise pass alike."""

    id = "audio_level"
    media_types = ("audio/*", "video/mp4")
    options = AudioLevelOptions

    async def judge(self, subject: Subject, options: Options) -> Verdict:
        """Block silence, clipping, a wrong length; flag loudness or peaks off the target. Undecodable sound raises."""
        limits = AudioLevelOptions.model_validate(options.model_dump())
        measured = await asyncio.to_thread(_measure, subject.read())
        lufs, peak, seconds = measured["lufs"], measured["true_peak"], measured["seconds"]
        evidence = {**measured, "limits": limits.model_dump()}

        def verdict(outcome: Any, reason: str) -> Verdict:
            return Verdict(
                check=self.id, outcome=outcome, reason=reason, score=lufs, unit="LUFS", evidence=evidence
            )

        if lufs is None or lufs < _SILENT:
            return verdict("block", "the sound is silent")
        if measured["clipped_samples"] > 3:
            return verdict("block", f"{measured['clipped_samples']} samples are clipped")
        if not limits.min_seconds <= seconds <= limits.max_seconds:
            asked = f"{limits.min_seconds:g} to {limits.max_seconds:g} s"
            return verdict("block", f"{seconds:.1f} s long, asked for {asked}")
        if peak > limits.max_true_peak:
            return verdict("flag", f"true peak {peak:.1f} dBTP is over {limits.max_true_peak:g} dBTP")
        if abs(lufs - limits.target) > limits.tolerance:
            return verdict(
                "flag", f"{lufs:.1f} LUFS is off {limits.target:g} by more than {limits.tolerance:g} LU"
            )
        return verdict("pass", f"{seconds:.1f} s at {lufs:.1f} LUFS, true peak {peak:.1f} dBTP")


def _measure(data: bytes) -> dict[str, Any]:
    """Seconds, loudness (None for digital silence), true peak, samples that sit flat at full scale."""
    numpy: Any = require("numpy", extra="speech")
    samples, rate = _decode(data)
    level = loudness(samples, rate)
    flat = numpy.abs(samples) >= 32766 / 32768
    return {
        "seconds": round(len(samples) / rate, 3),
        "rate": rate,
        "lufs": round(level, 2) if math.isfinite(level) else None,
        "true_peak": round(true_peak(samples), 2),
        "clipped_samples": int(numpy.logical_and(flat[1:], flat[:-1]).sum()),  # two in a row and more
    }


def _decode(data: bytes) -> tuple[Any, int]:
    """Samples [n, channels] and the rate: WAV, FLAC, OGG, MP3 by libsndfile, all else by PyAV."""
    soundfile: Any = require("soundfile", extra="speech")
    try:
        return soundfile.read(io.BytesIO(data), always_2d=True)
    except soundfile.LibsndfileError:
        decode: Any = require("faster_whisper", extra="transcribe").decode_audio
        return decode(io.BytesIO(data), sampling_rate=48_000)[:, None], 48_000
