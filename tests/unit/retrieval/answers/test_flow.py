"""The flow: what is borne out stays with its quote, the rest is repaired once, then removed or flagged."""

from typing import Any

import pytest
from tests.answering import POST, WARRANTY, Judge, flow, found

from bottega.retrieval.answers.answer import Answer
from bottega.retrieval.answers.bound import EXCHANGED
from bottega.retrieval.answers.coverage import options
from bottega.retrieval.chunk import Block, compose

DUO = "Rill Duo has a warranty of 36 months."
ASKED = "How long is the warranty of Rill Duo?"


def verbatim(answer: Answer) -> None:
    for sentence in answer.sentences:
        assert sentence.citations
        for each in sentence.citations:
            assert WARRANTY.text[each.start : each.end] == each.quote and each.sha256 == WARRANTY.sha256


async def test_a_sentence_is_quoted_at_its_place() -> None:
    answering, writer = flow(f"[1] {DUO}")
    answer = await answering.answer(ASKED, found())
    assert (answer.outcome, answer.text) == ("answered", DUO)
    assert [each.quote for each in answer.sentences[0].citations] == [DUO]
    verbatim(answer)
    assert answer.sentences[0].verdict == "supports" and answer.spent.calls == 1 == len(writer.asked)
    assert Answer.model_validate_json(answer.model_dump_json()) == answer


async def test_a_wrong_number_is_repaired_once_then_removed() -> None:
    wrong = "Rill Duo has a warranty of 99 months."
    answering, writer = flow(wrong, DUO)
    answer = await answering.answer(ASKED, found())
    assert answer.text == DUO and "no quote holds 99 months" in writer.asked[1].feedback
    answering, writer = flow(wrong)
    answer = await answering.answer(ASKED, found())
    assert (answer.outcome, answer.reason, len(writer.asked)) == ("abstained", "unsupported", 2)
    assert answer.removed[0].text == wrong and answer.nearest[0].passage == WARRANTY.passages[0]


async def test_an_amount_given_to_another_thing_twice_is_told_in_the_words_of_the_source() -> None:
    wrong = "Rill Duo has a warranty of 24 months and Rill One has a warranty of 36 months."
    answer = await flow(wrong)[0].answer(ASKED, found())
    assert (answer.outcome, answer.text) == ("answered", DUO) and answer.spent.calls == 2
    assert answer.removed[0].text == wrong and answer.removed[0].problem.startswith(EXCHANGED)
    verbatim(answer)
    flagged = await flow(wrong, unsupported="flag")[0].answer(ASKED, found())
    assert [each.text for each in flagged.sentences] == [DUO, wrong]
    refusing = Judge(lambda premise, claim: "not_enough")
    assert (await flow(wrong, judge=refusing)[0].answer(ASKED, found())).outcome == "abstained"


async def test_a_sentence_without_support_goes_or_is_flagged_and_the_others_stay() -> None:
    draft = f"{DUO} Rill Quattro has a warranty of 36 months."
    answer = await flow(draft)[0].answer(ASKED, found())
    assert answer.text == DUO and answer.removed[0].problem == "no quote names Quattro"
    answer = await flow(draft, unsupported="flag")[0].answer(ASKED, found())
    assert [bool(each.problem) for each in answer.sentences] == [False, True] and not answer.removed


async def test_what_the_judge_refuses_is_not_said() -> None:
    judge = Judge(lambda premise, claim: "contradicts" if "not" in claim else "supports")
    answering, _ = flow("Rill Duo does not have a warranty of 36 months.", judge=judge)
    answer = await answering.answer(ASKED, found())
    assert answer.outcome == "abstained" and answer.removed[0].verdict == "contradicts"


async def test_the_model_is_not_asked_what_the_sources_cannot_answer() -> None:
    for question, words in (
        ("How long is the warranty of Rill Quattro?", "do not mention Quattro"),
        ("Which colours are sold?", "something else"),
    ):
        answering, writer = flow(DUO)
        answer = await answering.answer(question, found())
        assert (answer.outcome, answer.reason) == ("abstained", "passages_do_not_answer")
        assert words in answer.explanation and writer.asked == []
    answer = await flow(DUO)[0].answer(ASKED, [])
    assert answer.reason == "nothing_found"


