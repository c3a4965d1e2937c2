"""What a table of the collection answers by a query: its rows as cited sentences."""

import re
from collections.abc import Mapping, Sequence

from bottega.core.passage import Passage
from bottega.retrieval.answers.answer import Answer, Citation, Sentence
from bottega.retrieval.tables.answer import Cell, TableAnswer

MOST_QUOTED = 8  # rows of a table whose cells are quoted


def tabled(question: str, found: TableAnswer, documents: Mapping[str, Sequence[Passage]]) -> Answer | None:
    """The rows as an answer whose quotes are the cells in their documents, by file name; None where rules say no.

    It must be one result, or one that the question asked to be counted, ordered or grouped: a plain list may as well mean that the
    question fits several things, which is asked back elsewhere. Every quoted cell must stand in the document as it was indexed.
    """
    query = found.query
    if found.abstained or query is None:
        return None
    worked_out = bool(query.group or query.order or any(item.function for item in query.select))
    if not worked_out and len(found.rows) > 1:
        return None
    citations = quoted(found.cells, documents)
    if not citations:
        return None
    sentence = Sentence(text=found.sentence, citations=citations, verdict="supports", score=1.0)
    return Answer(question=question, outcome="answered", sentences=(sentence,), table=found, judge="query")


def quoted(cells: Sequence[Cell], documents: Mapping[str, Sequence[Passage]]) -> tuple[Citation, ...]:
    """A quote for each row that the result comes from: ``column: value; column: value`` as the document says it.

    Empty when a row is not found in the document's text.
    """
    rows: dict[tuple[str, str, int], list[Cell]] = {}
    for cell in cells:
        rows.setdefault((cell.file, cell.sheet, cell.row), []).append(cell)
    citations: list[Citation] = []
    used: set[tuple[str, int]] = set()
    for (file, *_), row in [*rows.items()][:MOST_QUOTED]:
        found = next((each for each in _lines(row, documents.get(file, ())) if each[:2] not in used), None)
        if found is None:
            return ()
        used.add(found[:2])
        citations.append(found[2])
    return tuple(citations)


def _lines(row: Sequence[Cell], passages: Sequence[Passage]) -> list[tuple[str, int, Citation]]:
    """The lines of a document that hold every cell of a row, in order, each with its quote: from the first cell to the last."""
    pieces = [
        re.compile(rf"(?:^|; ){re.escape(f'{c.column}: {c.value}')}(?=; |$)") for c in row if c.value.strip()
    ]
    found: list[tuple[str, int, Citation]] = []
    for passage in passages:
        for line in re.finditer(r"[^\n]+", passage.text):
            spans = [piece.search(line[0]) for piece in pieces]
            if not pieces or not all(spans):
                continue
            starts = [s.start() + (2 if s[0].startswith("; ") else 0) for s in spans if s]
            first, last = min(starts), max(s.end() for s in spans if s)
            start = passage.start + line.start() + first
            quote = line[0][first:last]
            found.append(
                (
                    passage.source,
                    start,
                    Citation(
                        source=passage.source, sha256=passage.sha256, page=passage.page, start=start, end=start + len(quote),
                        quote=quote, heading=passage.heading,
                    ),
                )
            )  # fmt: skip
    return found
