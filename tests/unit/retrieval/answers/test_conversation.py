"""Follow-up questions are completed in the conversation's own words; what came before is summed up with its citations."""

import pytest
from tests.answering import Writer

from bottega.retrieval.answers.answer import Citation, Sentence
from bottega.retrieval.answers.conversation import Turn, conversation, find, leans, standalone


def turn(question: str, said: str) -> Turn:
    quote = Citation(source="a.md", sha256="0" * 64, page=1, start=0, end=len(said), quote=said)
    return Turn(
        at="2026-01-01T00:00:00Z",
        question=question,
        outcome="answered",
        sentences=(Sentence(text=said, citations=(quote,)),),
    )


TURNS = [
    turn(f"How much is delivery to {place}?", f"Delivery to {place} costs {price} EUR.")
    for place, price in [
        ("Belgium", 5),
        ("France", 8),
        ("Germany", 6),
        ("Spain", 9),
        ("Austria", 7),
        ("Italy", 10),
    ]
]


@pytest.mark.parametrize(
    "question", ["And in Norway?", "What about France?", "How long does it take?", "Why?"]
)
def test_a_question_that_needs_an_earlier_one_is_seen(question: str) -> None:
    assert leans(question, TURNS[-1])
    assert not leans("How long is the warranty of Rill Duo?", TURNS[-1])


def test_a_short_reply_to_a_question_back_leans_on_it() -> None:
    back = Turn(at="", question="How long is the warranty?", outcome="asks_back")
    assert leans("Rill Duo", back) and not leans("Rill Duo", TURNS[-1])


async def test_the_rewritten_question_uses_words_of_the_conversation_only() -> None:
    good = Writer(["How much is delivery to Norway"])
    assert await standalone("And to Norway?", TURNS, good, "") == "How much is delivery to Norway?"
    assert "Italy" in good.asked[0].params["prompt"] and "Belgium" not in good.asked[0].params["prompt"]
    for said in ("How much is the secret tunnel to Norway?", "How much is delivery to Italy?"):
        assert (
            await standalone("And to Norway?", TURNS, Writer([said]), "")
            == "How much is delivery to Italy? And to Norway?"
        )


def test_older_turns_become_a_cited_summary() -> None:
    held = conversation("s", TURNS)
    assert [each.question for each in held.turns] == [each.question for each in TURNS[2:]]
    assert [each.text for each in held.summary] == [
        "Delivery to Belgium costs 5 EUR.",
        "Delivery to France costs 8 EUR.",
    ]
    assert all(each.citations for each in held.summary) and held.count == 6


def test_history_is_searched() -> None:
    assert find(TURNS, "spain")[0] == TURNS[3]
    assert find(TURNS, "kangaroo") == []
