from pathlib import Path

import pytest

from bottega.checks.base import Subject
from bottega.checks.profanity import Profanity, ProfanityOptions
from bottega.core.artifact import Artifact
from bottega.core.verdict import Verdict


async def judged(tmp_path: Path, text: str, language: str = "en", **options: object) -> Verdict:
    path = tmp_path / "file"
    path.write_text(text, encoding="utf-8")
    artifact = Artifact(sha256="0" * 64, media_type="text/plain", size=len(text))
    subject = Subject(artifact=artifact, path=path, port="text", language=language)
    return await Profanity().judge(subject, ProfanityOptions.model_validate(options))


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("What a shitty kettle", "en"),
        ("Quelle merde, cette bouilloire", "fr"),
        ("So eine Scheiße", "de"),
        ("Vaya mierda de hervidor", "es"),
        ("Che cazzo di bollitore", "it"),
        ("Que merda de chaleira", "pt"),
        ("Wat een kut waterkoker", "nl"),
        ("This fucking thing", "de"),
    ],
)
async def test_swearing_is_blocked_and_not_repeated(tmp_path: Path, text: str, language: str) -> None:
    verdict = await judged(tmp_path, text, language)
    assert verdict.outcome == "block"
    shown = str(verdict.evidence["found"][0]["word"])
    assert "*" in shown
    assert verdict.evidence["found"][0]["place"].startswith("line 1")


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Scunthorpe, Essex and the cockpit class of assassins", "en"),
        ("Une pédale, une gueule de four et un concours", "fr"),
        ("Der dicke Topf hat eine Rosette", "de"),
        ("Un hervidor negro, de color negro", "es"),
        ("Montare la pompa e tirare la leva", "it"),
        ("A torneira de água e o pau de canela", "pt"),
        ("Een gat in de pot, een bekken en palen", "nl"),
    ],
)
async def test_innocent_words_pass(tmp_path: Path, text: str, language: str) -> None:
    verdict = await judged(tmp_path, text, language)
    assert verdict.outcome == "pass", verdict.reason


async def test_options_decide(tmp_path: Path) -> None:
    assert (await judged(tmp_path, "a shitty kettle", outcome="flag")).outcome == "flag"
    assert (await judged(tmp_path, "a shitty kettle", allow=["Shitty"])).outcome == "pass"
    assert (await judged(tmp_path, "nude colours")).outcome == "pass"
    assert (await judged(tmp_path, "nude colours", doubtful="flag")).outcome == "flag"
