"""Captions: sentences with times become cues of at most two lines, and a WebVTT file."""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

_LINE = 42  # characters, the usual limit for reading at ease
_GAP = 0.04  # seconds between cues of one sentence, so that they never overlap


@dataclass(frozen=True)
class Segment:
    """A sentence with its times in seconds; ``paragraph`` is -1 where unknown."""

    start: float
    end: float
    text: str
    paragraph: int = -1


@dataclass(frozen=True)
class Cue:
    """What stands on screen from ``start`` to ``end`` seconds."""

    start: float
    end: float
    lines: tuple[str, ...]


def cues(segments: Sequence[Segment]) -> list[Cue]:
    """Cut each sentence into balanced cues; time is shared by length."""
    found: list[Cue] = []
    for segment in segments:
        lines = _balanced(segment.text, _LINE)
        pairs = [tuple(_balanced(" ".join(lines[i : i + 2]), _LINE)) for i in range(0, len(lines), 2)]
        letters = sum(len(line) for line in lines)
        start = segment.start
        for pair in pairs:
            share = (segment.end - segment.start) * sum(len(line) for line in pair) / max(1, letters)
            end = segment.end if pair is pairs[-1] else start + share - _GAP
            found.append(Cue(round(start, 3), round(end, 3), pair))
            start += share
    return found


def _balanced(text: str, width: int) -> list[str]:
    """Wrap into as few lines as possible, then as evenly as those lines allow."""
    lines = textwrap.wrap(text, width) or [text]
    for narrower in range(max(1, len(text) // len(lines)), width):
        again = textwrap.wrap(text, narrower, break_long_words=False)
        if len(again) == len(lines) and max(len(line) for line in again) <= width:
            return again
    return lines


def webvtt(found: Sequence[Cue]) -> str:
    """The WebVTT file (W3C) of these cues."""
    blocks = [
        f"{_stamp(cue.start)} --> {_stamp(cue.end)}\n" + "\n".join(map(_escape, cue.lines)) for cue in found
    ]
    return "\n\n".join(["WEBVTT", *blocks]) + "\n"


def _escape(line: str) -> str:
    return line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _stamp(seconds: float) -> str:
    milliseconds = round(seconds * 1000)
    minutes, rest = divmod(milliseconds, 60_000)
    return f"{minutes // 60:02}:{minutes % 60:02}:{rest // 1000:02}.{rest % 1000:03}"
