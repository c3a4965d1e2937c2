"""Video by the real ffmpeg, judged by the real check."""

import asyncio
import io
import json
from typing import Any

import numpy
import pytest
import soundfile
from PIL import Image, ImageDraw

from bottega.checks.base import InputFile, Subject
from bottega.checks.video_streams import VideoStreams, VideoStreamsOptions
from bottega.core.errors import Cancelled, EngineFailed
from bottega.core.request import Finished, Part, Progress, Request
from bottega.engines.base import Bench
from bottega.engines.video import Video

SECONDS = 6.0
SIZE = {"width": 320, "height": 240}
TIMINGS = {
    "sample_rate": 24_000,
    "duration": SECONDS,
    "segments": [
        {"start": 0.2, "end": 2.8, "text": "Meet Aria.", "paragraph": 0},
        {"start": 3.2, "end": 5.9, "text": "It holds 1.7 L & costs €49.90.", "paragraph": 1},
    ],
}


def png(ground: str) -> bytes:
    picture = Image.new("RGB", (640, 360), ground)
    ImageDraw.Draw(picture).ellipse((200, 60, 400, 260), outline="white", width=8)
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()


def wav(seconds: float = SECONDS) -> bytes:
    time = numpy.arange(int(seconds * 24_000)) / 24_000
    buffer = io.BytesIO()
    soundfile.write(buffer, 0.2 * numpy.sin(2 * numpy.pi * 220 * time), 24_000, format="WAV")
    return buffer.getvalue()


def request(store_file: Any, *, music: bool = False, sound: bytes | None = None, **params: Any) -> Request:
    parts = [
        Part(port="scenes", artifact=store_file(png(ground), "image/png")) for ground in ("navy", "teal")
    ]
    parts.append(Part(port="audio", artifact=store_file(sound or wav(), "audio/wav")))
    parts.append(Part(port="timings", text=json.dumps(TIMINGS)))
    if music:
        parts.append(Part(port="music", artifact=store_file(wav(1.0), "audio/wav")))
    return Request(engine="video", parts=tuple(parts), params={**SIZE, **params})


async def make(asked: Request, bench: Bench) -> dict[str, bytes]:
    outputs = [output async for output in Video().generate(asked, bench)]
    assert [type(output) for output in outputs[:2]] == [Progress, Progress]
    return {
        output.port: output.data if output.data is not None else (output.path or bench.scratch).read_bytes()
        for output in outputs
        if isinstance(output, Finished)
    }


@pytest.mark.weights("inter-fonts")
@pytest.mark.parametrize("music", [False, True])
async def test_a_video_passes_its_check_and_repeats(music: bool, bench: Bench, store_file: Any) -> None:
    asked = request(store_file, music=music)
    made = await make(asked, bench)
    assert await make(asked, bench) == made
    path = bench.scratch / "made.mp4"
    path.write_bytes(made["video"])
    artifact = store_file(made["video"], "video/mp4")
    voice = store_file(wav(), "audio/wav")
    subject = Subject(
        artifact=artifact,
        path=path,
        port="video",
        params=SIZE,
        inputs=[InputFile("audio", "voice.wav", voice, bench.locate(voice))],
    )
    verdict = await VideoStreams().judge(subject, VideoStreamsOptions())
    assert verdict.outcome == "pass", verdict.reason
    assert verdict.evidence["cues"] == 2
    assert made["video"].index(b"moov") < made["video"].index(b"mdat")  # plays while it loads
    assert b"1.7 L &amp; costs" in made["captions"]
    poster = Image.open(io.BytesIO(made["poster"])).convert("RGB")
    assert poster.size == (320, 240)
    assert poster.getpixel((20, 120)) == (0, 0, 128)


@pytest.mark.weights("inter-fonts")
async def test_stopping_kills_ffmpeg_and_leaves_nothing(bench: Bench, store_file: Any) -> None:
    stream = Video().generate(request(store_file), bench)
    await anext(stream)
    bench.cancelled.set()
    with pytest.raises(Cancelled):
        await asyncio.wait_for(anext(stream), timeout=5)
    assert not (bench.scratch / "video.mp4").exists()


async def test_bad_input(bench: Bench, store_file: Any) -> None:
    with pytest.raises(EngineFailed, match="pictures and a voice"):
        await make(Request(engine="video"), bench)
    with pytest.raises(EngineFailed, match="not a readable WAV"):
        await make(request(store_file, sound=b"no sound"), bench)
    with pytest.raises(EngineFailed, match="do not fit"):
        await make(request(store_file, breaks=[1, 2]), bench)
