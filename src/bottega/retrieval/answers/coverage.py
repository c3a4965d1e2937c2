"""Whether passages can answer a question at all, and whether the question fits more than one thing. No model decides here."""

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from bottega.checks.quantities import MONEY, mentioned, quantities
from bottega.checks.quoting import names
from bottega.core.passage import Passage
from bottega.retrieval.sentences import sentence_spans
from bottega.retrieval.words import fold, guess_language, stemmed_words, terms

COVERED = 0.33  # share of a question's words, by weight, that the passages must hold
BEARS = 0.05  # share that an answer with its quotes must hold: something of what was asked
TIED = 0.97  # of the best sentence's share: those that say as much about the question
NAMED = 0.5  # what a name that is known weighs against another word: an unknown one decides alone
MOST_OPTIONS = 6
MOST_ASKED = 2  # words of a question that may leave open what it is about

_WANTED = (
    (re.compile(r"how much|\bcosts?\b|\bprices?\b|\bexpensive\b", re.IGNORECASE), MONEY),
    (
        re.compile(r"how long|how many (?:days|weeks|months|years)", re.IGNORECASE),
        frozenset({"time", "months"}),
    ),
    (re.compile(r"how heavy|\bweight\b|\bweigh\b", re.IGNORECASE), frozenset({"mass"})),
)

# Words of asking: they say what kind of answer is wanted, and sources answer in other words.
_ASKING_WORDS = (
    "much many long often far soon please tell know get got need want say happen possible able allow there any some someone anybody "
    "also too very just only way ways method methods cost price pay charge take give make use work offer mean one thing like happened available currently exactly"
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


def coverage(question: str, passages: Sequence[Passage], cited: Sequence[Passage] | None = None) -> Coverage:
    """How much of a question stands in the passages, their headings and names: the rarer a word is in them the more it counts.

    With ``cited``, how much stands in those alone, by the same weights.
    """
    asked = content_words(question)
    held = [_terms(passage) for passage in passages]
    known = set[str]().union(*(held if cited is None else map(_terms, cited)))
    named = {fold(name) for name in names(question)}
    counts = Counter(term for each in held for term in each)
    weights = {
        term: math.log(1 + (len(held) - counts[term] + 0.5) / (counts[term] + 0.5))
        * (NAMED if word in named else 1)
        for term, word in asked.items()
    }
    total = sum(weights.values())
    share = sum(weight for term, weight in weights.items() if term in known) / total if total else 1.0
    unknown = [name for name in names(question) if not set(terms(name, "en")) <= known]
    codes = (each.written for each in quantities(question) if each.dimension == "code")
    unknown += [code for code in codes if not set(terms(code, "en")) <= known]
    return Coverage(share, tuple(dict.fromkeys(unknown)))


def options(question: str, passages: Sequence[Passage]) -> tuple[str, ...]:
    """The things that a question fits equally well while the sources say another value of each; empty when it fits one.

    A question that asks for an amount, and says with at most two words of what, is held against every sentence that has such an amount.
    Where the sentences that hold most of its words are about several things with different values, nothing in it says which is meant.
    """
    wanted = next((dims for pattern, dims in _WANTED if pattern.search(question)), frozenset[str]())
    asked = set(content_words(question))
    if not wanted or len(asked) > MOST_ASKED or any(names(question)):
        return ()
    found: list[tuple[float, str, frozenset[str]]] = []
    for passage in passages:
        language = guess_language([passage.text])
        over = set(terms(passage.heading, language))
        for start, end in sentence_spans(passage.text):
            text = passage.text[start:end]
            values = _values(text, wanted)
            if values:
                inside = len(asked & set(terms(text, language))) / len(asked) if asked else 1.0
                above = len(asked & over) / len(asked) if asked else 1.0
                found.append((inside + 0.5 * above, _about(passage, text), values))
    top = max((score for score, *_ in found), default=0.0)
    things: dict[str, frozenset[str]] = {}
    for score, about, values in found:
        if top >= 0.5 and score >= TIED * top:
            things[about] = things.get(about, frozenset()) | values
    differ = len(things) > 1 and len(set(things.values())) > 1
    return tuple(things)[:MOST_OPTIONS] if differ else ()


def _values(text: str, wanted: frozenset[str]) -> frozenset[str]:
    """The amounts of the wanted kinds; a bare number counts as what its line names (``price_eur: 79.00``)."""
    named = mentioned(text)
    return frozenset(
        each.written
        for each in quantities(text)
        if each.dimension in wanted or (not each.dimension and not each.spelled and named & wanted)
    )


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
    """The thing that a sentence is about: a table row's first cell, the name that it begins with, else the heading over it."""
    if cell := re.match(r"[^:;\n]{1,40}: ([^;\n]{1,60});", text):
        return cell[1]
    if name := re.match(r"(?:The )?((?:[A-Z][\w-]*)(?: [A-Z][\w-]*)+|(?<=The )[A-Z][\w-]*)", text):
        return name[1]
    return passage.heading.rpartition(" > ")[2] or passage.source
