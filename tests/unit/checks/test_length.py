import wave
from pathlib import Path

import pytest

from bottega.checks.base import Subject
from bottega.checks.length import Length, LengthOptions
from bottega.core.artifact import Artifact
from bottega.core.errors import EngineFailed


def subject(path: Path, media_type: str) -> Subject:
    data = path.read_bytes()
    return Subject(
        artifact=Artifact(sha256="0" * 64, media_type=media_type, size=len(data)), path=path, port="text"
    )


async def test_words_within_and_beyond_the_limits(tmp_path: Path) -> None:
    text = tmp_path / "a.md"
    text.write_text("one two three four")
    judge = Length().judge
    assert (await judge(subject(text, "text/markdown"), LengthOptions(max_words=4))).outcome == "pass"
    long = await judge(subject(text, "text/markdown"), LengthOptions(max_words=3))
    assert (long.outcome, long.reason) == ("block", "4 words, at most 3 were asked")
    assert (await judge(subject(text, "text/markdown"), LengthOptions(min_characters=40))).outcome == "block"
    text.write_text(" \n")
    assert (await judge(subject(text, "text/markdown"), LengthOptions())).outcome == "block", "empty"


async def test_pages_of_a_document(tmp_path: Path) -> None:
    import typst

    path = tmp_path / "a.pdf"
    path.write_bytes(typst.compile(b"One page. #pagebreak() Two pages."))
    judge = Length().judge
    assert (await judge(subject(path, "application/pdf"), LengthOptions(max_pages=2))).outcome == "pass"
    assert (await judge(subject(path, "application/pdf"), LengthOptions(max_pages=1))).outcome == "block"


async def test_seconds_of_sound(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    with wave.open(str(path), "wb") as sound:
        sound.setparams((1, 2, 8000, 0, "NONE", ""))
        sound.writeframes(bytes(2 * 8000 * 3))
    judge = Length().judge
    assert (
        await judge(subject(path, "audio/wav"), LengthOptions(min_seconds=3, max_seconds=3))
    ).outcome == "pass"
    assert (await judge(subject(path, "audio/wav"), LengthOptions(max_seconds=2.5))).outcome == "block"


async def test_a_film_of_unknown_length_cannot_be_judged(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(b"film")
    with pytest.raises(EngineFailed, match="how long"):
        await Length().judge(subject(path, "video/mp4"), LengthOptions(max_seconds=1))
