"""`/v1/audio/speech`, `/v1/audio/transcriptions` and `/v1/audio/translations`."""

import asyncio
import base64
import io
import json
from collections.abc import AsyncIterator
from typing import Annotated, Any, Literal

from bottega.core.errors import BottegaError, InvalidValue, TooLarge
from bottega.core.request import AudioChunk, Output, Part, Request
from bottega.server.answer import Answer
from bottega.server.body import Body, only
from bottega.server.config import Target
from bottega.server.desk import Desk
from bottega.server.form import Upload, read_form
from bottega.server.message import Call, Flow, Reply, event, events, reply
from bottega.server.problem import body_of
from bottega.service.keys import ApiKey
from bottega.service.signed import Coded

VOICES = {"af_heart", "am_michael", "bf_emma", "ff_siwis"}
FORMATS = {
    "mp3": "audio/mpeg", "wav": "audio/wav", "flac": "audio/flac", "opus": "audio/ogg", "pcm": "audio/pcm",
}  # fmt: skip
LONGEST = 20_000  # characters of a script
TRANSCRIPTS = ("json", "text", "srt", "verbose_json", "vtt")
LINE = 8  # words of a caption


class SpeechBody(Body, kw_only=True):
    """What is read aloud. A voice that the engine does not have stands for the first of the language."""

    model: str
    input: str
    voice: str | dict[str, Any] = ""
    response_format: str = "mp3"
    speed: float = 1.0
    stream_format: Literal["audio", "sse"] = "audio"
    language: str = "en"
    instructions: Annotated[Any, only("", why="voices take no directions")] = None


class TranscriptionBody(Body, kw_only=True):
    """How a recording is written down."""

    model: str = "transcribe"
    language: str = ""
    response_format: str = "json"
    prompt: Annotated[Any, only("", why="the model is not told what was said before")] = None
    temperature: Annotated[float | None, only(0, why="the likeliest words are taken")] = None
    timestamp_granularities: Annotated[Any, only("word", why="words are timed, not segments")] = None
    stream: Annotated[bool | None, only(False, why="a transcript comes whole")] = None
    include: Annotated[Any, only(why="no log-probabilities are kept")] = None
    chunking_strategy: Annotated[Any, only("auto", why="recordings are cut at pauses")] = None
    keywords: Annotated[Any, only()] = None
    languages: Annotated[Any, only(remedy="name one as language")] = None
    known_speaker_names: Annotated[Any, only(why="speakers are not told apart")] = None
    known_speaker_references: Annotated[Any, only(why="speakers are not told apart")] = None


async def speech(desk: Desk, call: Call, key: ApiKey) -> Reply | Flow:
    """Read a text aloud."""
    asked = await call.read(SpeechBody)
    named = desk.names.get(asked.model, ("speech",))
    if not asked.input.strip():
        raise InvalidValue("there is nothing to read", where="input")
    if len(asked.input) > LONGEST:
        raise TooLarge(f"the text has {len(asked.input)} characters, {LONGEST} are allowed", where="input")
    if asked.response_format not in FORMATS:
        raise InvalidValue(
            f"'{asked.response_format}' is not known",
            where="response_format",
            remedy=f"one of: {', '.join(FORMATS)}",
        )
    if not 0.7 <= asked.speed <= 1.4:
        raise InvalidValue(f"{asked.speed} is not between 0.7 and 1.4", where="speed")
    if desk.guards.on_input:
        await desk.guards.let_in(asked.input.encode(), "text/plain")
    voice = asked.voice if asked.voice in VOICES else ""

    def asking(target: Target) -> Request:
        params = {"voice": voice, "speed": asked.speed, "language": asked.language, **target.params}
        part = Part(port="script", name="input", text=asked.input)
        return Request(engine=target.engine, model=target.model, parts=(part,), params=params)

    if asked.stream_format == "sse" and not desk.guards.on_output:
        answer, outputs = await desk.stream(call, key, named, asking)
        return events(_events(desk, outputs, answer), *answer.headers)
    if asked.response_format == "pcm" and not desk.guards.on_output:
        answer, outputs = await desk.stream(call, key, named, asking)
        return Flow(_sound(desk, outputs, answer), ((b"content-type", b"audio/pcm"), *answer.headers))
    answer = await desk.ask(call, key, named, asking)
    assert answer.result is not None and answer.target is not None
    made = answer.output("audio")
    if desk.guards.on_output:
        await desk.guards.let_out(desk.service.shop.artifacts.read(made.artifact), made.artifact.media_type)
    kind = asked.response_format
    coded = None
    if kind != "wav":
        sound = await asyncio.to_thread(_coded, desk.service.shop.artifacts.read(made.artifact), kind)
        coded = Coded(sound, FORMATS[kind])
    data = await asyncio.to_thread(
        desk.service.signed, answer.id, asking(answer.target), answer.result, made, coded
    )
    return Reply(data, 200, ((b"content-type", FORMATS[kind].encode()), *answer.headers))


async def transcriptions(desk: Desk, call: Call, key: ApiKey) -> Reply:
    """Write down what a recording says."""
    return await _written(desk, call, key, "transcribe")


