"""The engine `entail`: an answer whose quotes do not say it is left out, whoever judges."""

import json
from typing import Any

import pytest
from tests.answering import WARRANTY, Judge

from bottega.core.errors import EngineFailed
from bottega.core.request import Finished, Part, Request
from bottega.engines.base import Bench
from bottega.retrieval import entail_step
from bottega.retrieval.cite import Cite
from bottega.retrieval.document import dump_passages
from bottega.retrieval.entail_step import EntailStep

ONE = ("How long is the warranty of Rill One?", "Rill One has a warranty of 24 months.")
NOT = ("How long is the warranty of Rill Duo?", "Rill Duo has not a warranty of 36 months.")
TWO = (
    "What does a repair cost?",
    "A repair after the warranty costs 45 EUR. It does not take about 8 working days.",
)
GERMAN = ("Wie lange ist die Garantie von Rill One?", "Die Garantie von Rill One ist nicht 24 Monate.")
PASSAGES = Part(port="passages", name="search", text=dump_passages("q", WARRANTY.passages).decode())


@pytest.fixture(autouse=True)
def judge(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """A judge for whom a `not` in the answer contradicts; gives the pairs that it has read."""
    read: list[tuple[str, str]] = []

    def says(premise: str, claim: str) -> Any:
        read.append((premise, claim))
        return "contradicts" if {"not", "nicht"} & set(claim.split()) else "supports"

    def named(*given: object) -> Judge:
        return Judge(says)

    monkeypatch.setattr(entail_step, "judge_named", named)
    return read


async def cited(bench: Bench, *pairs: tuple[str, str]) -> dict[str, Any]:
    draft = {"items": [{"question": question, "answer": answer} for question, answer in pairs]}
    parts = (Part(port="draft", name="draft", text=json.dumps(draft)), PASSAGES)
    request = Request(engine="cite", parts=parts, params={"min_score": 0.0, "drop_unsupported": False})
    (made,) = [each async for each in Cite().generate(request, bench) if isinstance(each, Finished)]
    return json.loads(made.data or b"")


async def judged(bench: Bench, draft: Any, **params: Any) -> tuple[list[dict[str, Any]], Finished]:
    parts = (Part(port="cited", name="cited", text=json.dumps(draft)), PASSAGES)
    request = Request(engine="entail", parts=parts, params=params)
    *_, last = [each async for each in EntailStep().generate(request, bench)]
    assert isinstance(last, Finished)
    return json.loads(last.data or b"")["items"], last


async def test_what_the_quotes_do_not_support_is_left_out(bench: Bench, judge: list[tuple[str, str]]) -> None:
    items, made = await judged(bench, await cited(bench, ONE, NOT, TWO))
    assert [item["answer"] for item in items] == [ONE[1]]
    assert items[0]["entailment"] == {"verdict": "supports", "score": 0.9} and items[0]["citations"]
    assert [each["verdict"] for each in made.details["dropped"]] == ["contradicts", "contradicts"]
    premise, claim = judge[0]
    assert claim == ONE[1] and premise == "Warranty: Rill One has a warranty of 24 months."
    assert [claim for _, claim in judge[2:]] == [
        "A repair after the warranty costs 45 EUR.",
        "It does not take about 8 working days.",
    ]


async def test_flagged_answers_stay_and_say_so(bench: Bench) -> None:
    items, _ = await judged(bench, await cited(bench, TWO, ONE), unsupported="flag")
    assert [item["entailment"]["verdict"] for item in items] == ["contradicts", "supports"]


async def test_an_answer_in_a_language_that_the_judge_does_not_read_stays(
    bench: Bench, judge: list[tuple[str, str]]
) -> None:
    items, _ = await judged(bench, await cited(bench, GERMAN, ONE))
    assert [item["entailment"]["verdict"] for item in items] == ["not_judged", "supports"] and len(judge) == 1
    items, _ = await judged(bench, await cited(bench, GERMAN, ONE), languages=["de", "en"])
    assert [item["answer"] for item in items] == [ONE[1]]


async def test_an_answer_without_a_quote_is_not_supported(bench: Bench) -> None:
    with pytest.raises(EngineFailed, match="no answer is supported by its quotes: Rill Duo has not"):
        await judged(bench, await cited(bench, NOT))
    none: list[Any] = []
    bare = {"items": [{"question": "?", "answer": "Rill One is red.", "citations": none}]}
    with pytest.raises(EngineFailed, match="no answer is supported"):
        await judged(bench, bare)


NO_DRAFTS: list[Any] = [
    {"items": [{"question": "?", "answer": "Yes."}]},
    {"items": "x"},
    [],
    {"claims": [{}]},
]


@pytest.mark.parametrize("draft", NO_DRAFTS)
async def test_what_is_no_cited_draft_is_refused(bench: Bench, draft: Any) -> None:
    with pytest.raises(EngineFailed, match="no cited draft"):
        await judged(bench, draft)


async def test_the_passages_must_be_those_that_it_was_cited_from(bench: Bench) -> None:
    draft = await cited(bench, ONE)
    draft["items"][0]["citations"][0]["passage"] = "else.md#1"
    with pytest.raises(EngineFailed, match=r"cites 'else\.md#1'"):
        await judged(bench, draft)
