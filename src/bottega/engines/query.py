"""A question to one table as a typed value, and the one SELECT that it stands for."""

import re
from collections.abc import Sequence
from datetime import date
from typing import Literal

from pydantic import Field

from bottega.core.errors import EngineFailed
from bottega.core.value import Value
from bottega.engines.sandbox_sql import named, quoted
from bottega.engines.tabular import Column

Function = Literal["", "count", "count_distinct", "sum", "avg", "min", "max"]
Operator = Literal["=", "<>", "<", "<=", ">", ">=", "contains"]

_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?")
_PLACES = 6  # decimals of an average


class Item(Value, frozen=True):
    """A column, or a function over the values of one; ``count`` without a column counts rows."""

    column: str = Field(default="", max_length=200)
    function: Function = ""

    @property
    def title(self) -> str:
        """What it is called at the head of the result."""
        return f"{self.function}({self.column or '*'})" if self.function else self.column


class Condition(Value, frozen=True):
    """What a row must fulfil; with several values one of them must fit, or none for ``<>``."""

    column: str = Field(max_length=200)
    operator: Operator = "="
    values: tuple[str, ...] = Field(min_length=1, max_length=20)


class Query(Value, frozen=True):
    """One table's rows filtered, grouped, ordered, cut.

    With ``limit`` and ``order`` rows that tie with the last one are not cut off, and empty cells do not compete.
    """

    table: str
    select: tuple[Item, ...] = Field(min_length=1, max_length=60)
    where: tuple[Condition, ...] = Field(default=(), max_length=12)
    group: tuple[str, ...] = Field(default=(), max_length=4)
    order: Item | None = None
    descending: bool = False
    limit: int | None = Field(default=None, ge=1, le=100_000)

    @property
    def aggregates(self) -> bool:
        """Whether a row of the result stands for several rows of the table."""
        return bool(self.group) or any(item.function for item in self.select)


def sql_of(query: Query, shape: Sequence[Column], *, extra: Sequence[str] = ()) -> str:
    """The SELECT; ``extra`` are SQL expressions set behind the selected items.

    Text is compared without regard to case and outer spaces.

    Raises:
        EngineFailed: a column does not exist, a function or comparison does not fit its type, or a column stands
            beside a function without being grouped by.
    """
    types = {column.name: column.type for column in shape}
    for name in _columns(query):
        if name not in types:
            raise EngineFailed(
                f"no column '{name}'", where=f"table {query.table}", remedy=f"there are {', '.join(types)}"
            )
    if query.aggregates:
        for item in (*query.select, *([query.order] if query.order else [])):
            if not item.function and item.column not in query.group:
                raise EngineFailed(f"'{item.column}' is neither grouped by nor put into one", where="select")
    items = [f"{_item(item, types)} AS {named(item.title)}" for item in query.select]
    where = [_condition(condition, types) for condition in query.where]
    tail = ""
    if query.group:
        tail += f" GROUP BY {', '.join(named(name) for name in query.group)}"
    if query.order is not None:
        by = f"{_item(query.order, types)} {'DESC' if query.descending else 'ASC'} NULLS LAST"
        if query.limit is not None:
            tail += f" QUALIFY rank() OVER (ORDER BY {by}) <= {query.limit}"
            if not query.order.function:
                where.append(f"{named(query.order.column)} IS NOT NULL")
        tail += f" ORDER BY {', '.join([by, *_steady(query)])}"
    else:
        tail += f" ORDER BY {', '.join(_steady(query))}" if _steady(query) else ""
        tail += f" LIMIT {query.limit}" if query.limit is not None else ""
    filters = f" WHERE {' AND '.join(where)}" if where else ""
    return f"SELECT {', '.join([*items, *extra])} FROM {named(query.table)}{filters}{tail}"


def _columns(query: Query) -> list[str]:
    items = [item.column for item in query.select if item.column or item.function != "count"]
    order = [query.order.column] if query.order and query.order.column else []
    return [*items, *(condition.column for condition in query.where), *query.group, *order]


def _steady(query: Query) -> list[str]:
    """What decides between equals, so that the same tables give the same order."""
    if not query.aggregates:
        return ["rowid"]
    return [named(name) for name in query.group]


def _item(item: Item, types: dict[str, str]) -> str:
    column = named(item.column)
    match item.function:
        case "":
            return column
        case "count":
            return f"count({column})" if item.column else "count(*)"
        case "count_distinct":
            return f"count(DISTINCT {column})"
        case "sum" | "avg" if types[item.column] != "number":
            raise EngineFailed(f"'{item.column}' holds no numbers", where=item.function)
        case "avg":
            return f"round(avg({column}), {_PLACES})"
        case _:
            return f"{item.function}({column})"


def _condition(condition: Condition, types: dict[str, str]) -> str:
    kind, column, values = types[condition.column], named(condition.column), condition.values
    if condition.operator == "contains":
        return f"contains(lower(CAST({column} AS VARCHAR)), lower({quoted(values[0])}))"
    literals = [_literal(condition, value, kind) for value in values]
    compared = f"lower(trim({column}))" if kind == "text" else column
    if condition.operator in ("=", "<>") and len(literals) > 1:
        return f"{compared} {'IN' if condition.operator == '=' else 'NOT IN'} ({', '.join(literals)})"
    return f"{compared} {condition.operator} {literals[0]}"


def _literal(condition: Condition, value: str, kind: str) -> str:
    wrong = EngineFailed(
        f"'{value}' cannot be compared with '{condition.column}', which holds {kind}", where="where"
    )
    match kind:
        case "number":
            plain = value.replace(",", "") if re.fullmatch(r"\d{1,3}(,\d{3})+(\.\d+)?", value) else value
            if not _NUMBER.fullmatch(plain):
                raise wrong
            return plain
        case "date":
            try:
                return f"DATE {quoted(date.fromisoformat(value).isoformat())}"
            except ValueError as error:
                raise wrong from error
        case "boolean":
            said = {"true": "TRUE", "yes": "TRUE", "1": "TRUE", "false": "FALSE", "no": "FALSE", "0": "FALSE"}
            if value.lower() not in said:
                raise wrong
            return said[value.lower()]
        case _:
            return quoted(value.strip().lower())
