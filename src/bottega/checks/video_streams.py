"""Is the video whole: picture, sound, captions, the asked size and length, nothing black or frozen?"""

import asyncio
import itertools
import re
import subprocess
import wave
from pathlib import Path
from typing import Any

from pydantic import Field

from bottega.checks.base import Options, Subject
from bottega.core.verdict import Verdict
from bottega.engines.base import require

_CUE = re.compile(
    r"(?:(\d+):)?(\d\d):(\d\d)\.(\d{3}) --> (?:(\d+):)?(\d\d):(\d\d)\.(\d{3})[^\n]*\n((?:.+\n?)*)"
)
_STILL = 0.0002  # mean difference from where the freeze began, 0 to 1: gentle motion is above, a still picture at 0


class VideoStreamsOptions(Options, frozen=True):
    """Limits in seconds."""

    captions: bool = Field(default=True, description="a captions track has to be there")
    max_black: float = Field(default=0.5, gt=0, description="longest black stretch")
    max_frozen: float = Field(default=4.0, gt=0, description="longest stretch without motion")
    tolerance: float = Field(
        default=0.3, gt=0, description="between video, sound and the voice it was made from"
    )


class VideoStreams:
    """Decodes every frame and sample with ffmpeg. Says nothing of what the pictures show."""

    id = "video_streams"
    media_types = ("video/mp4",)
    options = VideoStreamsOptions

    async def judge(self, subject: Subject, options: Options) -> Verdict:
        """Block every fault; the reason names them all."""
        limits = VideoStreamsOptions.model_validate(options.model_dump())
        found = await asyncio.to_thread(_probe, subject.path, limits)
        voices = [file.path for file in subject.inputs if file.port == "audio"]
        faults = _faults(found, subject, _seconds(voices[0]) if voices else None, limits)
        seconds = found["video_seconds"]
        return Verdict(
            check=self.id,
            outcome="block" if faults else "pass",
            reason="; ".join(faults)
            or f"{seconds:.1f} s, {found['size']}, H.264, sound, {len(found['cues'])} captions",
            score=seconds,
            unit="second",
            evidence={**found, "cues": len(found["cues"]), "faults": faults, "limits": limits.model_dump()},
        )


def _faults(
    found: dict[str, Any], subject: Subject, voice: float | None, limits: VideoStreamsOptions
) -> list[str]:
    faults: list[str] = list(found["errors"])
    video, audio, header = found["video_seconds"], found["audio_seconds"], found["header_seconds"]
    if found["video"] != "h264":
        faults.append(f"the picture is {found['video'] or 'missing'}, not H.264")
    asked = (
        f"{subject.params['width']}x{subject.params['height']}"
        if "width" in subject.params
        else found["size"]
    )
    if found["size"] != asked:
        faults.append(f"{found['size']} instead of {asked}")
    if not found["audio"]:
        faults.append("there is no sound")
    elif abs(audio - video) > limits.tolerance:
        faults.append(f"sound of {audio:.1f} s on a picture of {video:.1f} s")
    if abs(header - video) > limits.tolerance:
        faults.append(f"cut short: {video:.1f} s of {header:.1f} s can be decoded")
    if voice is not None and abs(voice - video) > limits.tolerance:
        faults.append(f"{video:.1f} s long, but its voice is {voice:.1f} s")
    cues: list[tuple[float, float, str]] = found["cues"]
    if limits.captions and not cues:
        faults.append("there are no captions")
    if any(not text or start >= end or end > header + limits.tolerance for start, end, text in cues):
        faults.append("a caption is empty, or outside the video")
    if any(later[0] < earlier[1] - 0.001 for earlier, later in itertools.pairwise(cues)):
        faults.append("captions overlap or are out of order")
    faults += [f"black from {start:.1f} s" for start in found["black"]]
    faults += [f"frozen from {start:.1f} s" for start in found["frozen"]]
    return faults


def _probe(path: Path, limits: VideoStreamsOptions) -> dict[str, Any]:
    detect = f"blackdetect=d={limits.max_black}:pix_th=0.05:pic_th=0.995,freezedetect=n={_STILL}:d={limits.max_frozen}"
    log, video_seconds, failed = _decode(path, "0:v:0", "-vf", detect)
    header = re.search(r"Duration: (\d+):(\d+):([\d.]+)", log)
    video = re.search(r"Stream #0:\d+.*?: Video: (\w+).*?, (\d{2,5}x\d{2,5})", log)
    if header is None:
        raise ValueError("the file is no video that can be opened")
    audio = re.search(r"Stream #0:\d+.*?: Audio: (\w+)", log)
    errors = ["the picture does not decode"] if video and failed else []
    audio_seconds, cues = 0.0, []
    if audio:
        _, audio_seconds, failed = _decode(path, "0:a:0")
        errors += ["the sound does not decode"] if failed else []
    if "Subtitle:" in log:
        cues = _cues(_run("-v", "error", "-i", str(path), "-map", "0:s:0", "-f", "webvtt", "-").stdout)
    hours, minutes, seconds = (float(piece) for piece in header.groups())
    return {
        "video": video[1] if video else "",
        "size": video[2] if video else "",
        "audio": audio[1] if audio else "",
        "header_seconds": round(hours * 3600 + minutes * 60 + seconds, 3),
        "video_seconds": video_seconds,
        "audio_seconds": audio_seconds,
        "black": [float(at) for at in re.findall(r"black_start:([\d.]+)", log)],
        "frozen": [float(at) for at in re.findall(r"freeze_start: ([\d.]+)", log)],
        "errors": errors,
        "cues": cues,
    }


def _decode(path: Path, stream: str, *more: str) -> tuple[str, float, bool]:
    """The log, the seconds that could be decoded, and whether there were errors."""
    done = _run("-xerror", "-i", str(path), "-map", stream, *more, "-progress", "pipe:1", "-f", "null", "-")
    times = re.findall(r"out_time_us=(\d+)", done.stdout)
    return done.stderr, round(int(times[-1]) / 1e6, 3) if times else 0.0, done.returncode != 0


def _run(*arguments: str) -> subprocess.CompletedProcess[str]:
    program: str = require("imageio_ffmpeg", extra="video").get_ffmpeg_exe()
    command = [program, "-nostdin", "-hide_banner", "-nostats", "-threads", "2", *arguments]
    return subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)


def _cues(vtt: str) -> list[tuple[float, float, str]]:
    found: list[tuple[float, float, str]] = []
    for match in _CUE.finditer(vtt):
        numbers = [int(piece or 0) for piece in match.groups()[:8]]
        start, end = (n[0] * 3600 + n[1] * 60 + n[2] + n[3] / 1000 for n in (numbers[:4], numbers[4:]))
        found.append((start, end, match[9].strip()))
    return found


def _seconds(path: Path) -> float:
    with wave.open(str(path), "rb") as file:
        return file.getnframes() / file.getframerate()
