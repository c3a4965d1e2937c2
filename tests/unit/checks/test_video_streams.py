"""A whole video passes; black, frozen, silent, truncated and uncaptioned ones do not."""

import subprocess
import wave
from pathlib import Path

import imageio_ffmpeg
import pytest

from bottega.checks.base import InputFile, Subject
from bottega.checks.video_streams import VideoStreams, VideoStreamsOptions
from bottega.core.artifact import Artifact
from bottega.core.verdict import Verdict

FILE = Artifact(sha256="0" * 64, media_type="video/mp4", size=1)
MOVING, STILL, BLACK = (
    "testsrc2=s=320x180:r=25:d=6",
    "smptebars=s=320x180:r=25:d=6",
    "color=black:s=320x180:r=25:d=6",
)
CAPTIONS = "WEBVTT\n\n00:00:00.500 --> 00:00:02.000\nOne.\n\n00:00:02.500 --> 00:00:05.000\nTwo.\n"


def make(
    folder: Path, *, source: str = MOVING, sound: float = 6, captions: str = CAPTIONS, codec: str = "libx264"
) -> Path:
    target, subtitles = folder / "video.mp4", folder / "captions.vtt"
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-loglevel", "error", "-f", "lavfi", "-i", source]
    if sound:
        command += ["-f", "lavfi", "-i", f"sine=440:r=48000:d={sound}"]
    if captions:
        subtitles.write_text(captions, encoding="utf-8")
        command += ["-i", str(subtitles), "-c:s", "mov_text"]
    for index in range(1 + bool(sound) + bool(captions)):
        command += ["-map", str(index)]
    command += ["-c:v", codec, "-pix_fmt", "yuv420p", "-movflags", "+faststart", str(target)]
    subprocess.run(command, check=True)
    return target


async def judge(path: Path, *, width: int = 320, voice: Path | None = None) -> Verdict:
    subject = Subject(
        artifact=FILE,
        path=path,
        port="video",
        params={"width": width, "height": 180},
        inputs=[InputFile("audio", "voice.wav", FILE, voice)] if voice else [],
    )
    return await VideoStreams().judge(subject, VideoStreamsOptions())


def silence(path: Path, seconds: float) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes(bytes(int(seconds * 16000)))
    return path


async def test_a_whole_video_passes(tmp_path: Path) -> None:
    verdict = await judge(make(tmp_path), voice=silence(tmp_path / "voice.wav", 6.1))
    assert verdict.outcome == "pass", verdict.reason
    assert verdict.evidence["cues"] == 2
    assert verdict.score == pytest.approx(6.0)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"source": BLACK}, "black from 0.0 s"),
        ({"source": STILL}, "frozen from 0.0 s"),
        ({"sound": 0}, "there is no sound"),
        ({"sound": 3}, "sound of 3.0 s on a picture of 6.0 s"),
        ({"captions": ""}, "there are no captions"),
        ({"captions": CAPTIONS.replace("05.000", "09.000")}, "outside the video"),
        ({"codec": "mpeg4"}, "mpeg4, not H.264"),
    ],
)
async def test_faults_are_named(tmp_path: Path, change: dict[str, str], reason: str) -> None:
    verdict = await judge(make(tmp_path, **change))  # pyright: ignore[reportArgumentType]
    assert verdict.outcome == "block"
    assert reason in verdict.reason


async def test_a_truncated_file_is_blocked(tmp_path: Path) -> None:
    whole = make(tmp_path).read_bytes()
    path = tmp_path / "cut.mp4"
    path.write_bytes(whole[: len(whole) * 2 // 3])
    assert (await judge(path)).outcome == "block"


async def test_another_size_and_length_than_asked(tmp_path: Path) -> None:
    verdict = await judge(make(tmp_path), width=640, voice=silence(tmp_path / "voice.wav", 8))
    assert "320x180 instead of 640x180" in verdict.reason
    assert "its voice is 8.0 s" in verdict.reason


async def test_what_is_no_video_raises(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(b"no video")
    with pytest.raises(ValueError, match="no video"):
        await judge(path)
