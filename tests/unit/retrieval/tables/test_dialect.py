"""The SQL that a model may write, read back as a query; what it means is settled."""

from pathlib import Path

import pytest

from bottega.engines.query import Condition, Item, Query
from bottega.engines.tabular import read_sheets
from bottega.retrieval.tables.ask import settled
from bottega.retrieval.tables.dialect import Shape, described, grammar, parse, shape_of

DATA = Path(__file__).parents[3] / "data" / "tables"


def shape(name: str) -> Shape:
    (sheet,) = read_sheets((DATA / name).read_bytes(), name, "text/csv")
    return shape_of(sheet.name, name, sheet)


BRANCHES = shape("branches.csv")


def test_a_query_is_read_with_all_its_clauses() -> None:
    said = (
        'SELECT City, COUNT(DISTINCT Manager), SUM("Floor area (m2)") FROM branches WHERE Parking = TRUE AND '
        "City IN ('Cork', 'Lyon') AND \"Opening time\" LIKE '%09%' GROUP BY City "
        'ORDER BY SUM("Floor area (m2)") DESC LIMIT 3'
    )
    query = parse(said, [BRANCHES])
    assert query == Query(
        table="branches",
        select=(
            Item(column="City"),
            Item(column="Manager", function="count_distinct"),
            Item(column="Floor area (m2)", function="sum"),
        ),
        where=(
            Condition(column="Parking", values=("TRUE",)),
            Condition(column="City", values=("Cork", "Lyon")),
            Condition(column="Opening time", operator="contains", values=("09",)),
        ),
        group=("City",),
        order=Item(column="Floor area (m2)", function="sum"),
        descending=True,
        limit=3,
    )


@pytest.mark.parametrize(
    "said",
    [
        "DROP TABLE branches",
        "SELECT City FROM secrets",
        "SELECT City FROM branches; DROP TABLE branches",
        "SELECT City FROM branches WHERE",
        "SELECT City",
        "",
    ],
)
def test_what_is_no_query_is_refused(said: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        parse(said, [BRANCHES])


def test_the_grammar_and_the_description_name_the_columns() -> None:
    text = grammar([BRANCHES])
    assert '"\\"Floor area (m2)\\""' in text and "q1" not in text
    assert "'Cork'" in described([BRANCHES]) and "from 9 to 31" in described([BRANCHES])


def test_an_extreme_beside_a_column_is_the_row_that_has_it() -> None:
    query = settled(parse("SELECT City, MAX(Employees) FROM branches", [BRANCHES]))
    assert (query.order, query.descending, query.limit) == (Item(column="Employees"), True, 1)
    assert not query.aggregates
    grouped = settled(parse("SELECT City, AVG(Employees) FROM branches", [BRANCHES]))
    assert grouped.group == ("City",)
    ordered = settled(parse("SELECT City FROM branches ORDER BY Employees ASC LIMIT 2", [BRANCHES]))
    assert ordered.select == (Item(column="City"), Item(column="Employees"))
