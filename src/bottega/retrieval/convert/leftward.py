"""Lines of Hebrew, Arabic and other scripts from right to left: from the order on paper to the order in which they are read.

A PDF says where letters stand, and little about their order. This is the Unicode Bidirectional Algorithm (UAX 9) backwards,
for one level of embedding: numbers and stretches of other scripts keep their order, all else is turned round.

Not covered: where several orders look the same on paper, one is guessed. Between Hebrew words "Rill 24" is a name with its number,
and not a number before a name; "W 24" is 24 W, because that is a unit.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import NamedTuple

from bottega.checks.quantities import quantities

LEFTWARD = re.compile("[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc]")  # Hebrew, Arabic, Syriac, Thaana, N'Ko
FORMS = re.compile("[\ufb1d-\ufdff\ufe70-\ufefc]")  # letters as they are drawn at their place in a word
LETTERS = ("R", "AL")
DIGITS = ("EN", "AN")
OPENING, CLOSING = "([{<«", ")]}>»"
BRACKETS = frozenset(OPENING + CLOSING)
ENDS = frozenset(".,:;!?\u060c\u061b\u061f\u05be-–")
OTHER = str.maketrans(OPENING + CLOSING, CLOSING + OPENING)
WORD_GAP = 0.15  # em: a wider gap without a space is one


class Letter(NamedTuple):
    """A character of a PDF with the edges of its place, and where its glyph begins and stands, in points; several may have one glyph."""

    text: str
    left: float
    right: float
    origin: float
    baseline: float


class Glyph(NamedTuple):
    """What one mark on the paper says."""

    text: str
    left: float
    right: float


def leftward(text: str) -> bool:
    """Whether most letters of a text are of a script from right to left."""
    kinds = [unicodedata.bidirectional(letter) for letter in text]
    return sum(kind in LETTERS for kind in kinds) > kinds.count("L")


def glyphs(letters: Iterable[Letter], size: float) -> list[Glyph]:
    """The glyphs of a line from left to right; ``letters`` come as PDFium gives them, ``size`` of type is in points.

    PDFium turns round the letters of one glyph (a ligature) in these scripts; some PDFs say of a letter and of its accent that each
    is both.
    """
    found: list[Glyph] = []
    accents: list[Glyph] = []
    for _, same in groupby(sorted(letters, key=_origin), key=_origin):
        some = list(same)
        if len(some) > 1:  # a space that stands in a letter is none
            some = [one for one in some if not one.text.isspace()] or some[:1]
        said = [
            (FORMS.match(one.text) and unicodedata.normalize("NFKC", one.text)) or one.text for one in some
        ]
        marks = [text for text in said if unicodedata.combining(text[:1])]
        bases = [text for text in said if not unicodedata.combining(text[:1])]
        if any(LEFTWARD.match(text) for text in bases):
            bases.reverse()
        text = "".join(bases + marks)
        made = Glyph(text, min(one.left for one in some), max(one.right for one in some))
        twin = next((n for n, each in enumerate(found) if marks and _same(made, each)), None)
        if not bases:
            accents.append(made)
        elif twin is None:
            found.append(made)
        else:
            left, right = min(made.left, found[twin].left), max(made.right, found[twin].right)
            found[twin] = Glyph(text, left, right)
    for accent in accents:  # one with a glyph of its own stands behind its letter
        if found:
            at = max(range(len(found)), key=lambda n: _shared(accent, found[n]))
            found[at] = found[at]._replace(text=found[at].text + accent.text)
    found.sort(key=lambda glyph: glyph.left)
    return list(_spaced(found, size))


def _origin(letter: Letter) -> float:
    return round(letter.origin, 2)


def _same(one: Glyph, other: Glyph) -> bool:
    return one.text == other.text and _shared(one, other) > 0


def _shared(one: Glyph, other: Glyph) -> float:
    """How far two glyphs stand over each other; less than nothing when they do not."""
    return min(one.right, other.right) - max(one.left, other.left)


def _spaced(found: Sequence[Glyph], size: float) -> Iterator[Glyph]:
    right = None
    for glyph in found:
        if right is not None and not glyph.text.isspace() and glyph.left - right > WORD_GAP * size:
            yield Glyph(" ", right, glyph.left)
        yield glyph
        right = glyph.left + size if glyph.text.isspace() else glyph.right


def logical(line: Sequence[Glyph], *, to_left: bool) -> list[Glyph]:
    """The glyphs of a line, given from left to right, in the order in which they are read; ``to_left`` is the paragraph's direction."""
    kinds = [_kind(glyph.text) for glyph in line]
    if to_left:
        return _facing(_turned(line, kinds))
    found: list[Glyph] = []
    place = 0
    for match in re.finditer("R(?:[RSN]*R)?", "".join(kinds)):
        start, end = match.span()
        inside = sum(glyph.text in BRACKETS for glyph in line[start:end])
        if inside % 2 and start > place and line[start - 1].text in BRACKETS:
            start -= 1  # its partner
        found += [*line[place:start], *_turned(line[start:end], kinds[start:end])]
        place = end
    return _facing([*found, *line[place:]])


