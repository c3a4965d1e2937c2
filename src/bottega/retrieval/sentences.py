"""Where sentences begin and end, for the seven languages of a brief."""

import re
from collections.abc import Iterator

# A sentence ends at . ! ? … (with closing quotes or brackets) before a space, or at a line's end.
_END = re.compile(r"[.!?…]+[\"'”’»)\]]*(?=\s)|\n+")
_ABBREVIATED = (
    "mr mrs ms dr prof st no nr nos vs etc e.g i.e approx fig vol inc ltd co jr sr dept est max min "
    "m mme mlle art p pp p.ex env cf bzw z.b d.h u.a ca evtl ggf inkl exkl zzgl mind str tel usw "
    "sra srta ud uds pág núm dña sig dott ecc es pag sig.ra dhr mevr bijv o.a enz exma"
)
_ABBREVIATIONS = frozenset(_ABBREVIATED.split())
_MONTHS = "jan feb mär apr mai jun jul aug sep okt nov dez quartal jahrhundert"  # after a German ordinal
_GERMAN_MONTHS = tuple(_MONTHS.split())
_UNIT = re.compile(r"\d[ \u00a0\u202f]?[A-Z]$")  # "18 W." is a measure, "J. Doe" an initial
_LAST_WORD = re.compile(r"(\S+)$")


def sentence_spans(text: str) -> Iterator[tuple[int, int]]:
    """Spans ``(start, end)`` of the sentences of ``text``, without the space around them.

    Abbreviations, initials, decimals and ordinals ("3. Januar") do not end one; a line break does, because table
    rows and list items are lines.
    """
    start = 0
    for match in _END.finditer(text):
        if match.group()[0] != "\n" and not _ends(text, match):
            continue
        yield from _trimmed(text, start, match.start() if match.group()[0] == "\n" else match.end())
        start = match.end()
    yield from _trimmed(text, start, len(text))


def _ends(text: str, match: re.Match[str]) -> bool:
    if match.group() != ".":
        return True
    found = _LAST_WORD.search(text, max(0, match.start() - 20), match.start())
    word = found.group(1).lstrip("([{\"'«„“").lower() if found else ""
    if word in _ABBREVIATIONS or (
        len(word) == 1
        and word.isalpha()
        and not _UNIT.search(text[max(0, match.start() - 4) : match.start()])
    ):
        return False
    following = text[match.end() : match.end() + 12].lstrip(" ")
    if word.isdigit() and len(word) <= 2:
        before = text[max(0, match.start() - len(word) - 1) : match.start() - len(word)]
        return before not in ("", "\n") and not following.lower().startswith(_GERMAN_MONTHS)
    return not following[:1].islower()


def _trimmed(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    while start < end and text[start].isspace():
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    if start < end:
        yield start, end
