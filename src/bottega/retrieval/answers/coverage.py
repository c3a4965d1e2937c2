"""Whether passages can answer a question at all, and whether the question fits more than one thing. No model decides here."""

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from bottega.checks.quantities import mentioned, quantities
from bottega.core.passage import Passage
from bottega.retrieval.answers.asking import ASKING, INSTRUCTION, NAMED_FIRST, asked_names, wanted
from bottega.retrieval.answers.leaning import stands_for
from bottega.retrieval.languages import STOPWORDS
from bottega.retrieval.sentences import sentence_spans
from bottega.retrieval.words import fold, guess_language, stemmed_words, terms

COVERED = 0.33  # share of a question's words, by weight, that the passages must hold
BEARS = 0.05  # share that an answer with its quotes must hold: something of what was asked
TIED = 0.97  # of the best sentence's share: those that say as much about the question
NAMED = 0.5  # what a name that is known weighs against another word: an unknown one decides alone
MOST_OPTIONS = 6
MOST_ASKED = 2  # words of a question that may leave open what it is about

_INSTRUCTION = re.compile(
    r"\b(?:ignore|disregard|forget|override)\b.{0,40}\b(?:instructions?|rules?|prompts?|above|previous|policy|policies)\b"
    r"|^\W*(?:system|assistant|developer|user)\s*(?:prompt|message)?\s*[:>]|<\|?[a-z_]+\|>|\[/?(?:INST|SYS)\]"
    r"|\byou are (?:now|no longer)\b|\b(?:as|you are) an? (?:ai|language model|assistant)\b|\bsystem prompt\b"
    r"|\b(?:reply|respond|answer|output|print)\s+(?:only\s+)?(?:with|the (?:word|text|following))\b"
    r"|^\W*(?:please\s+)?answer\s+(?:only\s+|with\s+)?[\"'“]?(?:yes|no)\b"
    r"|\balways\s+(?:answer|reply|respond|say)\b.{0,20}\b(?:yes|no|true|supported)\b",
    re.IGNORECASE | re.MULTILINE,
)


@dataclass(frozen=True)
class Coverage:
    """The share of a question that passages hold, 0 to 1, and the names and numbers of it that stand nowhere in them."""

    share: float
    unknown: tuple[str, ...]


def content_words(question: str) -> dict[str, str]:
    """Stems of a question with the words they come from, without function words and words of asking."""
    language = guess_language([question])
    asking = ASKING.get(language, frozenset())
    return {_american(term): word for term, word in stemmed_words(question, language) if word not in asking}


def coverage(question: str, passages: Sequence[Passage], cited: Sequence[Passage] | None = None) -> Coverage:
    """How much of a question stands in the passages, their headings and names: the rarer a word is in them the more it counts.

    With ``cited``, how much stands in those alone, by the same weights.
    """
    asked = content_words(question)
    language = guess_language([question])
    held = [_terms(passage, language) for passage in passages]
    known = set[str]().union(*(held if cited is None else (_terms(each, language) for each in cited)))
    in_question = asked_names(question)
    named = {fold(name) for name in in_question}
    counts = Counter(term for each in held for term in each)
    weights = {
        term: math.log(1 + (len(held) - counts[term] + 0.5) / (counts[term] + 0.5))
        * (NAMED if word in named else 1)
        for term, word in asked.items()
    }
    total = sum(weights.values())
    share = sum(weight for term, weight in weights.items() if term in known) / total if total else 1.0
    languages = {guess_language([passage.text]) for passage in passages}
    in_question += [each.written for each in quantities(question) if each.dimension == "code"]
    function_words = STOPWORDS[language]
    unknown = [
        name
        for name in in_question
        if fold(name) not in function_words
        and not any({_american(term) for term in terms(name, each)} <= known for each in {"en", *languages})
    ]
    return Coverage(share, tuple(dict.fromkeys(unknown)))


def options(question: str, passages: Sequence[Passage]) -> tuple[str, ...]:
    """The things that a question fits equally well; empty when it fits one.

    A question that asks for an amount, and says with at most two words of what, is held against every sentence that has such an amount.
    Where the sentences that hold most of its words are about several things with different values, nothing in it says which is meant. One
    that says "it" where its thing should stand fits all named things whose sentences hold most of its words.
    """
    kinds = wanted(question)
    asked = set(content_words(question))
    if len(asked) > MOST_ASKED or asked_names(question):
        return ()
    if not kinds:
        return _pointed(question, asked, passages)
    found: list[tuple[float, str, frozenset[str]]] = []
    for passage in passages:
        language = guess_language([passage.text])
        over = {*map(_american, terms(passage.heading, language))}
        for start, end in sentence_spans(passage.text):
            text = passage.text[start:end]
            values = _values(text, kinds)
            if values:
                inside = len(asked & {*map(_american, terms(text, language))}) / len(asked) if asked else 1.0
                above = len(asked & over) / len(asked) if asked else 1.0
                found.append((inside + 0.5 * above, _about(passage, text), values))
    top = max((score for score, *_ in found), default=0.0)
    things: dict[str, frozenset[str]] = {}
    for score, about, values in found:
        if top >= 0.5 and score >= TIED * top:
            things[about] = things.get(about, frozenset()) | values
    differ = len(things) > 1 and len(set(things.values())) > 1
    return tuple(things)[:MOST_OPTIONS] if differ else ()


def _pointed(question: str, asked: set[str], passages: Sequence[Passage]) -> tuple[str, ...]:
    """The named things whose sentences hold most of the words of a question that says "it"."""
    if not stands_for(question, guess_language([question])):
        return ()
    things: dict[str, int] = {}
    for passage in passages:
        language = guess_language([passage.text])
        for start, end in sentence_spans(passage.text):
            if name := _named(text := passage.text[start:end]):
                held = len(asked & {*map(_american, terms(text, language))})
                things[name] = max(things.get(name, 0), held)
    most = max(things.values(), default=0)
    fit = [name for name, held in things.items() if held == most]
    return tuple(fit[:MOST_OPTIONS]) if len(fit) > 1 and (most or not asked) else ()


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
    return bool(_INSTRUCTION.search(text) or INSTRUCTION.search(fold(text)))


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


def _terms(passage: Passage, asked_in: str) -> set[str]:
    """Its stems in its own language and in that of the question: of one sentence the language is a guess."""
    whole = f"{PurePosixPath(passage.source).stem} {passage.heading} {passage.text}".replace(
        "-", " "
    ).replace("_", " ")
    return {
        _american(term)
        for language in (guess_language([passage.text]), asked_in)
        for term in terms(whole, language)
    }


def _american(term: str) -> str:
    """A stem as American English spells it: color is colour. In other languages it changes both sides alike."""
    return f"{term[:-3]}or" if len(term) > 5 and term.endswith("our") else term


def _about(passage: Passage, text: str) -> str:
    """The thing that a sentence is about: a table row's first cell, the name that it begins with, else the heading over it."""
    return _named(text) or passage.heading.rpartition(" > ")[2] or passage.source


def _named(text: str) -> str:
    """The name that a sentence or a table's row begins with."""
    if cell := re.match(r"[^:;\n]{1,40}: ([^;\n]{1,60});", text):
        return cell[1]
    name = NAMED_FIRST.match(text)
    return (name[1] or name[2]) if name else ""
