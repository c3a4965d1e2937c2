"""The facts of a text that can be told apart without understanding it: numbers with their units, and names."""

import re
from typing import NamedTuple

from bottega.checks.known import Known
from bottega.checks.quantities import quantities

_NAME = re.compile(r"[^\W\d_][\w'’-]*")
_SENTENCE_START = re.compile(r"(?:^|[.!?:…\n]|[.!?]['\"”’)])[\s#*>\"“‘(\[•–-]*$")


class Facts(NamedTuple):
    """Numbers as written, and words that are names: capitals inside a sentence, or inside a word."""

    numbers: tuple[str, ...]
    names: tuple[str, ...]

    def __bool__(self) -> bool:
        return bool(self.numbers or self.names)


def missing(source: str, text: str) -> Facts:
    """The facts of ``source`` that do not stand in ``text``: numbers are compared by value and unit, names by letters.

    Not covered: a name at the beginning of its only sentence, numbers in words without a unit, and who did what.
    """
    known = Known((), [text])
    lost = [one.written for one in quantities(source) if not one.spelled and not known.supports(one)]
    words = {_bare(word) for word in _NAME.findall(text)}
    names = [name for name in names_of(source) if _bare(name) not in words]
    return Facts(tuple(dict.fromkeys(lost)), tuple(names))


def names_of(text: str) -> list[str]:
    """Words with a capital where no sentence begins, or with one inside; "I" and a number's unit are none."""
    for one in quantities(text):
        text = text[: one.start] + " " * len(one.written) + text[one.start + len(one.written) :]
    found: list[str] = []
    for match in _NAME.finditer(text):
        word = match[0]
        inside = any(char.isupper() for char in word[1:])
        begins = bool(_SENTENCE_START.search(text[max(0, match.start() - 12) : match.start()]))
        if (inside or (word[0].isupper() and not begins)) and len(_bare(word)) > 1:
            found.append(word)
    return list(dict.fromkeys(found))


def _bare(word: str) -> str:
    return re.sub(r"['’]s?$", "", word).casefold()
