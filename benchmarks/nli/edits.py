"""Pairs made by rule from real sentences: one side is cut, reworded, or changed so that it says something else.

A change that excludes the original (another number, a negation, an opposite, another name) is made on the
hypothesis or, as often, on the premise, so that neither side alone gives the label away.
"""

import random
import re
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from benchmarks.nli.pairs import Pair
from benchmarks.nli.values import WORDS, words

MONTHS, NATIONS = WORDS["months"], WORDS["nations"]
_MONTH = "|".join(MONTHS)
_NUMBER = re.compile(r"(?<![\w.,-])\d{1,3}(?:,\d{3})+(?![\w,])|(?<![\w.,-])\d+(?:\.\d+)?(?![\w]|[.,-]\d)")
_SMALL = re.compile(r"\b(" + "|".join(words(n) for n in range(2, 13)) + r")\b")
_US_DATE = re.compile(rf"\b({_MONTH}) (\d{{1,2}}), (\d{{4}})\b")
_UK_DATE = re.compile(rf"\b(\d{{1,2}}) ({_MONTH}) (\d{{4}})\b")
_BRACKETS = re.compile(r" ?\([^()]*\)")
_BORN = re.compile(
    r"^(?P<name>[A-Z][^()]{3,40}) \(born (?P<date>[^();]*?\d{4})(?: in (?P<place>[A-Z][\w, ]+))?\)"
)
_COPULA = re.compile(
    r"\b(is|are|was|were|has been|have been|had been|can|could|will|would|may|might|must|should)\b(?! not)"
)
_PAST = re.compile(r"^((?:[A-Z]\w*|The|[A-Z][\w']+ [A-Z]\w+|He|She|It|They)) (\w{3,}ed) (?=[a-z\d])")
_NAME = re.compile(
    r"(?<=[a-z,] )((?:[A-Z][a-zA-Zéíöüáñ'’-]+)(?: (?:of the |of |the )?[A-Z][a-zA-Zéíöüáñ'’-]+)*)"
)
_OPPOSITE = {a: b for x, y in WORDS["opposites"] for a, b in ((x, y), (y, x))}
_OPPOSED = re.compile(r"\b(" + "|".join(_OPPOSITE) + r")\b")
_NATION = re.compile(r"\b(" + "|".join(NATIONS) + r")\b")


class Paragraph(NamedTuple):
    """Sentences that follow each other, under their title."""

    title: str
    sentences: tuple[str, ...]
    source: str


def _swap(
    rng: random.Random, pattern: re.Pattern[str], text: str, new: Callable[[re.Match[str]], str | None]
) -> str | None:
    """The text with one match put otherwise by ``new``; nothing when there is none, or it stays the same."""
    found = list(pattern.finditer(text))
    if not found:
        return None
    match = rng.choice(found)
    replacement = new(match)
    if replacement is None or replacement == match[0]:
        return None
    return text[: match.start()] + replacement + text[match.end() :]


