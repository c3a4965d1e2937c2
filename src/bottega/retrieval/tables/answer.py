"""What came of a question over tables."""

from decimal import Decimal
from typing import Any

from pydantic import Field

from bottega.core.value import JsonObject, Value
from bottega.engines.query import Condition, Item, Query

SHOWN = 8  # rows that the sentence tells

_SAID = {
    "<": "below",
    "<=": "at most",
    ">": "above",
    ">=": "at least",
    "<>": "not",
    "=": "",
    "contains": "with",
}
_MEASURED = {
    "sum": "total",
    "avg": "average",
    "min": "lowest",
    "max": "highest",
    "count_distinct": "number of different",
}


class Cell(Value, frozen=True):
    """Where a value stands: ``address`` is as a spreadsheet program writes it, ``result`` the row of the answer, from 0."""

    file: str
    sheet: str = ""
    column: str
    row: int = Field(ge=1)
    address: str
    value: str
    result: int = Field(ge=0)


class TableAnswer(Value, frozen=True):
    """Rows with the query that gave them and the cells they come from; or why there is no answer.

    Numbers are exact text as in the file (``79.00``). ``cells`` lists the first 200; ``cell_count`` counts all.
    """

    question: str
    sentence: str = Field(description="the answer in words, made by a template from the rows alone")
    abstained: str = Field(default="", description="why there is no answer; empty when there is one")
    table: str = Field(default="", description="file, and sheet of a workbook")
    sql: str = ""
    query: Query | None = None
    columns: tuple[str, ...] = ()
    rows: tuple[tuple[str | None, ...], ...] = ()
    cells: tuple[Cell, ...] = ()
    cell_count: int = 0


def answered(question: str, table: str, query: Query, found: JsonObject) -> TableAnswer:
    """From what the engine `lookup` wrote."""
    rows = tuple(tuple(None if cell is None else _text(cell) for cell in row) for row in found["rows"])
    nothing = not rows or all(cell is None for row in rows for cell in row)
    return TableAnswer(
        question=question,
        sentence="" if nothing else told(query, rows),
        abstained=f"no row of {table} fits: {_where(query.where)}" if nothing else "",
        table=table,
        sql=found["sql"],
        query=query,
        columns=tuple(item.title for item in query.select),
        rows=() if nothing else rows,
        cells=tuple(Cell.model_validate(cell) for cell in found["cells"]),
        cell_count=found["cell_count"],
    )


def told(query: Query, rows: tuple[tuple[str | None, ...], ...]) -> str:
    """The rows in a sentence; every value as it stands there."""
    where = _where(query.where)
    head = f"Where {where}: " if where else ""
    lines = [_row(query, row) for row in rows[:SHOWN]]
    more = f"; and {len(rows) - SHOWN} more rows" if len(rows) > SHOWN else ""
    return f"{head}{'; '.join(lines)}{more}."


def _row(query: Query, row: tuple[str | None, ...]) -> str:
    return ", ".join(
        f"{_measure(item)} {'(empty)' if cell is None else cell}"
        for item, cell in zip(query.select, row, strict=True)
    )


def _measure(item: Item) -> str:
    if item.function == "count":
        return f"rows with {item.column}:" if item.column else "rows:"
    return f"{_MEASURED[item.function]} {item.column}:" if item.function else f"{item.column}:"


def _where(conditions: tuple[Condition, ...]) -> str:
    return " and ".join(
        f"{one.column} is {_SAID[one.operator]} {' or '.join(one.values)}".replace("  ", " ")
        for one in conditions
    )


def _text(cell: Any) -> str:
    match cell:
        case bool():
            return "true" if cell else "false"
        case Decimal():
            return format(cell, "f")
        case _:
            return str(cell)
