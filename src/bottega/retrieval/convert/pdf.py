"""PDF: text page by page through PDFium; pages without text go to character recognition."""

import asyncio
import io
import math
import re
from collections.abc import AsyncIterator, Iterator, Sequence
from ctypes import byref, c_double
from dataclasses import replace
from importlib import import_module
from itertools import groupby
from statistics import median
from typing import Any

from bottega.core.errors import UnreadableSource
from bottega.engines.pdfium import pdfium
from bottega.retrieval.chunk import Block
from bottega.retrieval.convert.leftward import (
    LEFTWARD,
    Glyph,
    Letter,
    glyphs,
    leftward,
    logical,
)
from bottega.retrieval.convert.pdf_lines import Line, Look, Printed, paragraphs
from bottega.retrieval.convert.picture import recognise
from bottega.retrieval.convert.reading import Reading

_PASSWORD = 4  # FPDF_ERR_PASSWORD
_SECURITY = 5  # FPDF_ERR_SECURITY
_OCR_DPI = 200
_TAIL = 8192  # bytes in which the end mark of a whole PDF stands
_AT_ONCE = 64  # pages
_IMAGE = 3  # FPDF_PAGEOBJ_IMAGE
_FEW_LINES = 8  # a page with more is not looked at for pictures
_COLUMN_GAP = 0.85  # em: a wider gap in a line divides the cells of a table


async def read(reading: Reading) -> AsyncIterator[list[Block]]:
    """Pages of headings and paragraphs, a few at a time: the first pass measures the print, the second reads.

    Raises:
        UnreadableSource: for a damaged, encrypted or empty PDF, or one with too many pages.
    """
    look = Look()
    async for page in _pages(reading):
        look.add(page)
    bare = look.bare
    if bare and len(bare) < look.pages and reading.ask is None:
        reading.notes.append(f"{len(bare)} pages have no text")
        bare = frozenset[int]()
    if len(bare) > reading.limits.ocr_pages:
        raise reading.refuse(
            f"{len(bare)} pages are pictures without text; at most {reading.limits.ocr_pages} are recognised",
            "give a PDF with a text layer, or fewer pages",
        )
    index = recognised = 0
    async for lines, _ in _pages(reading, edges=True):
        drawn = await asyncio.to_thread(_render, reading, index) if index in bare else None
        if drawn is not None:
            yield await recognise(reading, drawn[0], "image/png", f"page {index + 1}", drawn[1])
            recognised += 1
        else:
            yield list(paragraphs(look.without_running(lines), look.body, look.pitch))
        index += 1
    if recognised:
        reading.notes.append(f"{recognised} pages were read by character recognition")


def _open(reading: Reading, library: Any) -> Any:
    if b"%%EOF" not in reading.data[-_TAIL:]:
        raise _damaged(reading)  # PDFium would repair it and leave pages out without a word
    try:
        return library.PdfDocument(reading.data)
    except library.PdfiumError as error:
        if error.err_code in (_PASSWORD, _SECURITY):
            raise reading.refuse(
                "the PDF is encrypted and asks for a password", "save a copy without a password"
            ) from error
        raise _damaged(reading) from error


def _damaged(reading: Reading) -> UnreadableSource:
    return reading.refuse(
        "the PDF is damaged or cut off", "open it in a viewer and save it again, or fetch it again"
    )


def _too_much(reading: Reading) -> UnreadableSource:
    return reading.refuse(
        f"more than {reading.limits.characters:,} characters of text", "give only the pages that matter"
    )


async def _pages(reading: Reading, *, edges: bool = False) -> AsyncIterator[Printed]:
    """The printed lines of every page, with the edges of words if asked; other callers of PDFium get their turn in between."""
    count, start, left = 1, 0, reading.limits.characters
    while start < count:
        count, pages = await asyncio.to_thread(_extract, reading, start, edges)
        for page in pages:
            left -= sum(len(line.text) for line in page.lines)
            if left < 0:
                raise _too_much(reading)
            yield page
        start += len(pages)


def _extract(reading: Reading, start: int, edges: bool) -> tuple[int, list[Printed]]:
    """How many pages there are, and what is printed on some of them."""
    with pdfium() as library:
        document = _open(reading, library)
        try:
            count = len(document)
            if count == 0:
                raise _damaged(reading)
            if count > reading.limits.pages:
                raise reading.refuse(
                    f"{count:,} pages; the limit is {reading.limits.pages:,}",
                    "give only the pages that matter",
                )
            some = range(start, min(count, start + _AT_ONCE))
            return count, [_printed(reading, library, document, index, edges) for index in some]
        finally:
            document.close()


def _printed(reading: Reading, library: Any, document: Any, index: int, edges: bool) -> Printed:
    """The lines of a page with the size and place of each line's first letter."""
    try:
        page = document[index]
    except library.PdfiumError as error:
        raise _damaged(reading) from error
    text_page = page.get_textpage()
    try:
        if text_page.count_chars() > reading.limits.characters:
            raise _too_much(reading)
        lines = _lines(text_page, page.get_height(), edges)
        few = len(lines) <= _FEW_LINES
        return Printed(lines, few and any(page.get_objects(filter=[_IMAGE], max_depth=3)))
    finally:
        text_page.close()
        page.close()


def _lines(text_page: Any, height: float, edges: bool) -> list[Line]:
    text: str = text_page.get_text_bounded()
    to_left = LEFTWARD.search(text) is not None and leftward(text)
    lines: list[Line] = []
    place = 0
    for line in text.split("\r\n"):
        if content := line.strip():
            begin = place + len(line) - len(line.lstrip())
            lines.append(_line(text_page, content, begin, height, edges))
            if (both := LEFTWARD.search(content) is not None) or to_left:
                letters = list(_letters(text_page, content, begin))
                cells = _cells(letters, max(lines[-1].size, 4.0), to_left or leftward(content))
                if both or len(cells) > 1:
                    lines[-1] = _as_read(_on_baseline(lines[-1], letters, height), cells, edges)
        place += len(line) + 2
    return lines


