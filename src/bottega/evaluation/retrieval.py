"""Search to beat: TF-IDF and BM25 over words; and how often the right text is among the first."""

from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from bottega.evaluation.labels import WORD, Sparse, TfIdf, triple

CHUNK = 200  # questions at a time
K1, B = 1.2, 0.75


def tf_idf_scores(texts: Sequence[bytes]) -> Callable[[Sequence[bytes]], Tensor]:
    """Questions -> cosines with every text, [questions, N]."""
    vectors = TfIdf(texts)
    known = vectors(texts)
    return lambda asked: known.times(vectors(asked).dense()).T


def bm25_scores(texts: Sequence[bytes]) -> Callable[[Sequence[bytes]], Tensor]:
    """Questions -> BM25 with every text (Robertson 2009; k1 1.2, b 0.75), [questions, N]."""
    counts = [Counter(WORD.findall(text.lower())) for text in texts]
    seen = Counter(word for each in counts for word in each)
    places = {word: place for place, word in enumerate(seen)}
    mean = sum(each.total() for each in counts) / len(counts)
    rows, columns, values = list[int](), list[int](), list[float]()
    for row, each in enumerate(counts):
        spread = K1 * (1 - B + B * each.total() / mean)
        for word, count in each.items():
            rarity = np.log(1 + (len(texts) - seen[word] + 0.5) / (seen[word] + 0.5))
            rows.append(row)
            columns.append(places[word])
            values.append(rarity * count * (K1 + 1) / (count + spread))
    known = Sparse(*triple(rows, columns, values), len(texts), len(places), unit=False)

    def scores(asked: Sequence[bytes]) -> Tensor:
        words = torch.zeros(len(places), len(asked))
        for column, text in enumerate(asked):
            for word, count in Counter(WORD.findall(text.lower())).items():
                if word in places:
                    words[places[word], column] = count
        return known.times(words).T

    return scores


def recalls(
    scores: Callable[[Sequence[bytes]], Tensor], asked: Sequence[bytes], depths: tuple[int, ...]
) -> list[float]:
    """For each depth the share of questions whose own text, the one of the same number, is among so many first.

    Of equal scores the right one comes last, so that a search that tells nothing apart finds nothing.
    """
    ranks = list[Tensor]()
    for start in range(0, len(asked), CHUNK):
        found = scores(asked[start : start + CHUNK])
        right = found[torch.arange(len(found)), torch.arange(start, start + len(found))]
        ranks.append((found >= right[:, None]).sum(1))
    rank = torch.cat(ranks)
    return [float((rank <= depth).float().mean()) for depth in depths]


def nearest_texts(scores: Callable[[Sequence[bytes]], Tensor], asked: Sequence[bytes]) -> list[int]:
    """The number of the best text for each question."""
    found = [scores(asked[i : i + CHUNK]).argmax(1) for i in range(0, len(asked), CHUNK)]
    return [int(number) for number in torch.cat(found)]
