"""`/v1/audio/transcriptions` and `/v1/audio/translations`: what a recording says."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Annotated, Any

from msgspec import Meta

from bottega.core.errors import BottegaError, InvalidValue, TooLarge
from bottega.core.request import Delta, Output, Part, Request
from bottega.server.answer import Answer
from bottega.server.body import Body, only
from bottega.server.chat import checked
from bottega.server.config import Target
from bottega.server.desk import Desk
from bottega.server.form import Upload, read_form
from bottega.server.message import Call, Flow, Reply, event, events, reply
from bottega.server.problem import body_of
from bottega.service.keys import ApiKey

HEARERS = ("transcribe", "openai_transcribe")
TRANSCRIPTS = ("json", "text", "srt", "verbose_json", "vtt")
LINE = 8  # words of a caption


class TranscriptionBody(Body, kw_only=True):
    """How a recording is written down."""

    model: str = "transcribe"
    language: str = ""
    response_format: str = "json"
    prompt: Annotated[str, Meta(max_length=1000)] = ""
    stream: bool | None = None
    temperature: Annotated[float | None, only(0, why="the likeliest words are taken")] = None
    timestamp_granularities: Annotated[Any, only("word", "segment")] = None  # verbose_json has both
    include: Annotated[Any, only(why="no log-probabilities are kept")] = None
    chunking_strategy: Annotated[Any, only("auto", why="recordings are cut at pauses")] = None
    keywords: Annotated[Any, only()] = None
    languages: Annotated[Any, only(remedy="name one as language")] = None
    known_speaker_names: Annotated[Any, only(why="speakers are not told apart")] = None
    known_speaker_references: Annotated[Any, only(why="speakers are not told apart")] = None


async def transcriptions(desk: Desk, call: Call, key: ApiKey) -> Reply | Flow:
    """Write down what a recording says."""
    return await _written(desk, call, key, "transcribe")


async def _written(desk: Desk, call: Call, key: ApiKey, task: str) -> Reply | Flow:
    with await read_form(call, desk.config.file_bytes) as form:
        upload, asked = form.file("file"), form.read(TranscriptionBody)
        kind = asked.response_format
        if kind not in TRANSCRIPTS:
            raise InvalidValue(
                f"'{kind}' is not known", where="response_format", remedy=f"one of: {', '.join(TRANSCRIPTS)}"
            )
        if asked.stream and kind not in ("json", "text"):
            raise InvalidValue("it comes whole", where="response_format", remedy="json, or leave out stream")
        named = desk.names.get(asked.model, HEARERS)
        part, seconds = await asyncio.to_thread(_recording, desk, upload)
        if desk.guards.on_input:
            recording = await asyncio.to_thread(upload.path.read_bytes)
            await desk.guards.let_in(recording, part.artifact.media_type if part.artifact else "")

        def asking(target: Target) -> Request:
            known = {} if target.engine == "transcribe" else {"seconds": seconds}
            given = {"language": asked.language, "task": task, "prompt": asked.prompt, **known}
            params = {**given, **target.params}
            return Request(engine=target.engine, model=target.model, parts=(part,), params=params)

        if asked.stream:
            answer, outputs = await desk.stream(call, key, named, asking)
            return events(_stretches(desk, outputs, answer), *answer.headers)
        answer = await desk.ask(call, key, named, asking)
    found = _transcript(desk, answer)
    if desk.guards.on_output:
        await desk.guards.let_out(found["text"].encode(), "text/plain")
    if kind not in ("json", "text") and found["text"] and not found["words"]:
        raise InvalidValue("this model tells no times", where="response_format", remedy="json or text")
    if kind == "json":
        return reply(
            {"text": found["text"], "usage": {"type": "duration", "seconds": found["duration"]}},
            *answer.headers,
        )
    if kind == "verbose_json":
        body = {
            "task": task, "language": found["language"], "duration": found["duration"], "text": found["text"],
            "words": [{"word": each["word"], "start": each["start"], "end": each["end"]} for each in found["words"]],
            "segments": found["segments"],
            "usage": {"type": "duration", "seconds": found["duration"]},
        }  # fmt: skip
        return reply(body, *answer.headers)
    text = found["text"] + "\n" if kind == "text" else captions(found["words"], kind)
    return Reply(text.encode(), 200, ((b"content-type", b"text/plain; charset=utf-8"), *answer.headers))


async def translations(desk: Desk, call: Call, key: ApiKey) -> Reply | Flow:
    """Write down in English what a recording says in another language."""
    return await _written(desk, call, key, "translate")


def _transcript(desk: Desk, answer: Answer) -> dict[str, Any]:
    return json.loads(desk.service.shop.artifacts.read(answer.output("transcript").artifact))


async def _stretches(desk: Desk, outputs: AsyncIterator[Output], answer: Answer) -> AsyncIterator[bytes]:
    """What is said, a stretch of speech at a time."""
    spoke = False
    try:
        async for delta in checked(desk, outputs):
            if not isinstance(delta, Delta):
                continue
            text = delta.text if spoke else delta.text.lstrip()
            spoke = True
            yield event({"type": "transcript.text.delta", "delta": text}, "transcript.text.delta")
    except BottegaError as refusal:
        answer.error = refusal
    if answer.error is not None:
        yield event({"type": "error", **body_of(answer.error)}, "error")
        return
    found = _transcript(desk, answer)
    if not spoke:  # an earlier answer under the same idempotency key
        yield event({"type": "transcript.text.delta", "delta": found["text"]}, "transcript.text.delta")
    usage = {"type": "duration", "seconds": found["duration"]}
    yield event(
        {"type": "transcript.text.done", "text": found["text"], "usage": usage}, "transcript.text.done"
    )


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


def _recording(desk: Desk, upload: Upload) -> tuple[Part, float]:
    """An uploaded sound as a part, if it is no longer than is allowed, and how many seconds it lasts."""
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
    return Part(port="audio", name=upload.name, artifact=artifact), round(seconds, 3)