def _box(text_page: Any, place: int) -> tuple[float, float, float, float]:
    """Left, right, bottom and top of a letter of the page's text, in points from the lower left corner."""
    raw: Any = import_module("pypdfium2.raw")
    index: int = max(0, raw.FPDFText_GetCharIndexFromTextIndex(text_page, place))
    left, right, bottom, top = c_double(), c_double(), c_double(), c_double()
    raw.FPDFText_GetCharBox(text_page, index, byref(left), byref(right), byref(bottom), byref(top))
    return left.value, right.value, bottom.value, top.value


def _line(text_page: Any, text: str, place: int, height: float, edges: bool) -> Line:
    """A line with its look; ``place`` is where it begins in the page's text, in characters, ``height`` the page's."""
    raw: Any = import_module("pypdfium2.raw")

    def box(offset: int) -> tuple[float, float, float, float]:
        return _box(text_page, place + offset)

    first: int = max(0, raw.FPDFText_GetCharIndexFromTextIndex(text_page, place))
    size: float = round(raw.FPDFText_GetFontSize(text_page, first), 1)
    cells: list[str] = []
    begin = 0
    for space in re.finditer(r" +", text):
        gap = box(space.end())[0] - box(space.start() - 1)[1]
        if gap > _COLUMN_GAP * max(size, 4.0):
            cells.append(text[begin : space.start()])
            begin = space.end()
    left, _, bottom, _ = box(0)
    last = box(len(text) - 1)
    lower = min(bottom, last[2]) - 0.2 * size  # room for letters that hang below the line
    upper = max(bottom, last[2]) + size
    words = [
        edge
        for word in re.finditer(r"\S+", text if edges else "")
        for edge in (math.floor(box(word.start())[0]), math.ceil(box(word.end() - 1)[1]))
    ]
    left, right = min(left, last[0]), max(box(0)[1], last[1])
    around = (math.floor(left), math.floor(height - upper), math.ceil(right), math.ceil(height - lower))
    return Line(text, size, bottom, (*cells, text[begin:]), around, tuple(words))


def _letters(text_page: Any, text: str, place: int) -> Iterator[Letter]:
    """The letters of a line with their edges; spaces that PDFium made up are left out."""
    raw: Any = import_module("pypdfium2.raw")
    for offset, letter in enumerate(text):
        index: int = max(0, raw.FPDFText_GetCharIndexFromTextIndex(text_page, place + offset))
        x, y = c_double(), c_double()
        if not raw.FPDFText_IsGenerated(text_page, index):
            around = raw.FS_RECTF()  # with the space beside it that belongs to it
            raw.FPDFText_GetLooseCharBox(text_page, index, byref(around))
            raw.FPDFText_GetCharOrigin(text_page, index, byref(x), byref(y))
            yield Letter(letter, around.left, around.right, x.value, y.value)


def _on_baseline(line: Line, letters: Sequence[Letter], height: float) -> Line:
    """A line at its usual height: the letters that come first here differ in how far they hang down."""
    stands = median([letter.baseline for letter in letters]) if letters else line.bottom
    box = line.box and (
        line.box[0], math.floor(height - stands - line.size), line.box[2], math.ceil(height - stands + 0.3 * line.size)
    )  # fmt: skip
    return replace(line, bottom=stands, box=box)


def _cells(letters: Sequence[Letter], size: float, to_left: bool) -> list[list[Glyph]]:
    """The cells of a line, each in the order in which it is read."""
    found: list[list[Glyph]] = [[]]
    right: float | None = None
    for glyph in glyphs(letters, size):
        if not glyph.text.isspace():
            if right is not None and glyph.left - right > _COLUMN_GAP * size:
                found.append([])
            right = glyph.right
        found[-1].append(glyph)
    return [logical(cell, to_left=to_left) for cell in (found[::-1] if to_left else found)]


def _as_read(line: Line, cells: Sequence[Sequence[Glyph]], edges: bool) -> Line:
    """A line with its letters in the order in which they are read."""
    texts = ["".join(glyph.text for glyph in cell).strip() for cell in cells]
    words = [
        list(word)
        for cell in cells
        for blank, word in groupby(cell, key=lambda glyph: glyph.text.isspace())
        if not blank
    ]
    sides = [(math.floor(min(g.left for g in word)), math.ceil(max(g.right for g in word))) for word in words]
    box = line.box
    if box is not None and sides:
        lefts, rights = zip(*sides, strict=True)
        box = (min(lefts), box[1], max(rights), box[3])
    flat = tuple(side for both in sides for side in both) if edges else ()
    return replace(line, text=" ".join(texts), cells=tuple(texts), box=box, edges=flat)


def _render(reading: Reading, index: int) -> tuple[bytes, float] | None:
    """A page as PNG at 200 dpi, and how many of its pixels are a point; None when the page is blank."""
    with pdfium() as library:
        document = _open(reading, library)
        try:
            page = document[index]
            width, height = page.get_size()
            scale = _OCR_DPI / 72
            scale = min(scale, (reading.limits.pixels / max(1.0, width * height)) ** 0.5)
            picture: Any = page.render(scale=scale).to_pil().convert("L")
            page.close()
        finally:
            document.close()
    low, high = picture.getextrema()
    if high - low < 24:
        return None
    out = io.BytesIO()
    picture.save(out, "PNG")
    return out.getvalue(), scale
