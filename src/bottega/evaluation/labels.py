"""Classifiers to beat: words weighted by how rare they are (TF-IDF), nearest centroid and logistic regression; and measures."""

import re
from collections import Counter
from collections.abc import Sequence
from typing import cast

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

WORD = re.compile(rb"[a-z0-9+]+")


def accuracy(said: Tensor, true: Tensor) -> float:
    """Share of right answers, both int64 [N]."""
    return float((said == true).float().mean())


def macro_f1(said: Tensor, true: Tensor) -> float:
    """F1 of each class that occurs, averaged: rare classes count as much as frequent ones."""
    found: list[float] = []
    for kind in sorted(set(cast(list[int], true.tolist()))):
        both = ((said == kind) & (true == kind)).sum()
        found.append(float(2 * both / ((said == kind).sum() + (true == kind).sum())))
    return sum(found) / len(found)


class TfIdf:
    """Texts as sparse vectors of length one: (1 + log count) (1 + log((1 + N) / (1 + texts with the word))). Salton 1988.

    Words that stand in one training text only are left out, and all but the ``words`` most frequent.
    """

    def __init__(self, texts: Sequence[bytes], words: int = 50_000) -> None:
        seen = Counter(word for text in texts for word in set(WORD.findall(text.lower())))
        kept = [word for word, count in seen.most_common(words) if count > 1] or list(seen)
        self.places = {word: place for place, word in enumerate(kept)}
        self.rarity = [1 + np.log((1 + len(texts)) / (1 + seen[word])) for word in kept]

    def __call__(self, texts: Sequence[bytes]) -> "Sparse":
        """The vectors of texts."""
        rows: list[int] = []
        columns: list[int] = []
        values: list[float] = []
        for row, text in enumerate(texts):
            for word, count in Counter(WORD.findall(text.lower())).items():
                place = self.places.get(word)
                if place is not None:
                    rows.append(row)
                    columns.append(place)
                    values.append((1 + np.log(count)) * self.rarity[place])
        return Sparse(*triple(rows, columns, values), len(texts), len(self.rarity))


def triple(rows: list[int], columns: list[int], values: list[float]) -> tuple[Tensor, Tensor, Tensor]:
    """Where a matrix is not zero, and what it is there, as tensors; also of one that is zero everywhere."""
    where = (torch.tensor(rows, dtype=torch.int64), torch.tensor(columns, dtype=torch.int64))
    return *where, torch.tensor(values, dtype=torch.float32)


class Sparse:
    """A matrix [N, words], mostly zero, with rows of length one unless told otherwise.

    ``values`` stand at ``rows`` and ``columns`` [nonzeros].
    """

    def __init__(
        self, rows: Tensor, columns: Tensor, values: Tensor, size: int, words: int, *, unit: bool = True
    ) -> None:
        values = values.float()
        if unit:
            values = values / torch.zeros(size).index_add(0, rows, values.square()).sqrt()[rows]
        order = columns.argsort(stable=True)
        self.size, self.words = size, words
        self._by_row = (columns, _starts(rows, size), values)
        self._by_column = (rows[order], _starts(columns, words), values[order])

    def times(self, dense: Tensor) -> Tensor:
        """[words, K] -> [N, K]."""
        where, starts, values = self._by_row
        return F.embedding_bag(where, dense, starts, per_sample_weights=values, mode="sum")

    def dense(self) -> Tensor:
        """[words, N]."""
        where, starts, values = self._by_row
        rows = torch.arange(self.size).repeat_interleave(
            torch.diff(starts, append=torch.tensor([len(where)]))
        )
        return torch.zeros(self.words, self.size).index_put((where, rows), values)

    def transposed_times(self, dense: Tensor) -> Tensor:
        """[N, K] -> [words, K]."""
        where, starts, values = self._by_column
        return F.embedding_bag(where, dense, starts, per_sample_weights=values, mode="sum")


def _starts(places: Tensor, size: int) -> Tensor:
    counts = torch.bincount(places, minlength=size)
    return counts.cumsum(0) - counts


def nearest_centroid(train: Sparse, classes: Tensor, test: Sparse) -> Tensor:
    """The class whose mean vector has the smallest angle (Rocchio 1971): int64 [N]."""
    mean = train.transposed_times(F.one_hot(classes).float())
    return test.times(F.normalize(mean, dim=0)).argmax(1)


def logistic_regression(
    train: Sparse, classes: Tensor, test: Sparse, decay: float = 1e-5, steps: int = 200
) -> Tensor:
    """Softmax regression by Nesterov's method on all texts at once: int64 [N].

    ``decay`` weighs half the squared weights. Half the largest eigenvalue of the vectors' second moment bounds the
    curvature, and with it the step.
    """
    one = F.one_hot(classes).float()
    rate = 1 / (0.5 * 1.1 * _curvature(train) + decay)
    weights, ahead = torch.zeros(2, train.words, one.shape[1])
    for step in range(steps):
        error = train.times(ahead).softmax(1) - one
        slope: Tensor = train.transposed_times(error) / train.size + decay * ahead
        before, weights = weights, torch.sub(ahead, slope, alpha=rate)
        ahead = weights.lerp(before, -step / (step + 3))
    return test.times(weights).argmax(1)


def _curvature(matrix: Sparse) -> float:
    """The largest eigenvalue of the second moment of its rows, by power iteration."""
    top = torch.ones(matrix.words, 1)
    for _ in range(20):
        top = torch.div(matrix.transposed_times(matrix.times(F.normalize(top, dim=0))), matrix.size)
    return float(top.square().sum().sqrt())
