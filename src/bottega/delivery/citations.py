"""Citations of questions and answers, joined with the passages they point at."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from markupsafe import Markup

from bottega.core.passage import Box, Passage
from bottega.delivery.prose import highlighted, inline


@dataclass(frozen=True)
class Citation:
    """One quote with its place, and its passage with the quote marked (empty when the passage is unknown)."""

    number: int
    source: str
    page: int
    start: int
    end: int
    quote: str
    passage: str
    marked: Markup


@dataclass(frozen=True)
class Answer:
    """A question, its answer, and what the answer rests on."""

    question: str
    answer: Markup
    citations: tuple[Citation, ...]


@dataclass(frozen=True)
class Cited:
    """A passage that something in the folder cites, with every quote of it marked, and where the quotes are printed."""

    id: str
    source: str
    sha256: str
    page: int
    start: int
    end: int
    heading: str
    marked: Markup
    boxes: tuple[Box, ...] = ()


class Citations:
    """Reads cited files, numbers their citations through the page, and remembers the passages."""

    def __init__(self, passages: Sequence[Passage]) -> None:
        self._passages: Mapping[str, Passage] = {passage.id: passage for passage in passages}
        self._spans: dict[str, list[tuple[int, int]]] = {}
        self._count = 0

    def answers(self, items: Sequence[object]) -> tuple[Answer, ...]:
        """The items of a question-and-answer file (see docs/contracts.md, "cited")."""
        found: list[Answer] = []
        for item in items:
            entry = cast(dict[str, Any], item) if isinstance(item, dict) else {}
            cites = entry.get("citations")
            given = cast(list[Any], cites) if isinstance(cites, list) else []
            citations = tuple(self._citation(cast(dict[str, Any], c)) for c in given if isinstance(c, dict))
            found.append(
                Answer(str(entry.get("question", "")), inline(str(entry.get("answer", ""))), citations)
            )
        return tuple(found)

    def cited(self) -> tuple[Cited, ...]:
        """The cited passages, by document and place."""
        found = [self._passages[key] for key in self._spans]
        return tuple(
            Cited(
                p.id, p.source, p.sha256, p.page, p.start, p.end, p.heading, highlighted(p.text, self._spans[p.id]),
                tuple(box for start, end in self._spans[p.id] for box in p.places(p.start + start, p.start + end)),
            )
            for p in sorted(found, key=lambda p: (p.source, p.start, p.id))
        )  # fmt: skip

    def _citation(self, entry: dict[str, Any]) -> Citation:
        self._count += 1
        quote, name = str(entry.get("quote", "")), str(entry.get("passage", ""))
        passage = self._passages.get(name)
        start, end = _whole(entry.get("start")), _whole(entry.get("end"))
        marked = Markup("")
        if passage is not None:
            span = _place(passage, quote, start, end)
            self._spans.setdefault(name, []).append(span)
            marked = highlighted(passage.text, [span])
        page = passage.page if passage else _whole(entry.get("page"))
        source = passage.source if passage else str(entry.get("source", ""))
        return Citation(self._count, source, page, start, end, quote, name if passage else "", marked)


def _place(passage: Passage, quote: str, start: int, end: int) -> tuple[int, int]:
    """Where the quote stands in the passage's text; an empty span when it stands nowhere."""
    claimed = (start - passage.start, end - passage.start)
    if claimed[0] >= 0 and passage.text[claimed[0] : claimed[1]] == quote:
        return claimed
    found = passage.text.find(quote) if quote else -1
    return (found, found + len(quote)) if found >= 0 else (0, 0)


def _whole(value: object) -> int:
    return int(value) if isinstance(value, int | float) else 0
