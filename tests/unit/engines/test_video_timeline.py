"""Scenes, captions and frames without ffmpeg."""

import io
from itertools import pairwise

import pytest
from PIL import Image

from bottega.core.errors import EngineFailed
from bottega.engines.video_captions import Segment, cues, webvtt
from bottega.engines.video_frames import Frames
from bottega.engines.video_timeline import scene_starts, segments_of

SIX = [Segment(i * 4.0, i * 4.0 + 3.6, f"Sentence {i}.", i // 2) for i in range(6)]  # 24 s, 3 paragraphs


def png(color: str, size: tuple[int, int] = (320, 180)) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, color).save(buffer, "PNG")
    return buffer.getvalue()


def test_a_scene_for_each_paragraph() -> None:
    assert scene_starts(3, SIX, 24.0, ()) == pytest.approx([0, 7.8, 15.8])


def test_sentences_are_shared_out_evenly() -> None:
    assert scene_starts(2, SIX, 24.0, ()) == pytest.approx([0, 11.8])
    assert scene_starts(5, SIX, 24.0, ()) == pytest.approx([0, 3.8, 7.8, 15.8, 19.8])


def test_breaks_are_kept() -> None:
    assert scene_starts(3, SIX, 24.0, (1, 5)) == pytest.approx([0, 3.8, 19.8])


@pytest.mark.parametrize("breaks", [(1,), (5, 1), (0, 1), (1, 6)])
def test_breaks_that_do_not_fit(breaks: tuple[int, ...]) -> None:
    with pytest.raises(EngineFailed, match="do not fit"):
        scene_starts(3, SIX, 24.0, breaks)


def test_without_sentences_time_is_shared() -> None:
    assert scene_starts(4, [], 24.0, ()) == [0, 6, 12, 18]


def test_captions_are_two_short_lines_in_order() -> None:
    long = Segment(1.0, 9.0, "It boils a full 1.7 L in 3 minutes & 40 seconds, " * 3, 0)
    found = cues([long, Segment(9.4, 10.4, "Aria.")])
    assert all(1 <= len(cue.lines) <= 2 and max(map(len, cue.lines)) <= 42 for cue in found)
    assert all(before.end <= after.start for before, after in pairwise(found))
    assert (found[0].start, found[-1].end) == (1.0, 10.4)
    assert " ".join(line for cue in found[:-1] for line in cue.lines) == long.text.strip()
    text = webvtt(found)
    assert text.startswith("WEBVTT\n\n00:00:01.000 --> ")
    assert "minutes &amp; 40" in text.replace("\n", " ")


def test_timings_of_another_shape() -> None:
    with pytest.raises(EngineFailed, match="timings"):
        segments_of('{"parts": []}')


def test_frames_cross_from_scene_to_scene() -> None:
    frames = Frames([png("red"), png("blue", (90, 160))], [0.0, 2.0], 4.0, (320, 180), 0.6)
    assert frames.at(0).size == (320, 180)
    assert frames.at(1.0).getpixel((160, 90)) == (255, 0, 0)
    red, _, blue = frames.at(2.0).getpixel((160, 90))
    assert abs(red - 127) < 12 and abs(blue - 127) < 12
    assert frames.at(3.9).getpixel((160, 90)) == (0, 0, 255)


def test_a_scene_that_is_no_picture() -> None:
    with pytest.raises(EngineFailed, match="scene 2"):
        Frames([png("red"), b"no picture"], [0.0, 1.0], 2.0, (320, 180), 0.0)
