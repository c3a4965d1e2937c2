"""Each measure gives full marks to its gold and less to its counter-example; known values are met."""

import pytest

from bottega.retrieval.tasks import measures

SOURCE = "Tarnwick gives a warranty of 24 months. Returns go to Dundalk within 30 days."


def test_rouge_l() -> None:
    assert measures.rouge_l("the cat sat", "the cat sat") == 1
    assert measures.rouge_l("police kill the gunman", "police killed the gunman") == pytest.approx(
        0.75
    )  # Lin, 2004
    assert measures.rouge_l("the gunman kill police", "police killed the gunman") == pytest.approx(0.5)
    assert measures.rouge_l("", "x") == 0


def test_coverage_fidelity_and_kept() -> None:
    assert (
        measures.coverage("Returns go to Dundalk", SOURCE) == 1 > measures.coverage("Send it to Cork", SOURCE)
    )
    assert measures.fidelity("A warranty of 24 months.", SOURCE) == 1
    assert measures.fidelity("A warranty of 36 months.", SOURCE) == 0
    assert measures.kept(SOURCE, SOURCE) == 1 > measures.kept("Returns go to Dundalk.", SOURCE)


def test_chrf() -> None:
    assert measures.chrf("la bouilloire", "la bouilloire") == 1
    assert 0.3 < measures.chrf("la bouilloire bleue", "la bouilloire rouge") < 0.9
    assert measures.chrf("abc", "xyz") == 0
    assert measures.chrf("ab", "abcd") < measures.chrf("abcd", "ab")  # recall weighs more than precision


def test_macro_f1_and_interval() -> None:
    assert measures.macro_f1([("a", "a"), ("b", "b")]) == 1
    assert measures.macro_f1([("a", "a"), ("b", None)]) == 0.5
    low, high = measures.interval(8, 10)
    assert (low, high) == (pytest.approx(0.4902, abs=1e-3), pytest.approx(0.9433, abs=1e-3))
    assert measures.interval(0, 0) == (0, 1)


def test_field_scores() -> None:
    right = {"name": "Aoife", "places": ["Cork", "Lyon"]}
    assert measures.field_scores([(right, {"name": "aoife", "places": ["Lyon", "Cork"]})]) == (1, 1, 1)
    scores = measures.field_scores([(right, {"name": "Sean", "places": ["Cork"]})])
    assert (scores.precision, scores.recall) == (0.5, pytest.approx(1 / 3))


def test_reading_ease() -> None:
    easy, hard = (
        "The cat sat on the mat. It was warm.",
        "Notwithstanding considerable remuneration, dissatisfaction persisted.",
    )
    assert measures.reading_ease(easy) > 90 and measures.reading_ease(hard) < 30