async def _written(desk: Desk, call: Call, key: ApiKey, task: str) -> Reply:
    with await read_form(call, desk.config.file_bytes) as form:
        upload, asked = form.file("file"), form.read(TranscriptionBody)
        kind = asked.response_format
        if kind not in TRANSCRIPTS:
            raise InvalidValue(
                f"'{kind}' is not known", where="response_format", remedy=f"one of: {', '.join(TRANSCRIPTS)}"
            )
        named = desk.names.get(asked.model, ("transcribe",))
        part = await asyncio.to_thread(_recording, desk, upload)
        if desk.guards.on_input:
            recording = await asyncio.to_thread(upload.path.read_bytes)
            await desk.guards.let_in(recording, part.artifact.media_type if part.artifact else "")

        def asking(target: Target) -> Request:
            params = {"language": asked.language, "task": task, **target.params}
            return Request(engine=target.engine, model=target.model, parts=(part,), params=params)

        answer = await desk.ask(call, key, named, asking)
    data = desk.service.shop.artifacts.read(answer.output("transcript").artifact)
    found = json.loads(data)
    if desk.guards.on_output:
        await desk.guards.let_out(found["text"].encode(), "text/plain")
    if kind == "json":
        return reply(
            {"text": found["text"], "usage": {"type": "duration", "seconds": found["duration"]}},
            *answer.headers,
        )
    if kind == "verbose_json":
        body = {
            "task": task, "language": found["language"], "duration": found["duration"], "text": found["text"],
            "words": [{"word": each["word"], "start": each["start"], "end": each["end"]} for each in found["words"]],
            "segments": [],
            "usage": {"type": "duration", "seconds": found["duration"]},
        }  # fmt: skip
        return reply(body, *answer.headers)
    text = found["text"] + "\n" if kind == "text" else captions(found["words"], kind)
    return Reply(text.encode(), 200, ((b"content-type", b"text/plain; charset=utf-8"), *answer.headers))


async def translations(desk: Desk, call: Call, key: ApiKey) -> Reply:
    """Write down in English what a recording says in another language."""
    return await _written(desk, call, key, "translate")


def captions(words: list[dict[str, Any]], kind: str) -> str:
    """Words with times (seconds) as SubRip or WebVTT."""
    mark = "," if kind == "srt" else "."
    blocks = ["WEBVTT"] if kind == "vtt" else []
    for number, start in enumerate(range(0, len(words), LINE), 1):
        line = words[start : start + LINE]
        times = f"{_clock(line[0]['start'], mark)} --> {_clock(line[-1]['end'], mark)}"
        text = " ".join(each["word"] for each in line)
        blocks.append("\n".join(([str(number)] if kind == "srt" else []) + [times, text]))
    return "\n\n".join(blocks) + "\n"


def _clock(seconds: float, mark: str) -> str:
    thousandths = round(seconds * 1000)
    hours, rest = divmod(thousandths, 3_600_000)
    minutes, rest = divmod(rest, 60_000)
    return f"{hours:02}:{minutes:02}:{rest // 1000:02}{mark}{rest % 1000:03}"


def _seconds(sound: Any) -> float:
    """How long a recording lasts; of one that does not say so, its packets are added up, without decoding them."""
    if sound.duration:
        return sound.duration / 1_000_000
    track = sound.streams.audio[0]
    return float(sum((packet.duration or 0) * packet.time_base for packet in sound.demux(track)))


def _recording(desk: Desk, upload: Upload) -> Part:
    """An uploaded sound as a part, if it is no longer than is allowed."""
    import av
    from av.error import FFmpegError

    from bottega.retrieval.media import sniff

    with upload.path.open("rb") as file:
        media_type = sniff(file.read(4096))
    if not media_type.startswith(("audio/", "video/")):
        media_type = upload.media_type if upload.media_type.startswith("audio/") else "audio/wav"
    try:
        with av.open(str(upload.path)) as sound:
            if not sound.streams.audio:
                raise InvalidValue("there is no sound in the file", where="file")
            seconds = _seconds(sound)
    except (FFmpegError, OSError) as error:
        raise InvalidValue(
            "the file cannot be decoded", where="file", remedy="send WAV, MP3, FLAC, M4A or OGG"
        ) from error
    if seconds > desk.config.audio_seconds:
        raise TooLarge(f"it lasts {seconds:.0f} s, {desk.config.audio_seconds:.0f} are allowed", where="file")
    artifact = desk.service.shop.artifacts.put_file(upload.path, media_type.replace("video/", "audio/"))
    return Part(port="audio", name=upload.name, artifact=artifact)


def _coded(wav: bytes, kind: str) -> bytes:
    """A WAV file in another format."""
    import soundfile

    samples, rate = soundfile.read(io.BytesIO(wav), dtype="int16")
    if kind == "pcm":
        return samples.astype("<i2").tobytes()
    out = io.BytesIO()
    named = {"mp3": ("MP3", "MPEG_LAYER_III"), "flac": ("FLAC", "PCM_16"), "opus": ("OGG", "OPUS")}[kind]
    soundfile.write(out, samples, rate, format=named[0], subtype=named[1])
    return out.getvalue()


async def _sound(desk: Desk, outputs: AsyncIterator[Output], answer: Answer) -> AsyncIterator[bytes]:
    """Samples as they are made; of an earlier answer under the same idempotency key, all at once."""
    spoke = False
    async for output in outputs:
        if isinstance(output, AudioChunk):
            spoke = True
            yield output.pcm
    if not spoke and answer.error is None:
        whole = desk.service.shop.artifacts.read(answer.output("audio").artifact)
        yield await asyncio.to_thread(_coded, whole, "pcm")


async def _events(desk: Desk, outputs: AsyncIterator[Output], answer: Answer) -> AsyncIterator[bytes]:
    async for pcm in _sound(desk, outputs, answer):
        kind = "speech.audio.delta"
        yield event({"type": kind, "audio": base64.b64encode(pcm).decode()}, kind)
    if isinstance(answer.error, BottegaError):
        yield event({"type": "error", **body_of(answer.error)}, "error")
        return
    kind = "speech.audio.done"
    usage = {"input_tokens": 0, "output_tokens": 0, "total_tokens": 0}
    yield event({"type": kind, "usage": usage}, kind)
