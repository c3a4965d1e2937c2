"""The words of an artifact, with the place each piece stands at: what every text check reads."""

import csv
import io
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from html.parser import HTMLParser
from typing import Any, cast

from bottega.checks.base import Subject
from bottega.core.errors import EngineFailed
from bottega.engines.pdfium import pdfium

TEXTS = (
    "text/markdown",
    "text/plain",
    "text/html",
    "text/vtt",
    "text/csv",
    "application/json",
    "application/pdf",
)
_SKIPPED_KEYS = frozenset(
    {"citations", "entailment"}
)  # the citations check compares those word by word; these are a judge's
_CUE_TIME = re.compile(r"^\s*(WEBVTT.*|\d+|(?:\d+:)?\d+:\d\d\.\d{3} --> .*)$", re.MULTILINE)


@dataclass(frozen=True)
class Piece:
    """A stretch of text. ``place`` is "" for a whole file, a JSON pointer, or "page 2"."""

    text: str
    place: str = ""

    def at(self, offset: int) -> str:
        """Where a character stands, in words."""
        line = self.text.count("\n", 0, offset) + 1
        column = offset - (self.text.rfind("\n", 0, offset) + 1) + 1
        spot = f"line {line}, column {column}"
        return f"{self.place}, {spot}" if self.place else spot


def pieces(subject: Subject) -> list[Piece]:
    """The readable text of the artifact.

    Raises:
        ValueError: not UTF-8, not JSON, or not a PDF with text: the check cannot decide.
    """
    match subject.artifact.media_type:
        case "application/json":
            return list(_values(json.loads(subject.text()), ""))
        case "application/pdf":
            return _pages(subject)
        case "text/html":
            return [Piece(_visible(subject.text()))]
        case "text/csv":
            rows = csv.reader(io.StringIO(subject.text()))
            return [
                Piece(cell, f"row {n}, column {m}")
                for n, row in enumerate(rows, 1)
                for m, cell in enumerate(row, 1)
            ]
        case "text/vtt":
            return [Piece(_CUE_TIME.sub("", subject.text()))]
        case _:
            return [Piece(subject.text())]


def prose(subject: Subject) -> str:
    """All of it in one text, for checks that look at the whole."""
    return "\n\n".join(piece.text for piece in pieces(subject) if piece.text.strip())


def _values(value: Any, pointer: str) -> Iterator[Piece]:
    match value:
        case bool() | None:
            return
        case str():
            yield Piece(value, pointer or "/")
        case int() | float():
            yield Piece(json.dumps(value), pointer or "/")
        case dict():
            for key, item in cast(dict[str, Any], value).items():
                if key not in _SKIPPED_KEYS:
                    yield from _values(item, f"{pointer}/{key.replace('~', '~0').replace('/', '~1')}")
        case _:
            for index, item in enumerate(cast(list[Any], value)):
                yield from _values(item, f"{pointer}/{index}")


def _pages(subject: Subject) -> list[Piece]:
    with pdfium() as library:
        try:
            document: Any = library.PdfDocument(subject.path)
        except library.PdfiumError as error:
            raise EngineFailed(f"the PDF cannot be read: {error}") from error
        with document:
            found: list[Piece] = []
            for number, page in enumerate(document, 1):
                text: str = page.get_textpage().get_text_range()
                found.append(Piece(text.replace("\r\n", "\n").replace("\ufffe", "-"), f"page {number}"))
    if not any(piece.text.strip() for piece in found):
        raise EngineFailed("the PDF holds no text that could be read")
    return found


class _Visible(HTMLParser):
    """Text as a reader sees it: no scripts, no styles, one line a block."""

    blocks = frozenset(
        {"p", "div", "li", "tr", "td", "th", "br", "h1", "h2", "h3", "h4", "section", "figcaption"}
    )

    def __init__(self) -> None:
        super().__init__()
        self.text: list[str] = []
        self._hidden = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._hidden += tag in ("script", "style")
        if tag in self.blocks:
            self.text.append("\n")
        self.text += [f"\n{value}\n" for name, value in attrs if name == "alt" and value]

    def handle_endtag(self, tag: str) -> None:
        self._hidden -= tag in ("script", "style")
        if tag in self.blocks:
            self.text.append("\n")

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.text.append(data)


def _visible(markup: str) -> str:
    reader = _Visible()
    reader.feed(markup)
    reader.close()
    return "".join(reader.text)
