"""Several rankings become one; a reranker may look at the best again."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Protocol

K = 60  # how little the first places weigh more than the next


def fuse(rankings: Sequence[Sequence[int]], weights: Sequence[float] = ()) -> list[tuple[int, float]]:
    """Reciprocal rank fusion: the sum of ``weight / (60 + rank)`` over the rankings that have it, best first.

    Source: Cormack, Clarke and Buettcher, Reciprocal Rank Fusion outperforms Condorcet, SIGIR 2009.
    """
    scores: defaultdict[int, float] = defaultdict(float)
    for ranking, weight in zip(rankings, weights or [1.0] * len(rankings), strict=True):
        for place, one in enumerate(ranking, start=1):
            scores[one] += weight / (K + place)
    return sorted(scores.items(), key=lambda item: (-item[1], item[0]))


class Reranker(Protocol):
    """Reads question and passage together; slower and better than what ranks first."""

    id: str

    def scores(self, query: str, passages: Sequence[str]) -> Sequence[float]:
        """How well each passage answers, higher is better; a passage's score depends on no other passage."""
        ...
