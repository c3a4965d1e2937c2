"""Two rankings become one."""

from bottega.retrieval.fusion import blend, fuse


def test_reciprocal_ranks_by_hand() -> None:
    fused = dict(fuse([[1, 2], [2, 3]]))
    assert fused == {1: 1 / 61, 2: 1 / 62 + 1 / 61, 3: 1 / 62}
    assert [one for one, _ in fuse([[1, 2], [2, 1]])] == [1, 2]  # equal scores: the older passage first
    assert dict(fuse([[1], [2]], weights=[1, 2]))[2] == 2 / 61


def test_the_mean_of_scores_by_hand() -> None:
    words, vectors = [(1, 10.0), (2, 5.0)], [(2, 0.9), (3, 0.5), (1, 0.1)]
    assert blend(words, vectors) == [(2, 0.75), (1, 0.5), (3, 0.25)]
    long = [(n, 200.0 - n) for n in range(1, 150)]  # the hundredth is the 0 of a long ranking
    blended = dict(blend(long, []))
    assert blended[1] == 0.5 and blended[50] == round(0.5 * 50 / 99, 6)
    assert blended[100] == blended[149] == 0
    assert [one for one, _ in blend(long, [])] == [one for one, _ in long]


def test_one_ranking_or_one_passage_alone() -> None:
    assert blend([], [(1, 0.4)]) == [(1, 0.5)]
    assert blend([(1, 3.0)], [(1, 0.4)]) == [(1, 1.0)]
    assert blend([], []) == []
