"""Lists for a reranker: the first paragraph answers, and what is held out answers nothing in training."""

import random
from typing import Any

import pytest
from benchmarks.rerank.data import HELD_QUESTIONS, asked, hotpotqa, split, squad

QUESTION: dict[str, Any] = {
    "question": "Which dam lies on the Williams River?",
    "answer": "Grahamstown Dam",
    "supporting_facts": [["Grahamstown Dam", 0], ["Williams River", 0]],
    "context": [
        [title, [f"{title} is described here."]]
        for title in ("Shelly Beach", "Grahamstown Dam", "Niagara Park", "Williams River", "Gosford")
    ],
}


@pytest.mark.parametrize("seed", range(8))
def test_a_list_begins_with_what_answers_and_has_no_other_that_does(seed: int) -> None:
    (one,) = hotpotqa(random.Random(seed), [QUESTION], 4)
    titles = [paragraph.partition("\n")[0] for paragraph in one.paragraphs]
    assert titles[0] in ("Grahamstown Dam", "Williams River")
    assert sorted(titles[1:]) == ["Gosford", "Niagara Park", "Shelly Beach"]


def test_paragraphs_of_the_same_article_follow_as_words_rank_them() -> None:
    texts = ["The dam was built in 1955.", "A dam that was built holds water.", "Whales pass in winter."]
    article = {
        "title": "The_dam",
        "paragraphs": [
            {
                "context": text,
                "qas": [
                    {
                        "question": "When was the dam built?",
                        "is_impossible": n > 0,
                        "answers": [{"text": "1955"}],
                    }
                ],
            }
            for n, text in enumerate(texts)
        ],
    }
    (one,) = squad(random.Random(0), [article], 4)
    assert one.paragraphs == [f"The dam\n{texts[0]}", f"The dam\n{texts[1]}"]


def test_what_is_held_out_answers_nothing_in_training() -> None:
    rows = [{"supporting_facts": [[f"page {n % 400}", 0], [f"page {n % 7}", 0]]} for n in range(900)]
    rest, held = split(rows)
    titles = [{title for row in some for title, _ in row["supporting_facts"]} for some in (rest, held)]
    assert len(held) == HELD_QUESTIONS
    assert titles[0].isdisjoint(titles[1])


def test_a_question_becomes_a_claim_every_second_time() -> None:
    rng = random.Random(0)
    made = {asked(rng, "When was the dam built?", "1955") for _ in range(20)}
    assert "When was the dam built?" in made
    assert len(made) == 2
