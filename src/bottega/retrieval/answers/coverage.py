"""Whether passages can answer a question at all, and whether the question fits more than one thing. No model decides here."""

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from bottega.checks.quantities import quantities
from bottega.checks.quoting import names
from bottega.core.passage import Passage
from bottega.retrieval.sentences import sentence_spans
from bottega.retrieval.words import fold, guess_language, stemmed_words, terms

COVERED = 0.45  # share of a question's words, by weight, that the passages must hold
BEARS = 0.34  # share that the passages an answer cites must hold
TIED = 0.97  # of the best sentence's share: those that say as much about the question
NAMED = 2.0  # what a name or number of the question weighs against another word
MOST_OPTIONS = 6

# Words of asking: they say what kind of answer is wanted, and sources answer in other words.
_ASKING_WORDS = (
    "much many long often far soon please tell know get got need want say happen possible able allow there any some someone anybody "
    "also cost price pay charge take give make use work offer mean one thing like happened available currently exactly"
)
_ASKING = frozenset(_ASKING_WORDS.split())
_INSTRUCTION = re.compile(
    r"\b(?:ignore|disregard|forget|override)\b.{0,40}\b(?:instructions?|rules?|prompts?|above|previous|policy|policies)\b"
    r"|^\W*(?:system|assistant|developer|user)\s*(?:prompt|message)?\s*[:>]|<\|?[a-z_]+\|>|\[/?(?:INST|SYS)\]"
    r"|\byou are (?:now|no longer)\b|\b(?:as|you are) an? (?:ai|language model|assistant)\b|\bsystem prompt\b"
    r"|\b(?:reply|respond|answer|output|print)\s+(?:only\s+)?(?:with|the (?:word|text|following))\b",
    re.IGNORECASE | re.MULTILINE,
)


@dataclass(frozen=True)
class Coverage:
    """The share of a question that passages hold, 0 to 1, and the names and numbers of it that stand nowhere in them."""

    share: float
    unknown: tuple[str, ...]


def content_words(question: str) -> dict[str, str]:
    """Stems of a question with the words they come from, without function words and words of asking."""
    return {
        term: word
        for term, word in stemmed_words(question, guess_language([question]))
        if word not in _ASKING
    }


def coverage(question: str, passages: Sequence[Passage]) -> Coverage:
    """How much of a question stands in the passages, their headings and names: the rarer a word the more it counts."""
    asked = content_words(question)
    held = [_terms(passage) for passage in passages]
    known = set[str]().union(*held)
    named = {fold(name) for name in names(question)}
    counts = Counter(term for each in held for term in each)
    weights = {
        term: math.log(1 + (len(held) - counts[term] + 0.5) / (counts[term] + 0.5))
        * (NAMED if word in named or word[0].isdecimal() else 1)
        for term, word in asked.items()
    }
    total = sum(weights.values())
    share = sum(weight for term, weight in weights.items() if term in known) / total if total else 1.0
    unknown = [name for name in names(question) if not set(terms(name, "en")) <= known]
    unknown += [
        each.written
        for each in quantities(question)
        if each.dimension == "code" and not set(terms(each.written, "en")) <= known
    ]
    return Coverage(share, tuple(dict.fromkeys(unknown)))


def options(question: str, passages: Sequence[Passage]) -> tuple[str, ...]:
    """The things that a question fits equally well while the sources say something different of each; empty when it fits one.

    Of every sentence counts which of the question's words it and the thing that it is about hold. Where the best ones are about several
    things and their numbers differ, nothing in the question says which of them is meant.
    """
    asked = set(content_words(question))
    best: list[tuple[float, str, str, frozenset[str]]] = []
    for passage in passages:
        for start, end in sentence_spans(passage.text):
            text = passage.text[start:end]
            about = _about(passage, text)
            if not about or text == passage.heading.rpartition(" > ")[2]:
                continue
            held = set(terms(f"{passage.heading} {text}", guess_language([passage.text])))
            share = len(asked & held) / len(asked) if asked else 1.0
            values = frozenset(each.written for each in quantities(text))
            best.append((share, about, passage.source, values))
    top = max((share for share, *_ in best), default=0.0)
    if top < 0.5:
        return ()
    tied = [each for each in best if each[0] >= TIED * top and each[3]]
    things: dict[str, frozenset[str]] = {}
    for _, about, _, values in tied:
        things[about] = things.get(about, frozenset()) | values
    rows = [about for _, about, _, _ in tied]
    if len(things) < 2 or len(set(things.values())) < 2 or len(asked) > 2 or len(rows) < 2:
        return ()
    return tuple(things)[:MOST_OPTIONS]


def addresses_a_model(text: str) -> bool:
    """Whether a sentence of a source talks to whoever reads it as a program; such sentences are not shown to the model."""
    return bool(_INSTRUCTION.search(text))


def without_instructions(passages: Sequence[Passage]) -> tuple[list[Passage], int]:
    """The stretches of passages between sentences that address a model, still at their places, and how many those were."""
    kept: list[Passage] = []
    count = 0
    for passage in passages:
        bad = [span for span in sentence_spans(passage.text) if addresses_a_model(passage.text[slice(*span)])]
        count += len(bad)
        place = 0
        for start, end in [*bad, (len(passage.text), len(passage.text))]:
            piece = passage.text[place:start]
            text = piece.strip()
            if text:
                begin = passage.start + place + piece.index(text)
                kept.append(
                    passage.model_copy(update={"text": text, "start": begin, "end": begin + len(text)})
                )
            place = end
    return kept, count


def _terms(passage: Passage) -> set[str]:
    whole = f"{PurePosixPath(passage.source).stem} {passage.heading} {passage.text}".replace(
        "-", " "
    ).replace("_", " ")
    return set(terms(whole, guess_language([passage.text])))


def _about(passage: Passage, text: str) -> str:
    """The thing that a sentence is about: a table row's first cell, else the last heading over it."""
    cell = re.match(r"[^:;\n]{1,40}: ([^;\n]{1,60});", text)
    return cell[1] if cell else passage.heading.rpartition(" > ")[2]
