"""Passages of a PDF know where they stand on their page, and no page loses its words."""

import sqlite3
from collections.abc import Sequence
from pathlib import Path

import pytest
import typst
from tests.collecting import Shelved

from bottega.core.passage import Passage
from bottega.engines.pdfium import pdfium
from bottega.retrieval.answers.answer import Citation
from bottega.retrieval.answers.gate import cited_from
from bottega.retrieval.collections.schema import FILE
from bottega.retrieval.convert import convert

PAGE = b"""#set page(width: 400pt, height: 300pt, margin: 40pt)
#set text(size: 10pt)
= Warranty
The warranty lasts for 24 months. #lorem(60)

#table(columns: 3, [Model], [Price], [Power], [Solo], [79 EUR], [1200 W], [Duo], [99 EUR], [2000 W])
"""


async def test_every_paragraph_and_row_has_its_box_inside_the_page(tmp_path: Path) -> None:
    (tmp_path / "a.pdf").write_bytes(typst.compile(PAGE))
    document = await convert(tmp_path / "a.pdf")
    boxes = [box for passage in document.passages for box in passage.boxes]
    assert len(boxes) == 4  # heading, paragraph, two rows of values
    tops = [top for _, top, _, _ in boxes]
    assert tops == sorted(tops)
    for left, top, right, bottom in boxes:
        assert 38 <= left < right <= 362 and 33 <= top < bottom <= 265
    heading, paragraph = boxes[:2]
    assert heading[3] - heading[1] < 25 < paragraph[3] - paragraph[1]


async def test_quoted_words_have_the_boxes_that_a_search_in_the_pdf_finds(tmp_path: Path) -> None:
    data = typst.compile(PAGE)
    (tmp_path / "a.pdf").write_bytes(data)
    document = await convert(tmp_path / "a.pdf")
    for quote, lines in (
        ("24 months", 1),
        ("dolor sit amet, consectetur adipiscing elit, sed do", 2),
        ("Warranty", 1),
    ):
        (cited,) = _cited(document.passages, quote)
        assert cited.quote == quote and len(cited.boxes) == lines
        expected = _searched(data, quote)
        assert len(expected) == lines
        for box, place in zip(cited.boxes, expected, strict=True):
            assert box[0] == pytest.approx(place[0], abs=2) and place[2] - 2 < box[2] < place[2] + 4, (
                "whole words"
            )
            assert box[1] <= place[1] + 1 and place[3] - 1 <= box[3] <= box[1] + 25
    (row,) = _cited(document.passages, "Price: 99 EUR")
    assert row.boxes == (document.passages[-1].boxes[-1],), "of a table, the printed row"


async def test_a_passage_that_was_cut_shows_the_lines_that_it_has_left(tmp_path: Path) -> None:
    (tmp_path / "a.pdf").write_bytes(typst.compile(PAGE))
    passage = (await convert(tmp_path / "a.pdf")).passages[0]
    at = passage.text.index("months")
    cut = passage.model_copy(update={"text": passage.text[at:], "start": passage.start + at})
    (box,) = cut.places(cut.start, cut.start + 6)
    (whole,) = passage.places(cut.start, cut.start + 6)
    assert (box[1], box[3]) == (whole[1], whole[3]) and box[0] <= whole[0] < whole[2] <= box[2]
    assert cut.places(passage.start, passage.start + 8) == ()


def _cited(passages: Sequence[Passage], quote: str) -> list[Citation]:
    return [
        cited_from(one, one.start + one.text.index(quote), one.start + one.text.index(quote) + len(quote))
        for one in passages
        if quote in one.text
    ]


def _searched(data: bytes, words: str) -> list[tuple[float, float, float, float]]:
    """Left, top, right, bottom, by PDFium's own search, one rectangle for each line."""
    with pdfium() as library:
        document = library.PdfDocument(data)
        page = document[0]
        text = page.get_textpage()
        finder = text.search(words)
        index, count = finder.get_next()
        height = page.get_height()
        found = [
            (left, height - top, right, height - bottom)
            for left, bottom, right, top in (text.get_rect(n) for n in range(text.count_rects(index, count)))
        ]
        for each in (finder, text, page, document):
            each.close()
    return found


async def test_other_formats_have_none_and_their_documents_are_as_before(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("# Warranty\n\nIt lasts for 24 months.\n")
    document = await convert(tmp_path / "a.md")
    assert document.passages[0].boxes == document.passages[0].lines == ()
    assert b"boxes" not in document.canonical()
    assert Passage.model_validate(document.passages[0].document()) == document.passages[0]


def test_a_hit_has_them_and_a_collection_of_the_first_form_is_upgraded(shelved: Shelved) -> None:
    shelved.write("b.md", "# Teapots\n\nThe teapot keeps warm.")
    shelved.index()
    with sqlite3.connect(shelved.place / FILE) as old:
        old.execute("ALTER TABLE passages DROP COLUMN boxes")
        old.execute("ALTER TABLE passages DROP COLUMN lines")
        old.execute("PRAGMA user_version = 1")
    old.close()
    assert shelved.search("teapot", method="words")[0].passage.boxes == ()
    shelved.write("a.pdf", typst.compile(PAGE))
    shelved.index()
    found = shelved.search("warranty", method="words")[0].passage
    assert found.boxes[0][0] == 40 and found.places(found.start, found.start + 8)[0][0] == 40


async def test_a_page_of_which_all_looks_like_a_running_line_keeps_its_words(tmp_path: Path) -> None:
    source = b"#set page(width: 300pt, height: 200pt)\n#for i in range(20) [Voucher number #i\n#pagebreak(weak: true)\n]"
    (tmp_path / "a.pdf").write_bytes(typst.compile(source))
    document = await convert(tmp_path / "a.pdf")
    assert [page.text for page in document.pages] == [f"Voucher number {n}" for n in range(20)]
    assert document.notes == ()
