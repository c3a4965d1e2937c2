"""The comparison of script and recognition, with a recogniser that says what the test wants."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from bottega.checks.base import InputFile, Subject
from bottega.checks.speech_matches import SpeechMatches, SpeechMatchesOptions, compare
from bottega.core.artifact import Artifact
from bottega.core.request import Finished, Request
from bottega.core.verdict import Verdict

SCRIPT = "# Aria\n\nThe kettle holds **1.7 L** and boils with 2200 W in 3 minutes. It costs €49.90."
AUDIO = Artifact(sha256="0" * 64, media_type="audio/wav", size=1)


async def judge(tmp_path: Path, heard: str) -> Verdict:
    script = tmp_path / "script.md"
    script.write_text(SCRIPT, encoding="utf-8")
    asked: list[Request] = []

    async def ask(request: Request) -> Sequence[Finished]:
        asked.append(request)
        data = json.dumps({"text": heard, "language": "en", "duration": 9.0, "words": []}).encode()
        return [Finished(port="transcript", media_type="application/json", data=data)]

    subject = Subject(
        artifact=AUDIO,
        path=tmp_path / "audio.wav",
        port="audio",
        params={"language": "en"},
        inputs=[InputFile("script", "script.md", AUDIO, script)],
        ask=ask,
    )
    verdict = await SpeechMatches().judge(subject, SpeechMatchesOptions())
    assert asked[0].engine == "transcribe"
    assert asked[0].params == {"language": "en"}
    assert asked[0].parts[0].artifact == AUDIO
    return verdict


async def test_the_same_words_written_differently_pass(tmp_path: Path) -> None:
    verdict = await judge(
        tmp_path,
        "Aria, the kettle holds one point seven liters and boils with 2,200 watts in three minutes. "
        "It costs 49 euros and 90 cents",
    )
    assert (verdict.outcome, verdict.score) == ("pass", 0.0)


async def test_one_wrong_word_passes_and_is_named(tmp_path: Path) -> None:
    verdict = await judge(tmp_path, SCRIPT.replace("kettle", "battle"))
    assert verdict.outcome == "pass"
    assert verdict.evidence["differences"] == [{"script": "kettle", "heard": "battle"}]


async def test_one_wrong_number_is_flagged(tmp_path: Path) -> None:
    verdict = await judge(tmp_path, SCRIPT.replace("€49.90", "€59.90"))
    assert verdict.outcome == "flag"
    assert verdict.score is not None and verdict.score < 0.15


async def test_a_few_wrong_words_are_flagged_and_named(tmp_path: Path) -> None:
    verdict = await judge(
        tmp_path, "Aria. The battle holds 1.7 L and boils with 2200 W in 5 hours. It costs €49.19."
    )
    assert verdict.outcome == "flag"
    assert {"script": "kettle", "heard": "battle"} in verdict.evidence["differences"]


async def test_another_text_is_blocked(tmp_path: Path) -> None:
    verdict = await judge(tmp_path, "Thank you for watching this film about the sea.")
    assert verdict.outcome == "block"
    assert verdict.score is not None and verdict.score > 0.35


async def test_nothing_heard_is_blocked(tmp_path: Path) -> None:
    verdict = await judge(tmp_path, "")
    assert (verdict.outcome, verdict.score) == ("block", 1.0)


async def test_without_a_script_it_raises() -> None:
    with pytest.raises(ValueError, match="script"):
        await SpeechMatches().judge(
            Subject(artifact=AUDIO, path=Path("a.wav"), port="audio"), SpeechMatchesOptions()
        )


def test_french() -> None:
    rate, differences = compare(
        "Elle coûte 49,90 € et fait 1,7 L.", "Elle coûte 49 euros 90 et fait 1,7 litre.", "fr"
    )
    assert (rate, differences) == (0.0, [])
