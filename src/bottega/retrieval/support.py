"""Which sentences of the sources bear out a text, by shared words and numbers."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from bottega.core.passage import Passage
from bottega.retrieval.sentences import sentence_spans
from bottega.retrieval.words import guess_language, numbers, stemmed_words

_STEM = 5  # letters by which words of two languages are taken for the same: batterie, battery
_COGNATE = 0.6  # what such a match counts
_NUMBER = 1.5  # what a number weighs against a word that is as rare
_TOPIC = 0.2  # what the question's words count when sentences compete
_GAIN = 0.08  # a further sentence must add this share of the answer
_BESIDE = 0.5  # and cover this much of what the best one covers


@dataclass(frozen=True)
class Sentence:
    """A sentence at its place in the document, with its words."""

    passage: Passage
    start: int
    end: int
    text: str
    language: str
    terms: frozenset[str]
    stems: frozenset[str]
    numbers: frozenset[str]


@dataclass(frozen=True)
class Support:
    """What bears out a text: sentences with the share of the text that each one covers, 0 to 1.

    ``score`` is the share that all of them cover together, ``missing`` are numbers that stand in none of them.
    """

    sentences: tuple[tuple[Sentence, float], ...]
    score: float
    missing: tuple[str, ...]


class Supporter:
    """Finds support in a fixed set of passages. Lexical: it does not understand negation or paraphrase."""

    def __init__(self, passages: Sequence[Passage]) -> None:
        by_source: dict[str, list[str]] = {}
        for passage in passages:
            by_source.setdefault(passage.source, []).append(passage.text)
        self.languages = {source: guess_language(texts) for source, texts in by_source.items()}
        self.sentences = [sentence for passage in passages for sentence in self._sentences(passage)]
        self._frequency: Counter[str] = Counter()
        for sentence in self.sentences:
            self._frequency.update(sentence.terms | sentence.stems)

    def _sentences(self, passage: Passage) -> list[Sentence]:
        language = self.languages[passage.source]
        found: list[Sentence] = []
        for start, end in sentence_spans(passage.text):
            text = passage.text[start:end]
            words = stemmed_words(text, language)
            held = frozenset(term for term, _ in words)
            stems = frozenset(_cognate(word) for _, word in words if len(word) >= _STEM)
            place = passage.start + start
            found.append(
                Sentence(
                    passage, place, place + end - start, text, language, held, stems, frozenset(numbers(text))
                )
            )
        return found

    def find(self, text: str, topic: str = "", *, most: int = 3) -> Support:
        """The sentences that together cover most of ``text``, in the order of their choice.

        Args:
            text: what is to be borne out.
            topic: the question it answers; its words only decide between sentences.
            most: at most this many sentences, two more when numbers need them.
        """
        language = guess_language([f"{topic} {text}"])
        foreign = language not in self.languages.values()
        asked = dict(sorted(stemmed_words(text, language)))
        about = {term: word for term, word in sorted(stemmed_words(topic, language)) if term not in asked}
        weights = {term: self._weight(term, word, foreign) for term, word in asked.items()}
        total = sum(weights.values())
        if not total:
            return Support((), 0.0, ())
        covers = [_cover(asked, sentence, language) for sentence in self.sentences]
        topical = [
            sum(_cover(about, sentence, language).values()) / len(about) if about else 0.0
            for sentence in self.sentences
        ]
        chosen: list[int] = []
        covered: dict[str, float] = {}
        wanted = set(numbers(text))
        while len(chosen) < most + 2:
            missing = wanted - _numbers(self.sentences[index] for index in chosen)
            best, gain = self._best(
                covers, covered, weights, topical, missing if len(chosen) >= most else None
            )
            if best < 0:
                break
            weak = gain < _GAIN * total or (
                bool(chosen)
                and _share(covers[best], weights, total) < _BESIDE * _share(covers[chosen[0]], weights, total)
            )
            if weak and not missing & self.sentences[best].numbers:
                break
            chosen.append(best)
            for term, share in covers[best].items():
                covered[term] = max(share, covered.get(term, 0.0))
        pairs = [(self.sentences[index], _share(covers[index], weights, total)) for index in chosen]
        missing = wanted - _numbers(sentence for sentence, _ in pairs)
        return Support(tuple(pairs), _share(covered, weights, total), tuple(sorted(missing)))

    def _best(
        self,
        covers: Sequence[dict[str, float]],
        covered: dict[str, float],
        weights: dict[str, float],
        topical: Sequence[float],
        must_hold: set[str] | None,
    ) -> tuple[int, float]:
        """The sentence that adds most, and how much weight it adds; -1 when none adds anything."""
        best, best_value, best_gain = -1, 0.0, 0.0
        for index, cover in enumerate(covers):
            if must_hold is not None and not must_hold & self.sentences[index].numbers:
                continue
            gain = sum(
                weights[term] * (share - covered.get(term, 0.0))
                for term, share in cover.items()
                if share > covered.get(term, 0.0)
            )
            value = gain * (1 + _TOPIC * topical[index])
            if gain > 0 and value > best_value + 1e-12:
                best, best_value, best_gain = index, value, gain
        return best, best_gain

    def _weight(self, term: str, word: str, foreign: bool) -> float:
        """The rarer the heavier; a word that only the answer's own language has counts half."""
        held_by = self._frequency[term] or (foreign and self._frequency[_cognate(word)])
        if foreign and not held_by and not term[0].isdecimal():
            return 0.5 * math.log(1 + (len(self.sentences) + 0.5) / 0.5)
        weight = math.log(1 + (len(self.sentences) - held_by + 0.5) / (held_by + 0.5))
        return weight * (_NUMBER if term[0].isdecimal() else 1.0)


def _cognate(word: str) -> str:
    return f"{word[:_STEM]}~"


def _cover(asked: Mapping[str, str], sentence: Sentence, language: str) -> dict[str, float]:
    """For every asked term that the sentence holds, how well: 1 for the word itself, less for a cognate."""
    found: dict[str, float] = {}
    for term, word in asked.items():
        if term in sentence.terms:
            found[term] = 1.0
        elif sentence.language != language and len(word) >= _STEM and _cognate(word) in sentence.stems:
            found[term] = _COGNATE
    return found


def _share(covered: dict[str, float], weights: dict[str, float], total: float) -> float:
    return sum(weights[term] * share for term, share in covered.items()) / total


def _numbers(sentences: Iterable[Sentence]) -> set[str]:
    return {number for sentence in sentences for number in sentence.numbers}
