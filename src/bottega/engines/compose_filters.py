"""Filters of `compose` templates: Markdown escaping, numbers as a language writes them, rows and footnotes."""

import re
from collections.abc import Callable, Iterable, Mapping
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation
from typing import Any, cast

_MARKDOWN = re.compile(r"([\\`*_{}\[\]<>#|~])")
_LINE_START = re.compile(r"^(\s*)([-+=]+|\d+[.)])(?=\s|$)", re.MULTILINE)
_NARROW = "\u202f"  # narrow no-break space
_NO_BREAK = "\u00a0"

# thousands separator, decimal separator
_SEPARATORS = {
    "en": (",", "."),
    "fr": (_NARROW, ","),
    "de": (".", ","),
    "es": (".", ","),
    "it": (".", ","),
    "pt": (".", ","),
    "nl": (".", ","),
}


def markdown(value: object) -> str:
    """Text that Markdown shows as it is."""
    escaped = _MARKDOWN.sub(r"\\\1", str(value))
    return _LINE_START.sub(lambda m: f"{m[1]}{m[2][:-1]}\\{m[2][-1]}", escaped)


def markdown_cell(value: object) -> str:
    """Text for one cell of a Markdown table: one line; nothing for a missing value."""
    return "" if value is None else markdown(" ".join(str(value).split()))


def records(rows: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Rows of the table engine as one mapping a row, by column name."""
    names = [str(column["name"]) for column in rows["columns"]]
    return [dict(zip(names, row, strict=True)) for row in rows["rows"]]


def footnoted(cited: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Items of a cited draft, each with ``marks``: footnote references such as ``[^1][^2]``."""
    numbers = _numbers(cited)
    return [
        {**item, "marks": "".join(f"[^{numbers[key]}]" for key in dict.fromkeys(map(_key, _citations(item))))}
        for item in cited["items"]
    ]


def footnotes(cited: Mapping[str, Any]) -> str:
    """The footnotes that `footnoted` refers to, as Markdown: the quoted words, file and page."""
    lines: dict[int, str] = {}
    numbers = _numbers(cited)
    for item in cited["items"]:
        for citation in _citations(item):
            quote = markdown(" ".join(str(citation["quote"]).split()))
            place = f"{markdown(citation['source'])}, p. {citation['page']}"
            lines[numbers[_key(citation)]] = f"[^{numbers[_key(citation)]}]: “{quote}” — {place}"
    return "\n\n".join(lines[number] for number in sorted(lines))


def number_filters(language: str) -> dict[str, Callable[..., str]]:
    """``number``, ``unit`` and ``money`` as a language writes them."""
    thousands, point = _SEPARATORS.get(language, _SEPARATORS["en"])

    def number(value: object, places: int | None = None) -> str:
        """The value with ``places`` decimals (as it is without), grouped from 10 000 on."""
        try:
            exact = Decimal(str(value))
        except InvalidOperation as error:
            raise ValueError(f"'{value}' is not a number") from error
        if places is not None:
            exact = exact.quantize(Decimal(1).scaleb(-places), rounding=ROUND_HALF_EVEN)
        whole, _, fraction = format(abs(exact), "f").partition(".")
        if len(whole) > 4:
            whole = re.sub(r"(?<=\d)(?=(\d{3})+$)", thousands, whole)
        return ("−" if exact < 0 else "") + whole + (point + fraction if fraction else "")

    def unit(value: object, symbol: str, places: int | None = None) -> str:
        """The value and its unit, which a line break never parts."""
        return f"{number(value, places)}{_NO_BREAK}{symbol}"

    def money(value: object, currency: str = "EUR", places: int = 2) -> str:
        """An amount: the symbol stands before it in English, a code or another language puts it behind."""
        if language == "en" and not currency.isalpha():
            return currency + number(value, places)
        return unit(value, currency, places)

    return {"number": number, "unit": unit, "money": money}


def _citations(item: Mapping[str, Any]) -> Iterable[Mapping[str, Any]]:
    return cast(Iterable[Mapping[str, Any]], item.get("citations", ()))


def _key(citation: Mapping[str, Any]) -> tuple[str, int, int]:
    return str(citation["source"]), int(citation["start"]), int(citation["end"])


def _numbers(cited: Mapping[str, Any]) -> dict[tuple[str, int, int], int]:
    """Every quoted place once, numbered in order of appearance."""
    keys = dict.fromkeys(_key(citation) for item in cited["items"] for citation in _citations(item))
    return {key: index for index, key in enumerate(keys, 1)}
