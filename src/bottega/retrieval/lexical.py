"""BM25 over stems: the ranking that needs no model."""

import math
from collections import Counter
from collections.abc import Sequence

from bottega.core.passage import Passage
from bottega.retrieval.retriever import Scored
from bottega.retrieval.words import guess_language, terms

K1 = 1.2  # how fast a term that repeats stops counting
B = 0.75  # how much a long passage is held back


class Lexical:
    """Okapi BM25 with the idf that stays positive: ``ln(1 + (N - n + 0.5) / (n + 0.5))``.

    Each source's language is found from its own words, and a query is stemmed in the language of the passage
    that it is compared with. The heading of a passage counts as part of it.

    Source: Robertson and Zaragoza, The Probabilistic Relevance Framework: BM25 and Beyond, 2009; idf as in Lucene.
    """

    def __init__(self, passages: Sequence[Passage]) -> None:
        self.passages = tuple(passages)
        by_source: dict[str, list[str]] = {}
        for passage in passages:
            by_source.setdefault(passage.source, []).append(passage.text)
        self.languages = {source: guess_language(texts) for source, texts in by_source.items()}
        self._counts: list[Counter[str]] = []
        self._frequency: Counter[str] = Counter()
        for passage in passages:
            language = self.languages[passage.source]
            counts = Counter(terms(searched(passage.heading, passage.text), language))
            self._counts.append(counts)
            self._frequency.update(counts.keys())
        self._lengths = [counts.total() for counts in self._counts]
        self._mean = sum(self._lengths) / len(self._lengths) if self._lengths else 1.0

    def idf(self, term: str) -> float:
        """Weight of a term: the rarer, the heavier."""
        held_by = self._frequency[term]
        return math.log(1 + (len(self.passages) - held_by + 0.5) / (held_by + 0.5))

    def rank(self, query: str) -> Sequence[Scored]:
        """All passages that share a term with ``query``, best first."""
        asked = {language: Counter(terms(query, language)) for language in set(self.languages.values())}
        found: list[tuple[float, int]] = []
        for index, counts in enumerate(self._counts):
            score = self._score(
                asked[self.languages[self.passages[index].source]], counts, self._lengths[index]
            )
            if score > 0:
                found.append((-score, index))
        return [Scored(self.passages[index], -score) for score, index in sorted(found)]

    def _score(self, asked: Counter[str], counts: Counter[str], length: int) -> float:
        score = 0.0
        for term, times in sorted(asked.items()):
            if counts[term]:
                saturation = counts[term] + K1 * (1 - B + B * length / (self._mean or 1.0))
                score += times * self.idf(term) * counts[term] * (K1 + 1) / saturation
        return score


def searched(heading: str, text: str) -> str:
    """What is searched of a passage: its text, under its headings unless it begins with the last of them."""
    return text if text.startswith(heading.rpartition(" > ")[2]) else f"{heading}\n{text}"
