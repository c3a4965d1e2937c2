from bottega.retrieval.entail import Probabilities, decide


def test_what_passes_its_threshold_is_said() -> None:
    assert decide(Probabilities(0.9, 0.05, 0.05)).label == "supports"
    assert decide(Probabilities(0.1, 0.8, 0.1)).label == "contradicts"
    assert decide(Probabilities(0.1, 0.2, 0.7)).label == "not_enough"


def test_in_doubt_it_is_not_enough() -> None:
    assert decide(Probabilities(0.4, 0.3, 0.3)).label == "not_enough"
    assert decide(Probabilities(0.34, 0.34, 0.32)).label == "not_enough"
