"""PPTX from its XML: every slide a page, with its title, text, tables and the speaker's notes."""

import io
import posixpath
import re
import zipfile
from collections.abc import Iterator
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from bottega.retrieval.chunk import Block
from bottega.retrieval.convert.archive import check_archive
from bottega.retrieval.convert.reading import Pages, Reading, table_blocks

_A = "{http://schemas.openxmlformats.org/drawingml/2006/main}"
_P = "{http://schemas.openxmlformats.org/presentationml/2006/main}"
_R = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}"
_TITLES = ("title", "ctrTitle")
_FURNITURE = ("dt", "ftr", "sldNum", "sldImg")  # date, footer, number and, on notes, the picture of the slide


def read(reading: Reading) -> Pages:
    """Slides in the order of the show; hidden ones are left out, as they are on the wall, with a note.

    Raises:
        UnreadableSource: for a bomb or a damaged file.
    """
    check_archive(reading)  # no document type and no entities after this, so the parser expands nothing
    try:
        with zipfile.ZipFile(io.BytesIO(reading.data)) as archive:
            slides = list(_slides(archive))
            pages = [_page(archive, path, slide) for path, slide in slides if slide.get("show") != "0"]
    except (KeyError, ElementTree.ParseError, zipfile.BadZipFile) as error:
        raise reading.refuse("the presentation is damaged", "open it and save it again") from error
    if len(pages) < len(slides):
        reading.notes.append(f"{len(slides) - len(pages)} hidden slides were left out")
    if len(pages) > reading.limits.pages:
        raise reading.refuse(
            f"{len(pages):,} slides; the limit is {reading.limits.pages:,}", "give only what matters"
        )
    return pages


def _slides(archive: zipfile.ZipFile) -> Iterator[tuple[str, Element]]:
    """The path and the XML of each slide."""
    show = "ppt/presentation.xml"
    targets = _targets(archive, show)
    for entry in _xml(archive, show).iter(f"{_P}sldId"):
        path = targets[entry.get(f"{_R}id", "")]
        yield path, _xml(archive, path)


def _page(archive: zipfile.ZipFile, path: str, slide: Element) -> list[Block]:
    blocks = list(_blocks(slide))
    blocks.sort(key=lambda block: block.kind != "heading")  # the title need not come first in the file
    notes = [target for target in _targets(archive, path).values() if "/notesSlides/" in target]
    for target in notes:
        said = [block.text for block in _blocks(_xml(archive, target)) if block.text.strip()]
        if said:
            blocks.append(Block("Notes: " + "\n".join(said)))
    return blocks


def _blocks(slide: Element) -> Iterator[Block]:
    """Shapes and tables in their order; what stands in groups too."""
    for item in slide.iter():
        if item.tag == f"{_P}sp":
            place = item.find(f"{_P}nvSpPr/{_P}nvPr/{_P}ph")
            kind = place.get("type", "body") if place is not None else "body"
            if kind in _FURNITURE:
                continue
            text = _text(item.find(f"{_P}txBody"))
            if text:
                yield Block(" ".join(text.split()), "heading", 1) if kind in _TITLES else Block(text)
        elif item.tag == f"{_A}tbl":
            yield from table_blocks(
                [
                    [" ".join(_text(cell.find(f"{_A}txBody")).split()) for cell in row.iter(f"{_A}tc")]
                    for row in item.iter(f"{_A}tr")
                ]
            )


def _text(body: Element | None) -> str:
    """The paragraphs of a shape, one a line."""
    lines: list[str] = []
    for paragraph in body.iter(f"{_A}p") if body is not None else ():
        said = "".join(
            "\n" if piece.tag == f"{_A}br" else piece.text or ""
            for piece in paragraph.iter()
            if piece.tag in (f"{_A}t", f"{_A}br")
        )
        lines.append(said.strip())
    return "\n".join(line for line in lines if line)


def _targets(archive: zipfile.ZipFile, path: str) -> dict[str, str]:
    """What a part refers to: id to path in the archive."""
    folder, name = posixpath.split(path)
    relations = f"{folder}/_rels/{name}.rels"
    if relations not in archive.namelist():
        return {}
    return {
        each.get("Id", ""): posixpath.normpath(posixpath.join(folder, each.get("Target", ""))).lstrip("/")
        if not each.get("Target", "").startswith("/")
        else each.get("Target", "").lstrip("/")
        for each in _xml(archive, relations)
        if each.get("TargetMode") != "External"
    }


def _xml(archive: zipfile.ZipFile, path: str) -> Element:
    return ElementTree.fromstring(re.sub(rb"^\s+", b"", archive.read(path)))