async def test_a_question_that_fits_two_things_is_asked_back() -> None:
    answering, writer = flow(DUO)
    answer = await answering.answer("How long is the warranty?", found())
    assert (answer.outcome, answer.options) == ("asks_back", ("Rill One", "Rill Duo")) and writer.asked == []
    assert answer.explanation == "Which one do you mean: Rill One, Rill Duo?"


WHEELS = "Rill One runs on batteries. Rill Duo runs on a cable. Rill Estate opens gates. Wipe the case with a cloth."


@pytest.mark.parametrize(
    ("question", "things"),
    [
        ("What does it run on?", ("Rill One", "Rill Duo")),
        ("How does it work?", ("Rill One", "Rill Duo", "Rill Estate")),
        ("Does it open gates?", ()),  # one thing does
        ("Is it possible to run batteries?", ()),  # "it" stands for nothing
        ("What does Rill Duo do when it runs?", ()),
        ("Which cloth wipes it clean?", ()),  # no named thing
    ],
)
def test_it_alone_is_asked_back_where_several_things_fit(question: str, things: tuple[str, ...]) -> None:
    (page,) = compose("wheels.md", "0" * 64, "text/markdown", [[Block(WHEELS)]]).passages
    assert options(question, [page]) == things


async def test_a_source_that_gives_orders_is_not_shown_to_the_model() -> None:
    answering, writer = flow("Rill Duo has a warranty of 99 months.", DUO)
    answer = await answering.answer(ASKED, found(*POST.passages, *WARRANTY.passages))
    shown = "".join(part.text or "" for request in writer.asked for part in request.parts)
    assert answer.kept_out == 1 and "Ignore" not in shown and "Mulch helps" in shown
    assert answer.text == DUO


async def test_a_source_cannot_cite_for_the_model() -> None:
    answer = await flow(f'{DUO} [secret.md#1] "invented quote" [2]')[0].answer(ASKED, found())
    verbatim(answer)
    assert {c.source for each in answer.sentences for c in each.citations} == {"warranty.md"}


async def test_typed_output_is_cited_field_by_field() -> None:
    schema: dict[str, Any] = {
        "type": "object",
        "properties": {
            "product": {"type": "string"},
            "warranty": {"type": "string"},
            "colour": {"type": "string"},
        },
    }
    said = '{"product": "Rill Duo", "warranty": "36 months", "colour": "Crimson Red"}'
    answering, writer = flow(said)
    answer = await answering.answer(ASKED, found(), schema=schema)
    assert answer.value == {"product": "Rill Duo", "warranty": "36 months", "colour": None}
    assert [each.pointer for each in answer.sentences] == ["/product", "/warranty"]
    assert answer.removed[0].pointer == "/colour" and writer.asked[0].params["json_schema"] == schema
    verbatim(answer)


async def test_what_is_borne_out_and_misses_the_question_is_no_answer() -> None:
    answer = await flow(DUO)[0].answer("Which working days does a repair take?", found())
    assert (answer.outcome, answer.reason) == ("abstained", "passages_do_not_answer")
    assert "about something else" in answer.explanation and answer.removed[0].text == DUO


async def test_numbers_of_a_tool_need_no_quote() -> None:
    claim = "A repair after the warranty costs 90 EUR."
    answering, _ = flow(claim)
    asked = "How much does a repair after the warranty cost?"
    assert (await answering.answer(asked, found())).outcome == "abstained"
    assert (await answering.answer(asked, found(), computed=["total 90 EUR"])).text == claim


async def test_sources_that_contradict_each_other_are_shown_and_not_chosen_from() -> None:
    other = compose("old.md", "2" * 64, "text/markdown", [[Block("Rill Duo has a warranty of 12 months.")]])
    answer = await flow(DUO)[0].answer(ASKED, found(*WARRANTY.passages, *other.passages))
    assert (answer.outcome, answer.reason) == ("abstained", "contradicting_sources")
    assert [each.source for each in answer.removed[0].citations] == ["warranty.md", "old.md"]
    same = compose("same.md", "3" * 64, "text/markdown", [[Block("Rill Duo has a warranty of 3 years.")]])
    assert (await flow(DUO)[0].answer(ASKED, found(*WARRANTY.passages, *same.passages))).text == DUO
