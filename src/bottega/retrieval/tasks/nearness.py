"""What an embedder (an encoder without a decoder) knows: which sentences are central, which label is nearest."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from bottega.engines.base import Bench
from bottega.retrieval import embed

_FRESH = 0.6  # how much nearness to the whole counts against nearness to what was taken already
_FIRST = 0.15  # what the first sentence gains, the last nothing
# By which cosines are multiplied before they become shares: arctic's lie close together, those of the others do not.
_SHARP = {"arctic-embed-s": 20.0, "potion-base-8m": 5.0, "use-multilingual": 5.0}


def central(
    sentences: Sequence[str], most: int, focus: str, model: str, bench: Bench
) -> list[tuple[int, float]]:
    """Sentences near the middle of all (or near ``focus``), early, unlike each other: index and worth, in order.

    Maximal marginal relevance (Carbonell and Goldstein, 1998) over the centroid (Radev et al., 2004).
    """
    embedder = embed.load_from(model, bench.weights(model), bench.threads)
    vectors: Any = embedder.passages(sentences)  # (n, dimensions)
    centre: Any = embedder.query(focus) if focus else embed.unit(vectors.mean(axis=0))
    worth = vectors @ centre + _FIRST * (1 - np.arange(len(sentences)) / len(sentences))
    taken: list[int] = []
    said = np.zeros(len(sentences), dtype=np.float32)
    while len(taken) < min(most, len(sentences)):
        scores = _FRESH * worth - (1 - _FRESH) * said
        scores[taken] = -np.inf
        taken.append(int(scores.argmax()))
        said = np.maximum(said, vectors @ vectors[taken[-1]])
    return [(n, float(worth[n])) for n in sorted(taken)]


def shares(
    texts: Sequence[str], labels: Sequence[Sequence[str]], model: str, bench: Bench
) -> list[list[float]]:
    """For each text the shares of the labels, each shown by texts: softmax over half the best and half the mean cosine.

    Prototypes are those of Snell et al. (2017), with the nearest example beside the mean.
    """
    embedder = embed.load_from(model, bench.weights(model), bench.threads)
    vectors: Any = embedder.passages(texts)  # (texts, dimensions)
    cosines: list[Any] = [vectors @ embedder.passages(shown).T for shown in labels]  # each (texts, shown)
    nearness: Any = np.stack([0.5 * one.max(axis=1) + 0.5 * one.mean(axis=1) for one in cosines], axis=1)
    powers = np.exp(_SHARP[model] * (nearness - nearness.max(axis=1, keepdims=True)))
    return [[float(share) for share in row] for row in powers / powers.sum(axis=1, keepdims=True)]
