"""Words of a question and what they mean in a table."""

import pytest
from tests.unit.retrieval.tables.test_dialect import shape

from bottega.engines.query import Condition, Item, Query
from bottega.retrieval.tables.links import Value, best, completed, link, ungrounded

SHAPES = [shape(name) for name in ("products.csv", "orders.csv", "branches.csv")]
PRODUCTS = SHAPES[0]


@pytest.mark.parametrize(
    ("question", "table"),
    [
        ("Which product is the most expensive?", "products"),
        ("How many orders came from Germany?", "orders"),
        ("Who manages the branch in Lyon?", "branches"),
        ("What do kettles weigh?", "products"),
    ],
)
def test_a_question_finds_its_table(question: str, table: str) -> None:
    found = best(question, SHAPES)
    assert (found.shape.table, found.open) == (table, ())


@pytest.mark.parametrize(
    ("question", "word"),
    [
        ("How loud is the Tarnwick Pro?", "loud"),
        ("How many orders came from Portugal?", "portugal"),
        ("How much does the Tarnwick Ultra cost?", "ultra"),
        ("What is the salary of Jana Voss?", "salary"),
    ],
)
def test_a_word_that_means_nothing_there_stays_open(question: str, word: str) -> None:
    assert word in best(question, SHAPES).open


def query(*where: Condition, **more: object) -> Query:
    return Query.model_validate(
        {"table": "products", "select": (Item(column="price_eur", function="avg"),), "where": where} | more
    )


def test_a_value_that_the_query_left_out_is_put_in() -> None:
    linked = link("What is the average price of the kettles?", PRODUCTS)
    assert linked.values == (Value("category", "kettle"),)
    assert completed(query(), linked).where == (Condition(column="category", values=("kettle",)),)
    inexact = query(Condition(column="category", values=("kettles",)))
    assert completed(inexact, linked).where == (Condition(column="category", values=("kettle",)),)
    part = link("What is the average price of Tarnwick products?", PRODUCTS)
    assert completed(query(), part).where == (
        Condition(column="model", operator="contains", values=("tarnwick",)),
    )


@pytest.mark.parametrize(
    ("question", "where", "reason"),
    [
        ("Average price of the kettles?", Condition(column="category", values=("toaster",)), "not asked for"),
        ("Price of the Tarnwick?", Condition(column="model", values=("Tarnwick Ultra",)), "no row has"),
        ("Price above 50?", Condition(column="price_eur", operator=">", values=("80",)), "not asked for"),
        ("Price of the 4 slice toaster?", Condition(column="category", values=("toaster",)), "leaves out 4"),
        ("Average price since 2025?", Condition(column="launched", operator=">", values=("2021-01-01",)), "not asked"),
    ],
)  # fmt: skip
def test_a_query_that_is_not_the_question_is_refused(question: str, where: Condition, reason: str) -> None:
    assert reason in ungrounded(question, query(where), link(question, PRODUCTS))


def test_a_query_that_is_the_question_is_let_through() -> None:
    for question, where in (
        ("Average price of the kettles?", Condition(column="category", values=("kettle",))),
        ("Average price of models above 2,000 watts?", Condition(column="power_w", operator=">", values=("2000",))),
        ("Price after 1 January 2025", Condition(column="launched", operator=">", values=("2025-01-01",))),
    ):  # fmt: skip
        assert ungrounded(question, query(where), link(question, PRODUCTS)) == ""
