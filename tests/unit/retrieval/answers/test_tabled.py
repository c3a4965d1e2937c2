"""A table's rows as sentences with quotes that stand in the document."""

import pytest

from bottega.core.passage import Passage
from bottega.engines.query import Condition, Item, Query
from bottega.retrieval.answers.tabled import tabled
from bottega.retrieval.tables.answer import Cell, TableAnswer

TEXT = "product: Halo; price: 79.00\n\nproduct: Halo XL; price: 119.00\n\nproduct: Mote; price: 79.00"
PAGE = Passage(
    id="p#1",
    source="prices.csv",
    sha256="a" * 64,
    page=1,
    start=40,
    end=40 + len(TEXT),
    heading="",
    text=TEXT,
)
CHEAPEST = Query(table="prices", select=(Item(column="price", function="min"),))


def cell(row: int, column: str, value: str) -> Cell:
    return Cell(file="prices.csv", column=column, row=row, address=f"B{row}", value=value, result=0)


def found(query: Query, cells: list[Cell], rows: int = 1) -> TableAnswer:
    return TableAnswer(
        question="?", sentence="lowest price: 79.00.", sql="SELECT", table="prices.csv", query=query, columns=("price",),
        rows=(("79.00",),) * rows, cells=tuple(cells), cell_count=len(cells),
    )  # fmt: skip


def test_every_row_is_quoted_where_it_stands_and_equal_cells_are_different_rows() -> None:
    answer = tabled(
        "?", found(CHEAPEST, [cell(2, "price", "79.00"), cell(4, "price", "79.00")]), {"prices.csv": [PAGE]}
    )
    assert answer is not None and answer.outcome == "answered" and answer.table is not None
    (sentence,) = answer.sentences
    places = [(each.start, each.quote) for each in sentence.citations]
    assert places == [(55, "price: 79.00"), (40 + TEXT.rindex("price"), "price: 79.00")]
    for each in sentence.citations:
        assert TEXT[each.start - 40 : each.end - 40] == each.quote


def test_a_value_is_not_found_inside_a_longer_one() -> None:
    cells = [cell(2, "product", "Halo"), cell(2, "price", "119.00")]  # no row says so
    assert tabled("?", found(CHEAPEST, cells), {"prices.csv": [PAGE]}) is None


@pytest.mark.parametrize("cells", [[], [cell(2, "price", "80.00")], [cell(2, "weight", "79.00")]])
def test_what_does_not_stand_in_the_document_is_no_answer(cells: list[Cell]) -> None:
    assert tabled("?", found(CHEAPEST, cells), {"prices.csv": [PAGE]}) is None


def test_a_plain_list_is_left_to_the_question_back() -> None:
    plain = Query(
        table="prices", select=(Item(column="price"),), where=(Condition(column="price", values=("79.00",)),)
    )
    cells = [cell(2, "price", "79.00"), cell(4, "price", "79.00")]
    assert tabled("?", found(plain, cells, rows=2), {"prices.csv": [PAGE]}) is None
    assert tabled("?", found(plain, cells[:1]), {"prices.csv": [PAGE]}) is not None
