"""From the printed lines of a PDF to headings and paragraphs."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import NamedTuple

from bottega.core.passage import Box, PrintedLine
from bottega.retrieval.chunk import Block, clean
from bottega.retrieval.convert.reading import table_blocks

BARE = 8  # characters: a page with fewer has no text
_CELL_WORDS = 6  # on average, in a table
SOFT = ("\ufffe", "\x02")  # PDFium's marks of a soft hyphen at the end of a line


@dataclass(frozen=True)
class Line:
    """One printed line: its text, size of type and height of its lower edge on the page, in points.

    ``cells`` are the pieces between wide gaps: one for running text, several for a row of a table. ``box`` is counted
    from the page's upper left corner, and ``edges`` are left and right of each word.
    """

    text: str
    size: float
    bottom: float
    cells: tuple[str, ...] = ()
    box: Box | None = None
    edges: tuple[int, ...] = ()


class Printed(NamedTuple):
    """A page: its lines, and whether there is a picture on it."""

    lines: list[Line]
    pictured: bool


class Look:
    """How a PDF is printed, counted page by page without keeping any."""

    def __init__(self) -> None:
        self.pages = 0
        self._nearly_bare: dict[int, Printed] = {}  # pages with next to nothing between header and footer
        self._sizes: Counter[float] = Counter()
        self._drops: Counter[float] = Counter()
        self._outer: Counter[tuple[str, int]] = Counter()

    def add(self, page: Printed) -> None:
        """Count the next page in."""
        lines = page.lines
        if _characters(lines[2:-2]) < BARE:
            self._nearly_bare[self.pages] = page
        self.pages += 1
        self._outer.update({_place(line) for line in (*lines[:2], *lines[-2:])})
        for line in lines:
            self._sizes[line.size] += len(line.text)
        for above, below in pairwise(lines):
            one_cell = len(above.cells) == len(below.cells) == 1
            if one_cell and above.size == below.size and 0 < above.bottom - below.bottom < 4 * above.size:
                self._drops[round(2 * (above.bottom - below.bottom)) / 2] += 1

    @cached_property
    def bare(self) -> frozenset[int]:
        """Pages with hardly any text, from 0; where a picture is, header and footer are none."""
        return frozenset(
            page
            for page, (lines, pictured) in self._nearly_bare.items()
            if _characters(self._without(lines) if pictured else lines) < BARE
        )

    @cached_property
    def body(self) -> float:
        """The size in which most letters are set, in points."""
        return max(self._sizes.items(), key=lambda item: (item[1], item[0]))[0] if self._sizes else 0.0

    @cached_property
    def pitch(self) -> float:
        """The usual distance between two lines of one paragraph, in points; 0 when there is none."""
        return min(self._drops, key=lambda drop: (-self._drops[drop], drop)) if self._drops else 0.0

    def without_running(self, lines: Sequence[Line]) -> list[Line]:
        """A page without its header and footer: first or last lines that stand at the same height on most pages.

        Digits do not count, because page numbers differ. A page on which nothing else stands keeps them.
        """
        left = self._without(lines)
        return left if _characters(left) >= BARE else list(lines)

    def _without(self, lines: Sequence[Line]) -> list[Line]:
        often = max(2, self.pages // 2)
        return [
            line
            for index, line in enumerate(lines)
            if 2 <= index < len(lines) - 2 or self._outer[_place(line)] < often
        ]


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
            yield _rows(rows, lines[start:end]), lines[end - 1]
        else:
            end = max(end, start + 1)
            yield from (([], line) for line in lines[start:end])
        start = end


def _rows(rows: Sequence[Sequence[str]], lines: Sequence[Line]) -> list[Block]:
    """Rows as ``col: value; ...`` only where the first row surely names the columns, else as they are printed.

    Surely means: all rows have as many cells, and the first alone is without digits. A value under a wrong name
    would be worse than one without a name.
    """
    named = len({len(row) for row in rows}) == 1 and not re.search(r"\d", "".join(rows[0]))
    if named and all(re.search(r"\d", "".join(row)) for row in rows[1:]):
        blocks = table_blocks(rows)
        boxes = [line.box for line in lines[len(lines) - len(blocks) :]]
    else:
        blocks = [Block(" ".join(row), "row") for row in rows]
        boxes = [line.box for line in lines]
    return [_boxed(block, box) for block, box in zip(blocks, boxes, strict=True)]


def _boxed(block: Block, box: Box | None) -> Block:
    """A row of a table: its words stand in another order than on the page, so the row is one place."""
    text = clean(block.text)
    lines: tuple[PrintedLine, ...] = ((0, len(text), box[1], box[3], (box[0], box[2])),) if box else ()
    return replace(block, text=text, box=box, lines=lines)


def _characters(lines: Sequence[Line]) -> int:
    return sum(len(line.text) for line in lines)


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
    text, soft = "", True  # soft: the word goes on in the next line
    lines: list[PrintedLine] = []
    for line in held:
        said = clean(line.text)
        if not said:
            continue
        kept = (
            text.endswith("-") and text[-2:-1].isalpha() and said[0].islower()
        )  # a hyphen that was printed stays
        text += said if soft or kept else f" {said}"
        soft = line.text.endswith(SOFT)
        if line.box is not None:
            edges = line.edges if len(line.edges) == 2 * len(said.split()) else line.box[::2]
            lines.append((len(text) - len(said), len(text), line.box[1], line.box[3], edges))
    ratio = held[0].size / body if body else 1.0
    box = around([line.box for line in held if line.box])
    if ratio < 1.12 or len(text.split()) > 18:
        return Block(text, box=box, lines=tuple(lines))
    return Block(text, "heading", 1 if ratio >= 1.6 else 2 if ratio >= 1.3 else 3, box, tuple(lines))


def around(boxes: Sequence[Box]) -> Box | None:
    """The smallest box that holds all of these."""
    if not boxes:
        return None
    lefts, tops, rights, bottoms = zip(*boxes, strict=True)
    return min(lefts), min(tops), max(rights), max(bottoms)
