"""What a translation has to keep: numbers, marks of emphasis, code, links and names."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Self

from bottega.core.value import Value

# Code, pictures, link targets and addresses: the model sees a letter in their place.
HIDDEN = re.compile(
    r"(`+).+?\1|!\[[^\]]*\]\([^)]*\)|(?<=\]\()[^)]+(?=\))|<[^>\s]+>|https?://[^\s)]+|\{\{.*?\}\}"
)
MASK = re.compile(r"\bX([A-W])\b")
MARKS = re.compile(r"\*{1,3}|~~|(?<!\w)_{1,2}(?=\w)|(?<=\w)_{1,2}(?!\w)|\]\(|[\[\]`|]")
ENGLISH_NUMBER = re.compile(r"\d{1,3}(?:,\d{3})+(?!\d)(?:\.\d+)?|\d+(?:\.\d+)?")
FRENCH_NUMBER = re.compile(r"\d{1,3}(?:[ \u00a0\u202f]\d{3})+(?!\d)(?:,\d+)?|\d+(?:[.,]\d+)?")
LONE_NUMBER = re.compile(rf"(?<![\w.,/:-])(?:{ENGLISH_NUMBER.pattern})(?:st|nd|rd|th)?(?![\w/:-]|[.,]\d)")
MARKED_WORD = re.compile(r"[*_~][a-z]{4,}[*_~]")  # models tend to copy these instead of translating them
NARROW_SPACE = "\u202f"  # does not break; French groups thousands with it


class Masked(Value, frozen=True):
    """A sentence as the model sees it, and what stands behind its letters."""

    text: str
    hidden: tuple[str, ...] = ()

    @classmethod
    def of(cls, sentence: str) -> Self:
        """Hide what must not be translated; more than 23 such places stay in sight."""
        hidden: list[str] = []

        def hide(found: re.Match[str]) -> str:
            if len(hidden) == 23 or MASK.search(sentence):
                return found[0]
            hidden.append(found[0])
            return f"X{chr(ord('A') + len(hidden) - 1)}"

        text = HIDDEN.sub(hide, sentence)
        return cls(text=text, hidden=tuple(hidden))

    def unmasked(self, text: str) -> str:
        """The hidden parts back in their places."""
        if not self.hidden:
            return text
        return MASK.sub(lambda found: self.hidden[ord(found[1]) - ord("A")], text)


def numbers(text: str, pattern: re.Pattern[str]) -> Counter[str]:
    """The numbers of a text, written plainly: ``1,200.5`` and ``1 200,5`` are both ``1200.5``."""
    found = (match[0] for match in pattern.finditer(text))
    if pattern is ENGLISH_NUMBER:
        return Counter(number.replace(",", "") for number in found)
    return Counter(re.sub(r"\s", "", number).replace(",", ".") for number in found)


def french_numbers(text: str) -> str:
    """English numbers as French writes them: ``1,299.50`` gives ``1 299,50``; dates and versions stay."""
    return LONE_NUMBER.sub(_french, text)


def _french(found: re.Match[str]) -> str:
    number = found[0].rstrip("stndrh")
    ending = "" if number == found[0] else "er" if number == "1" else "e"
    return number.replace(",", NARROW_SPACE).replace(".", ",") + ending


def is_faithful(source: Masked, translation: str, keep: Sequence[str]) -> bool:
    """Whether numbers, marks, hidden parts and names all came over, none added, none lost."""
    names = all(source.text.count(name) <= translation.count(name) for name in keep)
    return (
        bool(translation.strip())
        and Counter(MARKS.findall(source.text)) == Counter(MARKS.findall(translation))
        and Counter(MASK.findall(source.text)) == Counter(MASK.findall(translation))
        and numbers(source.text, ENGLISH_NUMBER) == numbers(translation, FRENCH_NUMBER)
        and names
        and not any(word in translation for word in MARKED_WORD.findall(source.text))
    )


def pieces_of(source: Masked, keep: Sequence[str]) -> list[tuple[str, bool]]:
    """The sentence in pieces, each with whether it stays: numbers, marks, hidden parts and names do."""
    names = "|".join(re.escape(name) for name in sorted(keep, key=len, reverse=True) if name) or r"(?!)"
    fixed = re.compile(
        f"{names}|{MARKS.pattern}|{MASK.pattern}|{LONE_NUMBER.pattern}|{ENGLISH_NUMBER.pattern}"
    )
    pieces: list[tuple[str, bool]] = []
    at = 0
    for found in fixed.finditer(source.text):
        if found.start() > at:
            pieces.append((source.text[at : found.start()], False))
        pieces.append((found[0], True))
        at = found.end()
    if at < len(source.text):
        pieces.append((source.text[at:], False))
    return pieces


def rejoined(source: Masked, said: Mapping[str, str], keep: Sequence[str]) -> str:
    """The sentence from its pieces: less fluent, but nothing is lost."""
    out: list[str] = []
    for piece, fixed in pieces_of(source, keep):
        if fixed:
            out.append(french_numbers(piece))
        else:
            out.append(_like(piece, said[piece]))
    return source.unmasked("".join(out))


def _like(piece: str, words: str) -> str:
    """A translated piece with the spaces, the first letter's case and the end of its source."""
    bare, words = piece.strip(), words.strip()
    if bare and bare[-1].isalnum():
        words = words.rstrip(" .")
    if bare[:1].islower():
        words = words[:1].lower() + words[1:]
    before = piece[: len(piece) - len(piece.lstrip())]
    after = piece[len(piece.rstrip()) :]
    return f"{before}{words}{after}"
