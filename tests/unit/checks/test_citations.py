import json
from pathlib import Path
from typing import Any

import pytest

from bottega.checks.base import InputFile, Subject
from bottega.checks.citations import Citations, CitationsOptions
from bottega.core.artifact import Artifact
from bottega.core.errors import EngineFailed
from bottega.core.passage import Passage
from bottega.core.verdict import Verdict

DOCUMENT = "Kettle sheet.\nThe kettle holds 1.7 L of water. The guarantee lasts two years."
PASSAGE = Passage(
    id="sheet.md#1",
    source="sheet.md",
    sha256="0" * 64,
    page=1,
    start=14,
    end=len(DOCUMENT),
    text=DOCUMENT[14:],
)


def cited(answer: str = "It holds 1.7 L.", **changes: Any) -> dict[str, Any]:
    quote = "The kettle holds 1.7 L of water."
    start = DOCUMENT.index(quote)
    citation = {
        "passage": "sheet.md#1",
        "source": "sheet.md",
        "page": 1,
        "start": start,
        "end": start + len(quote),
    }
    return {
        "question": "How much does it hold?",
        "answer": answer,
        "citations": [citation | {"quote": quote, "score": 0.9} | changes],
    }


async def judged(tmp_path: Path, items: list[dict[str, Any]], **options: Any) -> Verdict:
    path = tmp_path / "faq.json"
    path.write_text(json.dumps({"items": items}))
    artifact = Artifact(sha256="0" * 64, media_type="application/json", size=1)
    subject = Subject(artifact=artifact, path=path, port="cited", passages=[PASSAGE])
    return await Citations().judge(subject, CitationsOptions.model_validate(options))


async def test_a_verbatim_quote_at_its_place_passes(tmp_path: Path) -> None:
    verdict = await judged(tmp_path, [cited(), cited("It holds 1.7 litres, or 1700 ml.")])
    assert (verdict.outcome, verdict.score) == ("pass", 1.0)


@pytest.mark.parametrize(
    ("item", "problem"),
    [
        (cited(quote="The kettle holds 1.8 L of water."), "does not stand"),
        (cited(start=15), "does not stand"),
        (cited(start=0, end=13, quote="Kettle sheet."), "does not stand"),
        (cited(quote="", start=14, end=14), "does not stand"),
        (cited(passage="sheet.md#9"), "no passage"),
        (cited(page=2), "page 2"),
        (cited("It holds 1.9 L."), "'1.9 L' stands in none"),
        (cited("The guarantee is two years."), "'two years' stands in none"),
        ({"question": "Why?", "answer": "Because."}, "cites 0 passages"),
    ],
)
async def test_anything_else_blocks_with_the_item(tmp_path: Path, item: dict[str, Any], problem: str) -> None:
    verdict = await judged(tmp_path, [cited(), item])
    assert verdict.outcome == "block"
    assert [one["item"] for one in verdict.evidence["problems"]] == [2]
    assert problem in verdict.evidence["problems"][0]["problem"]


async def test_more_citations_may_be_asked(tmp_path: Path) -> None:
    assert (await judged(tmp_path, [cited()], least=2)).outcome == "block"


async def test_no_answers_cannot_pass(tmp_path: Path) -> None:
    with pytest.raises(EngineFailed):
        await judged(tmp_path, [])


async def test_the_page_rendered_from_it_holds_the_same_words(tmp_path: Path) -> None:
    data, page = tmp_path / "faq.json", tmp_path / "faq.md"
    data.write_text(json.dumps({"items": [cited()]}))
    json_artifact = Artifact(sha256="1" * 64, media_type="application/json", size=1)

    async def rendered(markdown: str, inputs: list[InputFile]) -> Verdict:
        page.write_text(markdown)
        artifact = Artifact(sha256="0" * 64, media_type="text/markdown", size=1)
        subject = Subject(artifact=artifact, path=page, port="text", passages=[PASSAGE], inputs=inputs)
        return await Citations().judge(subject, CitationsOptions())

    inputs = [InputFile(port="data", name="cited", artifact=json_artifact, path=data)]
    good = "## How much?\n\nIt holds **1.7 L**.\n\n> The kettle holds 1.7 L\n> of water.\n>\n> — sheet.md, p. 1, 14–46\n"
    assert (await rendered(good, inputs)).outcome == "pass"
    assert (await rendered(good.replace("**1.7", "**1.9"), inputs)).outcome == "block"
    assert (await rendered(good.replace("of water", "of tea"), inputs)).outcome == "block"
    with pytest.raises(EngineFailed):
        await rendered(good, [])
