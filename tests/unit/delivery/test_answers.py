"""Pages of answers: every citation leads to its document at the marked words; nothing is loaded, nothing is hidden in them."""

import re
from pathlib import Path
from urllib.parse import unquote

import pytest
from tests.answering import WARRANTY

from bottega.core.errors import InputError
from bottega.core.passage import Passage
from bottega.delivery.answers import blocks, write_answers
from bottega.retrieval.answers.answer import Answer, Citation, Nearest, Sentence
from bottega.retrieval.chunk import Block, compose
from bottega.retrieval.tables.answer import Cell, TableAnswer


def cite(quote: str) -> Citation:
    start = WARRANTY.text.index(quote)
    return Citation(
        source="warranty.md", sha256=WARRANTY.sha256, page=1, start=start, end=start + len(quote), quote=quote
    )


ANSWERED = Answer(
    question="How long <b>is</b> it?",
    outcome="answered",
    sentences=(
        Sentence(text="36 months.", citations=(cite("Rill Duo has a warranty of 36 months."),)),
        Sentence(
            text="A repair costs 45 EUR.", citations=(cite("A repair after the warranty costs 45 EUR."),)
        ),
    ),
)
ABSTAINED = Answer(
    question="Colour?", outcome="abstained", explanation="the sources do not mention it",
    nearest=(Nearest(passage=WARRANTY.passages[0], score=1.0),),
)  # fmt: skip


def test_every_link_leads_to_the_marked_words(tmp_path: Path) -> None:
    out = tmp_path / "pages"
    write_answers(
        out, [ANSWERED, ABSTAINED], {("warranty.md", WARRANTY.sha256): WARRANTY.passages}, title="Help"
    )
    index = (out / "index.html").read_text("utf-8")
    links = re.findall(r'href="(documents/[^"#]+)#([^"]+)"', index)
    assert len(links) == 4 and len(set(links)) == 2
    for file, anchor in links:
        page = (out / unquote(file)).read_text("utf-8")
        (words,) = re.findall(rf'<mark id="{anchor}">(.*?)</mark>', page)
        assert words in {each.quote for sentence in ANSWERED.sentences for each in sentence.citations}
    assert "How long &lt;b&gt;is&lt;/b&gt; it?" in index and "Not in the sources" in index
    assert index.count("Written by") == index.count("no model was asked") == 1
    assert not re.findall(r'(?:src|href)="(?:https?:)?//', index) and "<script" not in index


def test_an_answer_by_a_query_names_its_cells(tmp_path: Path) -> None:
    cells = tuple(
        Cell(file="w.csv", column="months", row=row, address=f"B{row}", value="36", result=0)
        for row in range(2, 32)
    )
    told = TableAnswer(question="?", sentence="36", table="w.csv", sql="SELECT 1", cells=cells, cell_count=30)
    answer = ANSWERED.model_copy(update={"table": told})
    write_answers(
        tmp_path / "pages", [answer], {("warranty.md", WARRANTY.sha256): WARRANTY.passages}, title=""
    )
    index = (tmp_path / "pages" / "index.html").read_text("utf-8")
    assert "<code>SELECT 1</code>. Cells: B2, B3," in index and "B25 and 6 more." in index
    assert "chose the query" in index and "Written by" not in index


def test_the_folder_is_replaced_by_the_next_call_and_by_nobody_else(tmp_path: Path) -> None:
    out = tmp_path / "pages"
    for answers in ([ANSWERED], [ABSTAINED]):
        write_answers(out, answers, {("warranty.md", WARRANTY.sha256): WARRANTY.passages}, title="Help")
    assert "Colour?" in (out / "index.html").read_text("utf-8")
    (out / "mine.txt").write_text("keep")
    with pytest.raises(InputError):
        write_answers(out, [ANSWERED], {("warranty.md", WARRANTY.sha256): WARRANTY.passages}, title="Help")
    assert (out / "mine.txt").is_file()


def plain(passages: tuple[Passage, ...], spans: dict[tuple[int, int], str]) -> str:
    return "\n".join(
        re.sub(r"<[^>]+>", "", each.html).strip() for each in blocks(passages, spans) if each.kind != "page"
    )


def test_marks_change_no_character_also_where_they_overlap_or_cross_lines() -> None:
    pages = [[Block("Title", "heading", 1), Block("One two three.\nFour five.")], [Block("Six seven.")]]
    document = compose("a.pdf", "0" * 64, "application/pdf", pages)
    spans = {(7, 14): "a", (11, 27): "b", (7, 10): "c", (12, 13): "d"}
    assert (
        plain(document.passages, spans)
        == plain(document.passages, {})
        == "Title\nOne two three.\nFour five.\nSix seven."
    )
    shown = "".join(each.html for each in blocks(document.passages, spans))
    assert all(shown.count(f'id="{name}"') == 1 for name in "abcd")
    assert [each.html for each in blocks(document.passages, {}) if each.kind == "page"] == [
        "page 1",
        "page 2",
    ]