def number(rng: random.Random, text: str, _: Sequence[str]) -> str | None:
    """Another number."""

    def new(match: re.Match[str]) -> str | None:
        plain = match[0].replace(",", "")
        if "." in plain:
            return f"{float(plain) * rng.choice((0.5, 1.5, 2, 3)):.{len(plain.split('.')[1])}f}"
        n = int(plain)
        if re.fullmatch(r"1[5-9]\d\d|20[0-3]\d", match[0]):
            changed = n + rng.choice((-1, 1, 2, -2, 4, -4, 10, -10, -17, 23))
        else:
            changed = rng.choice((n + 1, n - 1, n * 2, n // 2, n * 10, n + 10, n + 3))
        if changed < 1 or changed == n:
            return None
        return f"{changed:,}" if "," in match[0] else str(changed)

    return _swap(rng, _NUMBER, text, new)


def small_number(rng: random.Random, text: str, _: Sequence[str]) -> str | None:
    """Another number word."""
    return _swap(rng, _SMALL, text, lambda _: words(rng.randint(2, 14)))


def month(rng: random.Random, text: str, _: Sequence[str]) -> str | None:
    """Another month."""
    return _swap(rng, re.compile(rf"\b({_MONTH})\b(?= \d)"), text, lambda _: rng.choice(MONTHS))


def negation(rng: random.Random, text: str, _: Sequence[str]) -> str | None:
    """A "not" put in, or taken away."""
    if match := re.search(
        r"\b(is|are|was|were|can|could|will|would|may|must|should|has|have|had) not ", text
    ):
        return text[: match.end(1)] + " " + text[match.end() :]
    if match := re.search(r"\b(did|does|do) not (\w+)", text):
        return None
    if (match := _PAST.match(text)) and rng.random() < 0.8:
        stem = match[2][:-1] if match[2][-3] in "aeiouvsczgu" else match[2][:-2]
        return f"{match[1]} did not {stem} " + text[match.end() :]
    first = _COPULA.search(text)
    if first is None or first.start() > 60:
        return None
    word = rng.choice(("not", "not", "not", "never"))
    return text[: first.end()] + f" {word}" + text[first.end() :]


def opposite(rng: random.Random, text: str, _: Sequence[str]) -> str | None:
    """A word's opposite."""
    return _swap(rng, _OPPOSED, text, lambda match: _OPPOSITE[match[0]])


def nation(rng: random.Random, text: str, _: Sequence[str]) -> str | None:
    """Another nationality."""
    return _swap(rng, _NATION, text, lambda _: rng.choice(NATIONS))


def name(rng: random.Random, text: str, names: Sequence[str]) -> str | None:
    """Another name with as many words; names come from other paragraphs."""

    def new(match: re.Match[str]) -> str | None:
        if match[0] in NATIONS or match[0] in MONTHS or match.start() < 12:
            return None
        like = [n for n in rng.sample(names, 60) if n.count(" ") == match[0].count(" ")]
        return rng.choice(like) if like else None

    return _swap(rng, _NAME, text, new)


CHANGES = (
    number,
    number,
    number,
    small_number,
    small_number,
    month,
    negation,
    opposite,
    opposite,
    nation,
    name,
)


def same_date(rng: random.Random, text: str) -> str:
    """Dates written the other way round, numbers without commas."""
    text = _US_DATE.sub(r"\2 \1 \3", text) if rng.random() < 0.5 else _UK_DATE.sub(r"\2 \1, \3", text)
    if rng.random() < 0.3:
        text = re.sub(r"(\d),(\d{3})\b", r"\1\2", text)
    if rng.random() < 0.4:
        text = re.sub(r"(?<![\w.,-])([2-9]|1[0-2])(?= [a-z])", lambda m: words(int(m[1])), text)
    return text


def shorter(rng: random.Random, text: str) -> str:
    """Brackets gone, and perhaps the opening adverbial or the last clause."""
    text = _BRACKETS.sub("", text)
    if rng.random() < 0.6 and (
        match := re.match(r"(In|On|At|During|After|Since) [^,]{3,30}, (?=[a-zA-Z])", text)
    ):
        rest = text[match.end() :]
        return rest[:1].upper() + rest[1:]
    if rng.random() < 0.7:
        cut = re.split(
            r", (?:which|who|where|and|while|with|when|including|but|making|as well as|featuring) ", text
        )
        if len(cut) > 1 and len(cut[0].split()) > 5 and cut[0].count(",") % 2 == 0:
            return cut[0].rstrip(".") + "."
    return text


def born(rng: random.Random, text: str) -> str | None:
    """The birth that a bracket tells of, as a sentence."""
    if not (match := _BORN.match(text)):
        return None
    year = match["date"][-4:]
    said = rng.choice((f"on {match['date']}" if " " in match["date"] else f"in {year}", f"in {year}"))
    return f"{match['name']} was born {said}."


def pair(rng: random.Random, at: Paragraph, names: Sequence[str]) -> Pair | None:
    """One pair from a paragraph, or nothing when the drawn rule does not fit."""
    usable = [i for i, s in enumerate(at.sentences) if 6 <= len(s.split()) <= 45]
    if not usable:
        return None
    chosen = rng.choice(usable)
    low = max(0, chosen - rng.choice((0, 0, 0, 1, 2)))
    high = min(len(at.sentences), chosen + 1 + rng.choice((0, 0, 0, 1, 2)))
    window = list(at.sentences[low:high])
    told = at.sentences[chosen]
    stated = _named(told, at.title)
    kind = rng.choice(("supports", "contradicts", "contradicts", "not_enough"))
    if kind == "supports":
        made = born(rng, told) or stated
        rule = "born" if made != stated else "same"
        if made == stated and rng.random() < 0.8:
            made, rule = same_date(rng, shorter(rng, stated)), "shorter"
        return Pair(" ".join(window), made, "supports", f"{at.source}/{rule}")
    if kind == "contradicts":
        change = rng.choice(CHANGES)
        plain = born(rng, told) or (shorter(rng, stated) if rng.random() < 0.7 else stated)
        if rng.random() < 0.5:
            if (changed := change(rng, same_date(rng, plain), names)) is None:
                return None
            return Pair(" ".join(window), changed, "contradicts", f"{at.source}/{change.__name__}")
        if (changed := change(rng, told, names)) is None:
            return None
        window[chosen - low] = changed
        if _carries(told, changed, plain):
            return Pair(
                " ".join(window), same_date(rng, plain), "contradicts", f"{at.source}/{change.__name__}_there"
            )
        if change is not negation:  # what was cut is all that was changed: the sentence still holds
            return Pair(" ".join(window), same_date(rng, plain), "supports", f"{at.source}/changed_elsewhere")
        return None
    outside = [i for i in usable if not low <= i < high]
    if not outside:
        return None
    added = _named(at.sentences[rng.choice(outside)], at.title)
    if rng.random() < 0.25 and stated.endswith(".") and added[:1].isupper():
        joined = f"{shorter(rng, stated)[:-1]}, and {added[0].lower() + added[1:] if added.split()[0] in ('The', 'It', 'He', 'She', 'In') else added}"
        return Pair(" ".join(window), joined, "not_enough", f"{at.source}/added")
    made = shorter(rng, added)
    if rng.random() < 0.3:
        made = rng.choice(CHANGES)(rng, made, names) or made
    return Pair(" ".join(window), made, "not_enough", f"{at.source}/elsewhere")


def _carries(before: str, after: str, text: str) -> bool:
    """Whether the words that a change took away stand in ``text``, so that the change excludes it."""
    gone = set(re.findall(r"\w+", before)) - set(re.findall(r"\w+", after))
    if not gone:  # only words were added: a negation
        return len(after) > len(before)
    return gone <= set(re.findall(r"\w+", text))


def _named(sentence: str, title: str) -> str:
    """The sentence with its opening pronoun replaced by the paragraph's title."""
    if title and (match := re.match(r"(He|She|It) (?=[a-z])", sentence)):
        return _BRACKETS.sub("", title) + " " + sentence[match.end() :]
    return sentence


def names_of(paragraphs: Sequence[Paragraph]) -> list[str]:
    """The names in the middle of sentences, each once, in order of appearance."""
    found = (m[0] for p in paragraphs for s in p.sentences for m in _NAME.finditer(s))
    return list(dict.fromkeys(n for n in found if n not in MONTHS and n not in NATIONS))


def edited(seed: int, paragraphs: Sequence[Paragraph], count: int) -> Iterator[Pair]:
    """``count`` pairs, the same for the same seed and paragraphs."""
    rng = random.Random(seed)
    names = names_of(paragraphs)
    while count:
        if made := pair(rng, rng.choice(paragraphs), names):
            count -= 1
            yield made
