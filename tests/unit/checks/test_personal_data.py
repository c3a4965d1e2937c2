from pathlib import Path

import pytest

from bottega.checks.base import Subject
from bottega.checks.personal_data import PersonalData, PersonalDataOptions
from bottega.core.artifact import Artifact
from bottega.core.passage import Passage
from bottega.core.verdict import Verdict

SOURCE = "Write to help@kettle.example or call +33 1 42 68 53 00."


async def judged(tmp_path: Path, text: str, options: PersonalDataOptions | None = None) -> Verdict:
    path = tmp_path / "file"
    path.write_text(text, encoding="utf-8")
    artifact = Artifact(sha256="0" * 64, media_type="text/markdown", size=len(text))
    passage = Passage(id="s#1", source="s.md", sha256="0" * 64, page=1, start=0, end=len(SOURCE), text=SOURCE)
    subject = Subject(artifact=artifact, path=path, port="text", passages=[passage])
    return await PersonalData().judge(subject, options or PersonalDataOptions())


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("IBAN DE89 3704 0044 0532 0130 00", "IBAN"),
        ("FR14 2004 1010 0505 0001 3M02 606", "IBAN"),
        ("Card 4111 1111 1111 1111", "payment card"),
        ("5500-0000-0000-0004", "payment card"),
        ("NIR 1 84 12 76 451 089 46", "social security number (FR)"),
        ("Steuer-ID 86095742719", "tax number (DE)"),
        ("DNI 12345678Z", "identity number (ES)"),
        ("NIE X1234567L", "identity number (ES)"),
        ("SSN 123-45-6789", "social security number (US)"),
        ("jane.doe@private.example", "e-mail"),
        ("Call 06 12 34 56 78", "phone"),
        ("Call (212) 555-0187", "phone"),
        ("Ruf +49 30 901820", "phone"),
    ],
)
async def test_personal_data_blocks_and_is_shown_masked_only(tmp_path: Path, text: str, kind: str) -> None:
    verdict = await judged(tmp_path, f"A line.\n{text} end.")
    assert verdict.outcome == "block", verdict
    found = verdict.evidence["found"]
    assert [one["kind"] for one in found] == [kind]
    assert found[0]["place"].startswith("line 2")
    secret = text.split(" ", 1)[-1]
    assert secret not in verdict.model_dump_json()


@pytest.mark.parametrize(
    "text",
    [
        "IBAN GB82 WEST 1234 5698 7654 31",
        "Order 4111 1111 1111 1112",
        "DNI 12345678A",
        "SSN 000-12-3456",
        "The kettle holds 1,700 ml, draws 2200 W and costs 1 299,00 EUR since 2026-03-01.",
        "Part 8714253960012, version 10.2.3.4",
        "At 127.0.0.1 or 192.168.1.10",
        "From 12:30 to 14:45, rooms 101 102 103",
    ],
)
async def test_what_only_looks_like_it_passes(tmp_path: Path, text: str) -> None:
    verdict = await judged(tmp_path, text, PersonalDataOptions(address="pass"))
    assert verdict.outcome == "pass", verdict.evidence


async def test_contacts_of_the_sources_are_flagged_and_allowed_ones_pass(tmp_path: Path) -> None:
    text = "Write to help@kettle.example or call +33 1 42 68 53 00."
    assert (await judged(tmp_path, text)).outcome == "flag"
    allow = PersonalDataOptions(allow=("*@KETTLE.example", "+33 1 42*"))
    assert (await judged(tmp_path, text, allow)).outcome == "pass"


async def test_a_public_address_is_flagged(tmp_path: Path) -> None:
    assert (await judged(tmp_path, "Seen from 8.8.8.8 today")).outcome == "flag"