def _turned(line: Sequence[Glyph], kinds: Sequence[str]) -> list[Glyph]:
    """From right to left, but for stretches of other scripts and numbers."""
    stretches: list[list[Glyph]] = []
    place = 0
    while place < len(line):
        end = max(_stretch(line, kinds, place), place + 1)
        stretch = list(line[place:end])
        if end < len(line) and line[end].text in BRACKETS and _open(stretch):
            stretch.append(line[end])
            end += 1
        stretches.append(_number_first(stretch))
        place = end
    return [glyph for stretch in reversed(stretches) for glyph in stretch]


def _stretch(line: Sequence[Glyph], kinds: Sequence[str], start: int) -> int:
    """Where the stretch from left to right that begins here ends; ``start`` when none does."""
    arabic = any(unicodedata.bidirectional(glyph.text[:1]) in ("AL", "AN") for glyph in line)
    end = start
    if not arabic:  # a sign of currency belongs to the number behind it
        while end < len(line) and _class(line[end]) == "ET":
            end += 1
    if end == len(line) or kinds[end] not in "LN" or (end > start and kinds[end] != "N"):
        return start
    named = False  # a letter is in it: what follows belongs to it
    while True:
        while end < len(line) and kinds[end] in "LN":
            named = named or kinds[end] == "L"
            end += 1
        following = end
        while following < len(line) and kinds[following] == "S":
            following += 1
        if following == len(line) or kinds[following] not in "LN":
            break
        between = [_class(glyph) for glyph in line[end:following]]
        parted = between == ["CS"] or (between == ["ES"] and not arabic)
        if not (named or kinds[following] == "L" or (parted and kinds[end - 1] == "N")):
            break
        end = following
    while not arabic and end < len(line) and _class(line[end]) == "ET":
        end += 1
    return end


def _open(stretch: Sequence[Glyph]) -> bool:
    """Whether a bracket stands in a stretch without its partner."""
    return sum(glyph.text in BRACKETS for glyph in stretch) % 2 == 1 and len(stretch) > 1


def _number_first(stretch: list[Glyph]) -> list[Glyph]:
    """A number before its unit, which stand in the other order on paper: "W 24" is 24 W."""
    word, space, number = "".join(glyph.text for glyph in stretch).partition(" ")
    if not space or not re.fullmatch(r"\d[\d.,]*", number):
        return stretch
    if not any(each.dimension for each in quantities(f"{number} {word}")):
        return stretch
    at = next(place for place, glyph in enumerate(stretch) if glyph.text == " ")
    return [*stretch[at + 1 :], stretch[at], *stretch[:at]]


def _class(glyph: Glyph) -> str:
    return unicodedata.bidirectional(glyph.text[:1])


def _kind(text: str) -> str:
    """``R`` and ``L`` for letters by their direction, ``N`` for digits, ``S`` for signs and spaces."""
    kinds = {unicodedata.bidirectional(letter) for letter in text}
    if kinds & {*LETTERS}:
        return "R"
    return "L" if "L" in kinds else "N" if kinds & {*DIGITS} else "S"


def _facing(line: Sequence[Glyph]) -> list[Glyph]:
    """Brackets as they are read: PDFs say which one is meant or which shape it has, and PDFium turns some of them round.

    One behind a space opens, one before a space or a sign closes; between letters it closes what is open.
    """
    found: list[Glyph] = []
    held: list[str] = []
    for place, glyph in enumerate(line):
        if glyph.text in BRACKETS:
            opening = glyph.text if glyph.text in OPENING else glyph.text.translate(OTHER)
            before = line[place - 1].text if place else " "
            after = line[place + 1].text if place + 1 < len(line) else " "
            free, ends = before.isspace() or before in BRACKETS, after.isspace() or after in BRACKETS | ENDS
            opens = free if free != ends else opening not in held
            if opens:
                held.append(opening)
            elif opening in held:
                held.remove(opening)
            glyph = glyph._replace(text=opening if opens else opening.translate(OTHER))
        found.append(glyph)
    return found
