"""The citation gate: quoted words stand where they are said to stand, and hold what a sentence claims.

It is deterministic and belongs to everybody who cites: the check `citations`, the engines `cite` and `answer`, and `bottega ask`.
"""

import re
from collections.abc import Iterator, Sequence

from bottega.checks.known import Known
from bottega.checks.quantities import Quantity, quantities
from bottega.core.passage import Passage

_TOKEN = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+|(?:https?://|www\.)[^\s)>\]]+|[^\W\d_][\w’'&+-]*")
_STARTS = re.compile(r"(?:^|[.!?:;]\s+|[\"“„«¿¡]\s*)$")
_ENDING = re.compile(r"(?:['’]s?|s)$")
# After a number that announces a list, and between two things of it; "a, b, and c" has two of them.
_ANNOUNCED = re.compile(r"[^,:(.]{0,40}[,:(](.*)", re.DOTALL)
_BETWEEN = re.compile(r",?\s+(?:and|or|und|oder|et|ou|y|o|e|en|of)\s+|,\s+|;\s+", re.IGNORECASE)
# Begin with a capital wherever they stand, and name nothing that a source would have to hold.
_ORDINARY = frozenset(("i", "i'm", "i'll", "i've", "ok", "pdf", "yes", "no", "faq"))


# Words that begin a sentence before a name without belonging to it.
_BEFORE_NAMES = frozenset(
    [
        "the",
        "a",
        "an",
        "this",
        "that",
        "these",
        "those",
        "each",
        "every",
        "our",
        "your",
        "my",
        "its",
        "his",
        "her",
        "their",
        "for",
        "if",
        "in",
        "on",
        "at",
        "to",
        "from",
        "with",
        "by",
        "of",
        "and",
        "or",
        "but",
        "as",
        "when",
        "while",
        "after",
        "before",
        "both",
        "all",
        "any",
        "only",
        "also",
        "le",
        "la",
        "les",
        "un",
        "une",
        "der",
        "die",
        "das",
        "ein",
        "eine",
        "el",
        "los",
        "las",
        "il",
        "lo",
        "gli",
        "o",
        "os",
        "as",
        "de",
        "het",
    ]
)


def misplaced(
    quote: str,
    passage: Passage | None,
    start: int,
    end: int,
    *,
    source: str = "",
    page: int = 0,
    sha256: str = "",
) -> str:
    """Why a quote does not stand at these characters of the document that ``passage`` is from; empty when it does.

    ``source``, ``page`` and ``sha256`` are what the citation says of its document; what it leaves out is not compared.
    """
    if passage is None:
        return "it is no passage of the sources"
    inside = passage.start <= start < end <= passage.end
    if not quote.strip() or not inside or passage.text[start - passage.start : end - passage.start] != quote:
        return f"'{quote[:80]}' does not stand at {start} to {end} of {passage.source}"
    said = (source or passage.source, page or passage.page)
    if said != (passage.source, passage.page):
        return f"names {said[0]}, page {said[1]}; it is in {passage.source}, page {passage.page}"
    if sha256 and sha256 != passage.sha256:
        return f"names another version of {passage.source}"
    return ""


def missing_numbers(
    sentence: str, quotes: Sequence[Passage], *, computed: Sequence[str] = (), asked: str = ""
) -> list[str]:
    """Numbers, dates and quantities of a sentence that no quote holds with that unit, as the sentence writes them.

    They are compared by value, also where they are spelled out; ``computed`` are texts whose numbers a tool made (the rows of a table
    query), ``asked`` is a question that may be repeated. "One" is mostly no number, and a count of what the sentence itself goes on to
    list needs no source.
    """
    known = Known(quotes, [*computed, asked])
    return [
        each.written
        for each in quantities(sentence)
        if not known.supports(each) and not _counts(each, sentence)
    ]


def missing_names(sentence: str, quotes: Sequence[Passage], *, computed: Sequence[str] = ()) -> list[str]:
    """Name-like words of a sentence that stand in no quote and not in the headings over it.

    Case, a plural s and a possessive do not count.
    """
    texts = [text for quote in quotes for text in (quote.heading, quote.text)]
    held = {_plain(word) for text in (*texts, *computed) for word in _TOKEN.findall(text)}
    held |= {_plain(part) for word in held for part in re.split(r"[-&+/]", word)}
    return [name for name in names(sentence) if _plain(name) not in held]


def names(sentence: str) -> Iterator[str]:
    """Words that name something: written with a capital inside a sentence, in capitals, or an address.

    The first word of a sentence counts only before another capital: any word begins with one there. Numbers and codes are
    `quantities`.
    """
    return (word for word, *_ in _places(sentence))


def things(sentence: str) -> Iterator[tuple[str, int, int]]:
    """Names with their places: words that `names` gives and between which stands one space are one name, as is Rill Duo."""
    run: tuple[str, int, int] | None = None
    for word, start, end in _places(sentence):
        if run and sentence[run[2] : start] == " ":
            run = sentence[run[1] : end], run[1], end
            continue
        if run:
            yield run
        run = word, start, end
    if run:
        yield run


def _places(sentence: str) -> Iterator[tuple[str, int, int]]:
    numbers = [
        (each.start, each.start + len(each.written))
        for each in quantities(sentence)
        if not (each.spelled and each.written[:1].isupper())  # as in a product called One
    ]
    found = list(_TOKEN.finditer(sentence))
    for place, match in enumerate(found):
        word = match[0].rstrip(".'’-")
        if word.casefold() in _ORDINARY or any(
            start < match.end() and match.start() < end for start, end in numbers
        ):
            continue
        if "@" in word or word.startswith(("http", "www.")):
            yield word, match.start(), match.start() + len(word)
        elif word[0].isupper():
            after = sentence[match.end() : found[place + 1].end()] if place + 1 < len(found) else ""
            beside = after.startswith(" ") and after[1:2].isupper() and len(after) > 2
            inner = len(word) > 1 and any(letter.isupper() for letter in word[1:])
            first = bool(_STARTS.search(sentence[: match.start()]))
            if inner or not first or (beside and word.casefold() not in _BEFORE_NAMES):
                yield word, match.start(), match.start() + len(word)


def _counts(quantity: Quantity, sentence: str) -> bool:
    """Whether a bare number word is no claim: "one", a name as in Rill Duo, or how many things come next, as in "two ways, by A or by B"."""
    if not quantity.spelled or quantity.dimension:
        return False
    if quantity.written[:1].isupper() and not _STARTS.search(sentence[: quantity.start]):
        return True  # `names` holds it
    said = _ANNOUNCED.match(sentence[quantity.start + len(quantity.written) :])
    listed = len(_BETWEEN.findall(said[1])) + 1 if said else 0
    return all(value in (1, listed) for value in quantity.values)


def _plain(word: str) -> str:
    folded = word.casefold().strip(".'’-")
    return _ENDING.sub("", folded) if len(folded) > 3 else folded
