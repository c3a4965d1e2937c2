"""Which scene stands when: scenes follow the sentences of the narration."""

import json
from collections.abc import Sequence

from bottega.core.errors import EngineFailed
from bottega.engines.video_captions import Segment

_SHORTEST = 1.5  # seconds; a shorter scene, such as a spoken heading, is a flash


def segments_of(timings: str) -> list[Segment]:
    """Read a timings file.

    Raises:
        EngineFailed: the file has not the shape that `speech` writes.
    """
    try:
        return [
            Segment(float(one["start"]), float(one["end"]), str(one["text"]), int(one.get("paragraph", -1)))
            for one in json.loads(timings)["segments"]
        ]
    except (ValueError, KeyError, TypeError) as error:
        raise EngineFailed(
            "the timings cannot be read",
            where="timings",
            remedy='send {"segments": [{"start", "end", "text"}]}',
        ) from error


def scene_starts(
    scenes: int, segments: Sequence[Segment], duration: float, breaks: Sequence[int]
) -> list[float]:
    """The second at which each scene starts; the first starts at 0.

    With ``breaks`` scene i+1 starts with segment ``breaks[i]``. Without, each paragraph gets a scene where there are as
    many paragraphs as scenes and none is a flash; else the sentences are shared out evenly by time; without enough sentences, the time is.

    Raises:
        EngineFailed: the breaks do not fit the scenes and segments.
    """
    if breaks:
        rising = all(before < after for before, after in zip([0, *breaks], breaks, strict=False))
        if len(breaks) != scenes - 1 or not rising or breaks[-1] >= len(segments):
            raise EngineFailed(
                f"{len(breaks)} breaks do not fit {scenes} scenes and {len(segments)} sentences",
                where="breaks",
                remedy="one rising sentence index for each scene after the first",
            )
        return [0.0, *(_between(segments, index) for index in breaks)]
    firsts = [
        i
        for i, one in enumerate(segments)
        if i and one.paragraph != segments[i - 1].paragraph and one.paragraph >= 0
    ]
    if len(firsts) == scenes - 1:
        starts = [0.0, *(_between(segments, index) for index in firsts)]
        if all(end - start >= _SHORTEST for start, end in zip(starts, [*starts[1:], duration], strict=True)):
            return starts
    if len(segments) < scenes:
        return [duration * index / scenes for index in range(scenes)]
    starts = [0.0]
    index = 0
    for scene in range(1, scenes):
        candidates = range(index + 1, len(segments) - (scenes - scene) + 1)
        index = min(
            candidates, key=lambda i, ideal=duration * scene / scenes: abs(_between(segments, i) - ideal)
        )
        starts.append(_between(segments, index))
    return starts


def _between(segments: Sequence[Segment], index: int) -> float:
    """The middle of the pause before a segment."""
    return (segments[index - 1].end + segments[index].start) / 2
