"""How good a language task's results are: one function for each measure, numbers between 0 and 1 unless said."""

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from bottega.checks.facts import missing, names_of
from bottega.checks.quantities import quantities
from bottega.retrieval.words import fold

_WORD = re.compile(r"[^\W_]+")
_Z95 = 1.959964  # standard deviations on either side of 95 per cent


class Scores(NamedTuple):
    """Precision, recall and their harmonic mean."""

    precision: float
    recall: float
    f1: float


def rouge_l(candidate: str, reference: str) -> float:
    """F1 of the longest common subsequence of words (Lin, 2004), case and accents ignored."""
    one, other = _WORD.findall(fold(candidate)), _WORD.findall(fold(reference))
    row = [0] * (len(other) + 1)
    for word in one:
        before = 0
        for n, its in enumerate(other, start=1):
            before, row[n] = row[n], before + 1 if word == its else max(row[n], row[n - 1])
    return _f1(row[-1], len(one), len(other)).f1


def coverage(candidate: str, source: str) -> float:
    """Share of a summary's words that stand in its source (Grusky et al., 2018, at the level of words)."""
    held = set(_WORD.findall(fold(source)))
    words = _WORD.findall(fold(candidate))
    return sum(word in held for word in words) / len(words) if words else 0.0


def fidelity(candidate: str, source: str) -> float:
    """Share of the candidate's numbers and names that stand in the source; 1 when it has none."""
    return _stand(candidate, source)


def kept(candidate: str, source: str) -> float:
    """Share of the source's numbers and names that stand in the candidate; 1 when it has none."""
    return _stand(source, candidate)


def _stand(text: str, where: str) -> float:
    total = len([one for one in quantities(text) if not one.spelled]) + len(names_of(text))
    lost = missing(text, where)
    return 1 - min(total, len(lost.numbers) + len(lost.names)) / total if total else 1.0


def chrf(candidate: str, reference: str, *, longest: int = 6, beta: float = 2.0) -> float:
    """F-score of character n-grams without spaces, recall weighted by ``beta`` (Popović, 2015), averaged over n."""
    one, other = re.sub(r"\s", "", candidate), re.sub(r"\s", "", reference)
    precisions: list[float] = []
    recalls: list[float] = []
    for n in range(1, longest + 1):
        mine = Counter(one[at : at + n] for at in range(len(one) - n + 1))
        its = Counter(other[at : at + n] for at in range(len(other) - n + 1))
        if mine and its:
            common = (mine & its).total()
            precisions.append(common / mine.total())
            recalls.append(common / its.total())
    if not precisions or not sum(precisions) + sum(recalls):
        return 0.0
    precision, recall = sum(precisions) / len(precisions), sum(recalls) / len(recalls)
    weight = beta**2
    return (1 + weight) * precision * recall / (weight * precision + recall)


def macro_f1(pairs: Sequence[tuple[str, str | None]]) -> float:
    """Mean F1 over the labels of (right, given); where none was given, the right label was missed."""
    labels = sorted({right for right, _ in pairs})
    scores = [
        _f1(
            sum(right == given == label for right, given in pairs),
            sum(given == label for _, given in pairs),
            sum(right == label for right, _ in pairs),
        ).f1
        for label in labels
    ]
    return sum(scores) / len(scores) if scores else 0.0


def interval(hits: int, of: int) -> tuple[float, float]:
    """95 % confidence interval of a share (Wilson, 1927)."""
    if not of:
        return 0.0, 1.0
    share, square = hits / of, _Z95**2
    middle = share + square / (2 * of)
    half = _Z95 * math.sqrt(share * (1 - share) / of + square / (4 * of * of))
    return max(0.0, (middle - half) / (1 + square / of)), min(1.0, (middle + half) / (1 + square / of))


def field_scores(pairs: Sequence[tuple[Mapping[str, object], Mapping[str, object]]]) -> Scores:
    """Precision and recall over single values of (right, given) records; a list counts by its items."""
    hits = right = given = 0
    for wanted, found in pairs:
        one, other = _values(wanted), _values(found)
        hits, right, given = hits + (one & other).total(), right + one.total(), given + other.total()
    return _f1(hits, given, right)


def reading_ease(text: str) -> float:
    """Flesch reading ease of English (1948): about 0 to 100, higher is easier; syllables are groups of vowels."""
    words = re.findall(r"[A-Za-z']+", text)
    sentences = max(1, len(re.findall(r"[.!?]+(?=\s|$)", text)))
    syllables = sum(max(1, len(re.findall(r"[aeiouy]+", re.sub(r"e$", "", word.lower())))) for word in words)
    return 206.835 - 1.015 * len(words) / sentences - 84.6 * syllables / max(1, len(words))


def _values(record: Mapping[str, object]) -> Counter[tuple[str, str]]:
    found: Counter[tuple[str, str]] = Counter()
    for name, value in record.items():
        for item in value if isinstance(value, list | tuple) else (value,):  # pyright: ignore[reportUnknownVariableType]
            if item not in (None, ""):
                found[name, fold(" ".join(str(item).split()))] += 1  # pyright: ignore[reportUnknownArgumentType]
    return found


def _f1(hits: int, given: int, right: int) -> Scores:
    precision, recall = hits / given if given else 0.0, hits / right if right else 0.0
    total = precision + recall
    return Scores(precision, recall, 2 * precision * recall / total if total else 0.0)
