"""Sound: what is said, by the engine `transcribe`, one paragraph for about half a minute."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

from bottega.core.errors import EngineFailed, InvalidValue
from bottega.core.request import Part, Request
from bottega.retrieval.chunk import Block
from bottega.retrieval.convert.reading import Pages, Reading

_SPAN = 30.0  # seconds


async def read(reading: Reading) -> Pages:
    """One page; the heading of every passage is the time at which it begins and ends.

    Raises:
        UnreadableSource: when no recognition is at hand, it fails, or nothing is said.
    """
    if reading.ask is None or reading.store is None:
        raise reading.refuse(
            "this is sound, and no speech recognition is at hand",
            "pip install 'bottega[transcribe]', or give a transcript as text",
        )
    part = Part(port="audio", name=reading.name, artifact=reading.store(reading.data, reading.media_type))
    try:
        files = await reading.ask(Request(engine="transcribe", parts=(part,)))
    except (EngineFailed, InvalidValue) as error:
        raise reading.refuse(f"the speech could not be recognised: {error.message}", error.remedy) from error
    heard: dict[str, Any] = json.loads(next((one.data for one in files if one.data), b"{}"))
    blocks: list[Block] = []
    for start, end, text in _spans(heard.get("words", ())):
        blocks += [Block(f"{_clock(start)} to {_clock(end)}", "heading", 1), Block(text)]
    reading.notes.append("read by speech recognition")
    return [blocks]


def _spans(words: Sequence[dict[str, Any]]) -> Iterator[tuple[float, float, str]]:
    """Words gathered for thirty seconds, on to the end of the sentence while that is near."""
    held: list[dict[str, Any]] = []
    for word in words:
        if held:
            length = word["start"] - held[0]["start"]
            ended = str(held[-1]["word"]).rstrip().endswith((".", "!", "?"))
            if length >= _SPAN * 1.4 or (length >= _SPAN * 0.8 and ended):
                yield _span(held)
                held = []
        held.append(word)
    if held:
        yield _span(held)


def _span(held: Sequence[dict[str, Any]]) -> tuple[float, float, str]:
    text = " ".join(str(word["word"]).strip() for word in held)
    return float(held[0]["start"]), float(held[-1]["end"]), text


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
