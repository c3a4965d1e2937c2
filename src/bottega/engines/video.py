"""Narrated, captioned video from still pictures: frames drawn here, encoded by ffmpeg as a program."""

import asyncio
import io
import subprocess
import wave
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field

from bottega.core.errors import EngineFailed
from bottega.core.request import Finished, Output, Progress, Request, Usage
from bottega.engines.base import COMPOSITE, Bench, Card, Engine, Estimate, Params, Port, parts_at, require
from bottega.engines.video_captions import cues, webvtt
from bottega.engines.video_frames import Captions, Frames
from bottega.engines.video_timeline import scene_starts, segments_of

FONTS = "inter-fonts"
_LANGUAGES = {"en": "eng", "fr": "fra", "de": "deu", "es": "spa", "it": "ita", "pt": "por", "nl": "nld"}


class VideoParams(Params, frozen=True):
    """Size, speed and look."""

    width: int = Field(default=1280, ge=320, le=1920, multiple_of=2, description="pixels")
    height: int = Field(default=720, ge=240, le=1920, multiple_of=2, description="pixels")
    fps: Literal[24, 25, 30] = Field(default=25, description="frames a second")
    crossfade: float = Field(default=0.6, ge=0, le=2, description="seconds between scenes")
    breaks: tuple[int, ...] = Field(
        default=(),
        description="sentence index (from 0) at which each scene after the first starts; empty: even",
    )
    burn_captions: bool = Field(default=True, description="draw the captions into the picture")
    language: Literal["en", "fr", "de", "es", "it", "pt", "nl"] = Field(
        default="en", description="of the captions"
    )
    music_db: float = Field(default=-20.0, ge=-40, le=0, description="level of the music bed, before ducking")


class Video(Engine):
    """Lets the camera move slowly over each scene while the voice speaks."""

    card: ClassVar[Card] = Card(
        id="video",
        version="1",
        summary="Narrated, captioned video from pictures and a voice (H.264, AAC)",
        modality="video",
        inputs=(
            Port(
                name="scenes",
                media_types=("image/png", "image/jpeg", "image/webp"),
                many=True,
                note="in order",
            ),
            Port(name="audio", media_types=("audio/wav", "audio/x-wav")),
            Port(name="timings", media_types=("application/json",), required=False),
            Port(name="music", media_types=("audio/*",), required=False, note="bed, looped and ducked"),
        ),
        outputs=(
            Port(name="video", media_types=("video/mp4",)),
            Port(name="captions", media_types=("text/vtt",)),
            Port(name="poster", media_types=("image/png",)),
        ),
        reads_names=False,
        licence="GPL-3.0 program, called; Apache-2.0 engine",
        determinism="exact",
        extra="video",
        isolation="process",
        models=(FONTS,),
        source_type=COMPOSITE,
        not_covered="Moving footage; captions need timings; sound other than the voice and one music bed.",
    )
    params: ClassVar[type[Params]] = VideoParams

    async def generate(self, request: Request, bench: Bench) -> AsyncIterator[Output]:
        """Yield `Progress` a second of video, then video, captions and poster.

        Raises:
            EngineFailed: an input is missing or unreadable, or ffmpeg refuses.
        """
        params = VideoParams.model_validate(request.params)
        scenes, voices = parts_at(request, "scenes"), parts_at(request, "audio")
        if not scenes or not voices:
            raise EngineFailed(
                "a video needs pictures and a voice", remedy="fill the ports 'scenes' and 'audio'"
            )
        voice = bench.scratch / "voice.wav"
        voice.write_bytes(bench.read(voices[0]))
        duration = _seconds(voice)
        timed = [
            segment for part in parts_at(request, "timings") for segment in segments_of(bench.text(part))
        ]
        found = cues(timed)
        size = (params.width, params.height)
        starts = scene_starts(len(scenes), timed, duration, params.breaks)
        pictures = [bench.read(part) for part in scenes]
        frames = await asyncio.to_thread(Frames, pictures, starts, duration, size, params.crossfade)
        burned = found if params.burn_captions else []
        captions = Captions(burned, size, bench.weights(FONTS) / "Inter-SemiBold.ttf") if burned else None
        subtitles = bench.scratch / "captions.vtt"
        subtitles.write_text(webvtt(found), encoding="utf-8")
        music = bench.scratch / "music" if parts_at(request, "music") else None
        if music:
            music.write_bytes(bench.read(parts_at(request, "music")[0]))
        target = bench.scratch / "video.mp4"
        count = max(1, round(duration * params.fps))
        command = _command(
            params, voice, subtitles if found else None, music, count / params.fps, bench.threads
        )
        log = bench.scratch / "ffmpeg.log"
        with log.open("wb") as errors:
            ffmpeg = subprocess.Popen(  # noqa: ASYNC220 (starts at once, runs beside us)
                [*command, str(target)], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=errors
            )

        def write(first: int) -> None:
            assert ffmpeg.stdin is not None
            for index in range(first, min(first + params.fps, count)):
                bench.check_cancelled()
                frame = frames.at(index / params.fps)
                if captions:
                    captions.draw(frame, index / params.fps)
                ffmpeg.stdin.write(frame.tobytes())

        done = False
        try:
            for first in range(0, count, params.fps):
                await asyncio.to_thread(write, first)
                yield Progress(fraction=min(0.99, (first + params.fps) / count), note="drawing frames")
            await asyncio.to_thread(ffmpeg.communicate)
            done = ffmpeg.returncode == 0
        except BrokenPipeError:
            pass  # ffmpeg stopped listening; its log says why
        finally:
            if not done:
                ffmpeg.kill()
                with suppress(OSError):
                    ffmpeg.communicate()  # a killed program ends at once
                target.unlink(missing_ok=True)
        if not done:
            raise EngineFailed(
                f"ffmpeg refused: {_last_line(log)}", remedy="check that sound and music can be decoded"
            )
        details = {"seconds": count / params.fps, "fps": params.fps, "width": size[0], "height": size[1]}
        yield Usage(input_units=len(scenes), output_units=count / params.fps, unit="second")
        yield Finished(
            port="video",
            media_type="video/mp4",
            path=target,
            details={**details, "starts": [round(start, 3) for start in starts], "cues": len(found)},
        )
        yield Finished(port="captions", media_type="text/vtt", data=subtitles.read_bytes())
        poster = io.BytesIO()
        frames.at(starts[1] / 2 if len(starts) > 1 else duration / 2).save(poster, "PNG")
        yield Finished(port="poster", media_type="image/png", data=poster.getvalue())

    def estimate(self, params: Params, input_bytes: int) -> Estimate:
        """The voice is nearly all of the input bytes that count: 48 kB a second, about a second of work each."""
        return Estimate(
            seconds=3 + min(300.0, input_bytes / 48_000),
            units={"second": input_bytes / 16_000 + 1},  # 8 kHz, 16 bit: the longest that a voice may be
        )


