"""Passages of a PDF know where they stand on their page, and no page loses its words."""

import sqlite3
from pathlib import Path

import typst
from tests.collecting import Shelved

from bottega.core.passage import Passage
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


async def test_other_formats_have_none_and_their_documents_are_as_before(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("# Warranty\n\nIt lasts for 24 months.\n")
    document = await convert(tmp_path / "a.md")
    assert document.passages[0].boxes == ()
    assert b"boxes" not in document.canonical()
    assert Passage.model_validate(document.passages[0].document()) == document.passages[0]


def test_a_hit_has_them_and_a_collection_of_the_first_form_is_upgraded(shelved: Shelved) -> None:
    shelved.write("b.md", "# Teapots\n\nThe teapot keeps warm.")
    shelved.index()
    with sqlite3.connect(shelved.place / FILE) as old:
        old.execute("ALTER TABLE passages DROP COLUMN boxes")
        old.execute("PRAGMA user_version = 1")
    old.close()
    assert shelved.search("teapot", method="words")[0].passage.boxes == ()
    shelved.write("a.pdf", typst.compile(PAGE))
    shelved.index()
    assert shelved.search("warranty", method="words")[0].passage.boxes[0][0] == 40


async def test_a_page_of_which_all_looks_like_a_running_line_keeps_its_words(tmp_path: Path) -> None:
    source = b"#set page(width: 300pt, height: 200pt)\n#for i in range(20) [Voucher number #i\n#pagebreak(weak: true)\n]"
    (tmp_path / "a.pdf").write_bytes(typst.compile(source))
    document = await convert(tmp_path / "a.pdf")
    assert [page.text for page in document.pages] == [f"Voucher number {n}" for n in range(20)]
    assert document.notes == ()
