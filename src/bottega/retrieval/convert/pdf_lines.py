"""From the printed lines of a PDF to headings and paragraphs."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from bottega.retrieval.chunk import Block
from bottega.retrieval.convert.reading import table_blocks

_CELL_WORDS = 6  # on average, in a table


@dataclass(frozen=True)
class Line:
    """One printed line: its text, size of type and height of its lower edge on the page, in points.

    ``cells`` are the pieces between wide gaps: one for running text, several for a row of a table.
    """

    text: str
    size: float
    bottom: float
    cells: tuple[str, ...] = ()


def body_size(pages: Sequence[Sequence[Line]]) -> float:
    """The size in which most letters are set, in points."""
    sizes: Counter[float] = Counter()
    for lines in pages:
        for line in lines:
            sizes[line.size] += len(line.text)
    return max(sizes.items(), key=lambda item: (item[1], item[0]))[0] if sizes else 0.0


def line_pitch(pages: Sequence[Sequence[Line]]) -> float:
    """The usual distance between two lines of one paragraph, in points; 0 when there is none."""
    drops = Counter(
        round(2 * (above.bottom - below.bottom)) / 2
        for lines in pages
        for above, below in pairwise(lines)
        if above.size == below.size
        and len(above.cells) == len(below.cells) == 1
        and 0 < above.bottom - below.bottom < 4 * above.size
    )
    return min(drops, key=lambda drop: (-drops[drop], drop)) if drops else 0.0


def paragraphs(lines: Sequence[Line], body: float, pitch: float) -> Iterator[Block]:
    """Join lines to paragraphs; larger type is a heading, a wider gap or another size a new paragraph."""
    held: list[Line] = []
    for rows, line in _tables(lines):
        if rows:
            if held:
                yield _block(held, body)
                held = []
            yield from rows
            continue
        if held and _breaks(held, line, pitch):
            yield _block(held, body)
            held = []
        held.append(line)
    if held:
        yield _block(held, body)


def _tables(lines: Sequence[Line]) -> Iterator[tuple[list[Block], Line]]:
    """Lines one by one without blocks, or the rows of a table with its last line.

    A table is two or more lines of several short cells; prose in two columns is none.
    """
    start = 0
    while start < len(lines):
        end = start
        while end < len(lines) and len(lines[end].cells) > 1:
            end += 1
        rows = [line.cells for line in lines[start:end]]
        cells = [cell for row in rows for cell in row]
        if len(rows) > 1 and sum(len(cell.split()) for cell in cells) <= _CELL_WORDS * len(cells):
            yield _rows(rows), lines[end - 1]
        else:
            end = max(end, start + 1)
            yield from (([], line) for line in lines[start:end])
        start = end


def _rows(rows: Sequence[Sequence[str]]) -> list[Block]:
    """Rows as ``col: value; ...`` only where the first row surely names the columns, else as they are printed.

    Surely means: all rows have as many cells, and the first alone is without digits. A value under a wrong name
    would be worse than one without a name.
    """
    named = len({len(row) for row in rows}) == 1 and not re.search(r"\d", "".join(rows[0]))
    if named and all(re.search(r"\d", "".join(row)) for row in rows[1:]):
        return table_blocks(rows)
    return [Block(" ".join(row), "row") for row in rows]


def without_running_lines(pages: Sequence[Sequence[Line]]) -> list[list[Line]]:
    """Drop page headers and footers: first or last lines that stand at the same height on most pages.

    Digits do not count, because page numbers differ.
    """
    seen: Counter[tuple[str, int]] = Counter()
    for lines in pages:
        seen.update({_place(line) for line in (*lines[:2], *lines[-2:])})
    often = max(2, len(pages) // 2)
    running = {place for place, count in seen.items() if count >= often}
    return [
        [
            line
            for index, line in enumerate(lines)
            if not (_place(line) in running and _outer(index, len(lines)))
        ]
        for lines in pages
    ]


def _outer(index: int, count: int) -> bool:
    return index < 2 or index >= count - 2


def _place(line: Line) -> tuple[str, int]:
    return re.sub(r"\d+", "0", line.text), round(line.bottom / 2)


def _breaks(held: Sequence[Line], line: Line, pitch: float) -> bool:
    last = held[-1]
    drop = last.bottom - line.bottom
    if abs(last.size - line.size) > 0.6:
        return True
    if line.text[0] in "•‣▪–—·-*" and len(line.text) > 1:
        return True
    return drop > max(pitch, last.size) * 1.25 or drop < -2 * last.size


def _block(held: Sequence[Line], body: float) -> Block:
    text = held[0].text
    for line in held[1:]:
        if text.endswith(("\ufffe", "\x02")):
            text = text[:-1] + line.text
        elif text.endswith("-") and text[-2:-1].isalpha() and line.text[0].islower():
            text = text + line.text  # a hyphen that was printed stays; a soft one arrives as U+FFFE
        else:
            text = f"{text} {line.text}"
    text = text.replace("\ufffe", "").replace("\x02", "")
    ratio = held[0].size / body if body else 1.0
    if ratio < 1.12 or len(text.split()) > 18:
        return Block(text)
    return Block(text, "heading", 1 if ratio >= 1.6 else 2 if ratio >= 1.3 else 3)