def _command(
    params: VideoParams, voice: Path, subtitles: Path | None, music: Path | None, seconds: float, threads: int
) -> list[str]:
    """The ffmpeg call; frames arrive on its standard input. Nothing in it depends on time or place."""
    program: str = require("imageio_ffmpeg", extra="video").get_ffmpeg_exe()
    size = f"{params.width}x{params.height}"
    command = [
        program,
        "-nostdin",
        "-y",
        "-loglevel",
        "error",
        "-f",
        "rawvideo",
        "-pix_fmt",
        "rgb24",
        "-s",
        size,
    ]
    command += ["-r", str(params.fps), "-i", "pipe:0", "-i", str(voice)]
    if subtitles:
        command += ["-i", str(subtitles)]
    voiced = "[1:a]aresample=48000,aformat=channel_layouts=stereo,apad[voice]"
    if music:
        command += ["-stream_loop", "-1", "-i", str(music)]
        index = 3 if subtitles else 2
        voiced = (
            "[1:a]aresample=48000,aformat=channel_layouts=stereo,apad,asplit[dry][key];"
            f"[{index}:a]aresample=48000,aformat=channel_layouts=stereo,volume={params.music_db}dB,"
            f"afade=in:d=0.8,afade=out:st={max(0.0, seconds - 1.5):.3f}:d=1.5[bed];"
            "[bed][key]sidechaincompress=threshold=0.03:ratio=6:attack=30:release=500[ducked];"
            "[dry][ducked]amix=inputs=2:duration=first:normalize=0,alimiter=limit=0.89:level=0[voice]"
        )
    picture = "[0:v]scale=out_color_matrix=bt709:out_range=tv,format=yuv420p[picture]"
    command += ["-filter_complex", f"{picture};{voiced}", "-map", "[picture]", "-map", "[voice]"]
    if subtitles:
        language = _LANGUAGES[params.language]
        command += ["-map", "2:s", "-c:s", "mov_text", "-metadata:s:s:0", f"language={language}"]
        command += ["-disposition:s:0", "0" if params.burn_captions else "default"]
    command += [
        "-c:v",
        "libx264",
        "-profile:v",
        "high",
        "-preset",
        "veryfast",
        "-crf",
        "20",
        "-threads",
        str(threads),
    ]
    command += [
        "-g",
        str(2 * params.fps),
        "-color_primaries",
        "bt709",
        "-color_trc",
        "bt709",
        "-colorspace",
        "bt709",
    ]
    command += ["-c:a", "aac", "-b:a", "160k", "-ar", "48000", "-t", f"{seconds:.6f}"]
    command += [
        "-map_metadata",
        "-1",
        "-fflags",
        "+bitexact",
        "-flags:v",
        "+bitexact",
        "-flags:a",
        "+bitexact",
    ]
    return [*command, "-movflags", "+faststart", "-f", "mp4"]


def _seconds(voice: Path) -> float:
    try:
        with wave.open(str(voice), "rb") as file:
            seconds = file.getnframes() / file.getframerate()
    except (wave.Error, EOFError, ZeroDivisionError) as error:
        raise EngineFailed(
            "the voice is not a readable WAV file", where="audio", remedy="send PCM WAV"
        ) from error
    if seconds < 0.2:
        raise EngineFailed("the voice is empty", where="audio", remedy="send at least 0.2 s of sound")
    return seconds


def _last_line(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return lines[-1][:200] if lines else "no reason given"
