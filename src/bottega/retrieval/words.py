"""Words and numbers of a text as terms that compare: case, accents, endings and number formats do not count."""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable
from functools import lru_cache

from bottega.retrieval.languages import ENDINGS, STOPWORDS

_TOKEN = re.compile(r"\d[\d.,’'\u00a0\u202f ]*\d|\d|[^\W\d_]+(?:['’][^\W\d_]+)?")
_GROUPED = re.compile(r"\d{1,3}(?:([.,’'\u00a0\u202f ])\d{3})(?:\1\d{3})*(?:[.,]\d+)?")
_FOLDS = str.maketrans({"ß": "ss", "æ": "ae", "œ": "oe", "ø": "o", "ł": "l", "đ": "d", "’": "'"})


def fold(text: str) -> str:
    """Lower case without accents: ``Größe`` becomes ``grosse``, ``déjà`` becomes ``deja``."""
    decomposed = unicodedata.normalize(
        "NFKD", unicodedata.normalize("NFKD", text).casefold().translate(_FOLDS)
    )
    return "".join(char for char in decomposed if not unicodedata.combining(char))


@lru_cache(maxsize=100_000)
def stem(word: str, language: str) -> str:
    """A folded word without its endings: one after the other, as long as four letters stay.

    Three are enough once, for an ending of one letter.
    """
    least = 3
    while ending := next(
        (
            ending
            for ending in ENDINGS.get(language, ())
            if word.endswith(ending) and len(word) - len(ending) >= (4 if len(ending) > 1 else least)
        ),
        "",
    ):
        word, least = word[: -len(ending)], 4
    if language == "en" and len(word) > 4 and word[-1] == word[-2] and word[-1] not in "aels":
        word = word[:-1]  # stopped, stopping: stop
    return word[:-1] + "i" if language == "en" and word.endswith("y") and len(word) > 3 else word


def terms(text: str, language: str) -> list[str]:
    """Stems and numbers of ``text`` in order, without the language's stopwords."""
    return [term for term, _ in stemmed_words(text, language)]


def stemmed_words(text: str, language: str) -> list[tuple[str, str]]:
    """`terms`, each with the folded word it comes from."""
    found: list[tuple[str, str]] = []
    for token in _TOKEN.findall(text):
        if token[0].isdecimal():
            found.extend((number, number) for number in plain_numbers(token))
            continue
        word = fold(token)
        head, apostrophe, tail = word.partition("'")
        if apostrophe:  # l'appareil, don't, Tarnwick's
            word = tail if len(head) <= 2 or head == "qu" else head
        if len(word) > 1 and word not in STOPWORDS.get(language, frozenset()):
            found.append((stem(word, language), word))
    return found


def numbers(text: str) -> list[str]:
    """The numbers of ``text`` in plain form: ``1.299,00``, ``1,299.00`` and ``1 299`` all become ``1299``."""
    return [plain for token in _TOKEN.findall(text) if token[0].isdecimal() for plain in plain_numbers(token)]


def plain_numbers(token: str) -> list[str]:
    """One run of digits with separators as plain numbers; more than one when spaces do not group thousands."""
    token = token.strip()
    if _GROUPED.fullmatch(token):
        separator = next(char for char in token if not char.isdigit())
        rest = token.replace(separator, "")
        single = separator in ".," and token.count(separator) == 1 and len(token.split(separator)[1]) == 3
        return [_trim(rest.replace(",", "."))] if not single or len(rest) > 3 else [_trim(rest)]
    if any(char in token for char in " \u00a0\u202f"):
        return [plain for piece in re.split(r"[ \u00a0\u202f]+", token) for plain in plain_numbers(piece)]
    pieces = re.split(r"[.,’']", token)
    if len(pieces) == 2:
        return [_trim(f"{pieces[0]}.{pieces[1]}")]
    return [_trim(piece) for piece in pieces if piece]  # 192.168.0.1, 18.04.2026, 1,2,3


def _trim(number: str) -> str:
    whole, _, fraction = number.partition(".")
    fraction = fraction.rstrip("0")
    whole = whole.lstrip("0") or "0"
    return f"{whole}.{fraction}" if fraction else whole


def guess_language(texts: Iterable[str]) -> str:
    """The language of a brief whose stopwords occur most often; ``en`` when none does."""
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(fold(word) for word in re.findall(r"[^\W\d_]+", text))
    hits = {code: sum(counts[word] for word in words) for code, words in STOPWORDS.items()}
    return max(hits, key=lambda code: hits[code])
