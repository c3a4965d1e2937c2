"""DOCX through python-docx: headings, paragraphs and tables in their order, then what stands beside them."""

import io
import re
from importlib import import_module
from typing import Any

from bottega.engines.base import require
from bottega.retrieval.chunk import Block
from bottega.retrieval.convert.archive import check_archive
from bottega.retrieval.convert.reading import Pages, Reading, table_blocks

_BESIDE = re.compile(r"/word/(header|footer|footnotes|endnotes)\d*\.xml")
_HEADING = re.compile(r"heading (\d)")


def read(reading: Reading) -> Pages:
    """One page: the file does not say where pages end.

    Raises:
        UnreadableSource: for a bomb, a damaged file, or one that is not a document.
        ExtraMissing: without the extra ``docx``.
    """
    docx: Any = require("docx", extra="docx")
    check_archive(reading)
    try:
        document: Any = docx.Document(io.BytesIO(reading.data))
        blocks: list[Block] = []
        left = reading.limits.characters
        for item in document.iter_inner_content():
            added = _table(item) if hasattr(item, "rows") else [_paragraph(item)]
            left -= sum(len(block.text) for block in added)
            if left < 0:
                break
            blocks.extend(added)
        beside = _beside(document)
        left -= sum(len(block.text) for block in beside)
        blocks.extend(beside)
    except Exception as error:
        raise reading.refuse("the document is damaged", "open it and save it again") from error
    if left < 0:
        raise reading.refuse(
            f"more than {reading.limits.characters:,} characters of text", "give only the part that matters"
        )
    return [blocks]


def _beside(document: Any) -> list[Block]:
    """Text boxes, headers, footers and notes; what several of them say is said once."""
    oxml: Any = import_module("docx.oxml")
    ns: Any = import_module("docx.oxml.ns")
    roots = [
        root
        for part in document.part.package.iter_parts()
        if _BESIDE.fullmatch(str(part.partname))
        for root in [oxml.parse_xml(part.blob)]
    ]
    boxes = document.element.iter(ns.qn("w:txbxContent"))
    paragraphs = (paragraph for root in (*boxes, *roots) for paragraph in root.iter(ns.qn("w:p")))
    texts = ("".join(run.text or "" for run in each.iter(ns.qn("w:t"))).strip() for each in paragraphs)
    return [Block(text) for text in dict.fromkeys(texts) if text]


def _paragraph(paragraph: Any) -> Block:
    text = str(paragraph.text)
    style: Any = paragraph.style
    name = (style.name or "").lower() if style is not None else ""
    if name == "title":
        return Block(text, "heading", 0)
    heading = _HEADING.match(name)
    return Block(text, "heading", int(heading.group(1))) if heading else Block(text)


def _table(table: Any) -> list[Block]:
    """Rows of text; a merged cell is said once."""
    rows: list[list[str]] = []
    for row in table.rows:
        cells: list[str] = []
        before: Any = None
        for cell in row.cells:
            cells.append("" if before is not None and cell._tc is before else str(cell.text))
            before = cell._tc
        rows.append(cells)
    return table_blocks(rows)
