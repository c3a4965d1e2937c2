"""PDF: text page by page through PDFium; pages without text go to character recognition."""

import asyncio
import io
import math
import re
from collections.abc import AsyncIterator, Iterator
from ctypes import byref, c_double
from importlib import import_module
from typing import Any

from bottega.core.errors import UnreadableSource
from bottega.engines.pdfium import pdfium
from bottega.retrieval.chunk import Block
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
_LEFTWARD = re.compile("[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc]")  # Hebrew, Arabic, Syriac, Thaana, N'Ko
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
    leftward = False
    async for lines, _ in _pages(reading, edges=True):
        drawn = await asyncio.to_thread(_render, reading, index) if index in bare else None
        if drawn is not None:
            yield await recognise(reading, drawn[0], "image/png", f"page {index + 1}", drawn[1])
            recognised += 1
        else:
            leftward = leftward or any(_LEFTWARD.search(line.text) for line in lines)
            yield list(paragraphs(look.without_running(lines), look.body, look.pitch))
        index += 1
    if leftward:
        reading.notes.append(
            "text from right to left: words and letters of a PDF may come in another order than they are read; "
            "give it as DOCX, HTML or text"
        )
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
        lines = list(_lines(text_page, page.get_height(), edges))
        few = len(lines) <= _FEW_LINES
        return Printed(lines, few and any(page.get_objects(filter=[_IMAGE], max_depth=3)))
    finally:
        text_page.close()
        page.close()


def _lines(text_page: Any, height: float, edges: bool) -> Iterator[Line]:
    text: str = text_page.get_text_bounded()
    place = 0
    for line in text.split("\r\n"):
        content = line.strip()
        if content:
            yield _line(text_page, content, place + len(line) - len(line.lstrip()), height, edges)
        place += len(line) + 2


def _line(text_page: Any, text: str, place: int, height: float, edges: bool) -> Line:
    """A line with its look; ``place`` is where it begins in the page's text, in characters, ``height`` the page's."""
    raw: Any = import_module("pypdfium2.raw")

    def box(offset: int) -> tuple[float, float, float, float]:
        """Left, right, bottom and top of a letter, in points from the lower left corner."""
        index: int = max(0, raw.FPDFText_GetCharIndexFromTextIndex(text_page, place + offset))
        left, right, bottom, top = c_double(), c_double(), c_double(), c_double()
        raw.FPDFText_GetCharBox(text_page, index, byref(left), byref(right), byref(bottom), byref(top))
        return left.value, right.value, bottom.value, top.value

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
    around = (math.floor(left), math.floor(height - upper), math.ceil(last[1]), math.ceil(height - lower))
    return Line(text, size, bottom, (*cells, text[begin:]), around, tuple(words))


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
