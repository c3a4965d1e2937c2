"""Facts of a text that must come through, and must not come out of nothing."""

from pathlib import Path

import pytest

from bottega.checks.base import InputFile, Subject
from bottega.checks.facts import missing, names_of
from bottega.checks.facts_kept import FactsKept, FactsKeptOptions
from bottega.core.artifact import Artifact
from bottega.core.verdict import Verdict

SOURCE = "Returns go to Tarnwick in Dundalk within 30 days. A repair of the Morrow Press costs 1,299.50 EUR."
GOLD = "Send returns to Tarnwick, Dundalk, within 30 days. Repairing the Morrow Press costs 1299.50 EUR."
TEXT = Artifact(sha256="0" * 64, media_type="text/plain", size=1)


async def judged(folder: Path, text: str, **options: object) -> Verdict:
    (folder / "source").write_text(SOURCE)
    (folder / "text").write_text(text)
    given = InputFile("text", "source", TEXT, folder / "source")
    subject = Subject(artifact=TEXT, path=folder / "text", port="text", inputs=[given])
    return await FactsKept().judge(subject, FactsKeptOptions.model_validate(options))


async def test_the_same_facts_in_other_words_pass(tmp_path: Path) -> None:
    verdict = await judged(tmp_path, GOLD)
    assert (verdict.outcome, verdict.evidence) == ("pass", {"added": [], "lost": []})


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("30 days", "14 days", "added: '14 days'; lost: '30 days'"),
        ("1299.50 EUR", "little", "lost: '1,299.50 EUR'"),
        ("Dundalk", "Newry", "added: 'Newry'; lost: 'Dundalk'"),
    ],
)
async def test_a_changed_fact_is_blocked_and_named(tmp_path: Path, old: str, new: str, said: str) -> None:
    verdict = await judged(tmp_path, GOLD.replace(old, new))
    assert (verdict.outcome, verdict.reason) == ("block", said)


async def test_a_summary_may_leave_out_but_not_add(tmp_path: Path) -> None:
    assert (await judged(tmp_path, "Returns within 30 days.", lost="pass")).outcome == "pass"
    assert (await judged(tmp_path, "Returns within 60 days.", lost="pass")).outcome == "block"


def test_names_and_units() -> None:
    assert names_of("# The Kettle\n\nHe met Aoife and iRobot. Today it rained.") == [
        "Kettle",
        "Aoife",
        "iRobot",
    ]
    assert not missing("It takes 24 months.", "It takes two years.")
    assert missing("It takes 24 months.", "It takes 24 days.").numbers == ("24 months",)
