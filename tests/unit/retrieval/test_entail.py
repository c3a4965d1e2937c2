import numpy as np
import pytest
from benchmarks.nli.evaluate import hand

from bottega.catalog.sources import WEIGHTS
from bottega.retrieval.entail import EntailmentMiniLM, Probabilities, decide


def test_what_passes_its_threshold_is_said() -> None:
    assert decide(Probabilities(0.9, 0.05, 0.05)).label == "supports"
    assert decide(Probabilities(0.1, 0.8, 0.1)).label == "contradicts"
    assert decide(Probabilities(0.1, 0.2, 0.7)).label == "not_enough"


def test_in_doubt_it_is_not_enough() -> None:
    assert decide(Probabilities(0.4, 0.3, 0.3)).label == "not_enough"
    assert decide(Probabilities(0.34, 0.34, 0.32)).label == "not_enough"


@pytest.fixture(scope="module")
def judge() -> EntailmentMiniLM:
    return EntailmentMiniLM(WEIGHTS / "entailment-minilm", threads=1)


LAMP = "The Halo lamp costs 49 euros and has a warranty of three years. It must not be used outdoors."


@pytest.mark.parametrize(
    ("said", "label"),
    [
        ("The Halo lamp has a warranty of three years.", "supports"),
        ("The Halo lamp has a warranty of five years.", "contradicts"),
        ("The Halo lamp may be used outdoors.", "contradicts"),
        ("The Halo lamp is made in Portugal.", "not_enough"),
    ],
)
def test_it_accepts_what_is_said_and_refuses_what_is_not(
    judge: EntailmentMiniLM, said: str, label: str
) -> None:
    assert judge.judge([(LAMP, said)])[0].label == label


def test_a_judgement_does_not_depend_on_the_pairs_beside_it(judge: EntailmentMiniLM) -> None:
    pair = (LAMP, "The lamp costs less than 50 euros.")
    alone = judge.judge([pair])[0].probabilities
    beside = judge.judge([(LAMP, "It is blue."), pair, (LAMP * 9, "The lamp " * 40)])[1].probabilities
    assert np.allclose(alone, beside, atol=1e-4)


def test_no_pairs_no_judgements(judge: EntailmentMiniLM) -> None:
    assert judge.judge([]) == []


def test_on_the_hand_written_pairs_it_is_better_than_the_language_model(judge: EntailmentMiniLM) -> None:
    pairs = list(hand())
    judged = judge.judge([(pair.premise, pair.hypothesis) for pair in pairs])
    right = sum(
        (one.label == "supports") == (pair.label == "supports")
        for one, pair in zip(judged, pairs, strict=True)
    )
    assert right / len(pairs) > 0.77  # Qwen2.5-Coder-1.5B, asked for yes or no: 0.768
