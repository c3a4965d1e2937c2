"""The SQL that the language model writes: a grammar made from the tables, and its text read back as a `Query`.

A grammar with the tables' own columns leaves the model nothing else to write, and what it writes is never run: it is
read into a typed value from which `engines/query.py` makes the statement.
"""

import json
import re
from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeVar

from bottega.engines.query import Condition, Item, Query
from bottega.engines.tabular import Column, Sheet, columns

T = TypeVar("T")

SAMPLES = 6  # values of a text column that the model sees
LONGEST = 40  # characters of such a value
NO_ANSWER = "NO ANSWER"

_FUNCTIONS = ("COUNT", "SUM", "AVG", "MIN", "MAX")
_COMPARED = {"number": "NUMBER", "date": "DATE", "boolean": "BOOLEAN", "text": "TEXT"}
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_TOKEN = re.compile(r"""'[^']*'|"[^"]*"|[A-Za-z_][A-Za-z0-9_]*|-?\d+(?:\.\d+)?|<>|<=|>=|[<>=(),*]""")


class Shape(NamedTuple):
    """A table as the model is told about it."""

    table: str
    file: str
    sheet: Sheet
    columns: tuple[Column, ...]


def shape_of(table: str, file: str, sheet: Sheet) -> Shape:
    """The shape of a sheet that is called ``table`` in queries."""
    return Shape(table, file, sheet, columns(sheet))


def described(shapes: Sequence[Shape]) -> str:
    """The tables as `CREATE TABLE` statements with values that stand in them."""
    return "\n\n".join(
        "\n".join(
            [
                f"CREATE TABLE {shape.table} (",
                *(
                    f"  {_name(column.name)} {_sql(column)}, -- {_samples(shape, column)}"
                    for column in shape.columns
                ),
                ");",
            ]
        )
        for shape in shapes
    )


def _sql(column: Column) -> str:
    return {"number": "NUMERIC", "date": "DATE", "boolean": "BOOLEAN", "text": "TEXT"}[column.type]


def _samples(shape: Shape, column: Column) -> str:
    if column.type in ("number", "date") and column.minimum is not None:
        return f"from {column.minimum} to {column.maximum}"
    index = shape.sheet.header.index(column.name)
    values = dict.fromkeys(row[index] for row in shape.sheet.rows)
    shown = [" ".join(value.split())[:LONGEST] for value in values if value][:SAMPLES]
    return f"{', '.join(map(repr, shown))}{', ...' if column.distinct > SAMPLES else ''}"


def grammar(shapes: Sequence[Shape]) -> str:
    """A Lark grammar, as llguidance reads it, of the SELECTs that these tables allow."""
    lines = ["%llguidance {}", f"start: {' | '.join(f'q{n}' for n in range(len(shapes)))}"]
    for n, shape in enumerate(shapes):
        by_type: dict[str, list[str]] = {}
        for column in shape.columns:
            by_type.setdefault(column.type, []).append(json.dumps(_name(column.name), ensure_ascii=False))
        lines += [
            f'q{n}: "SELECT " items{n} " FROM {shape.table}" where{n}? group{n}? order{n}? limit?',
            f'items{n}: item{n} (", " item{n})*',
            f'item{n}: col{n} | "COUNT(*)" | "COUNT(DISTINCT " col{n} ")" | function "(" col{n} ")"',
            f"col{n}: {' | '.join(name for names in by_type.values() for name in names)}",
            f'where{n}: " WHERE " cond{n} (" AND " cond{n})*',
            f"cond{n}: {' | '.join(f'cond{n}{kind}' for kind in by_type)}",
            f'group{n}: " GROUP BY " col{n} (", " col{n})*',
            f'order{n}: " ORDER BY " item{n} (" DESC" | " ASC")',
        ]
        for kind, names in by_type.items():
            literal = _COMPARED[kind]
            compared = f'col{n}{kind} (" = " | " <> ") {literal}'
            if kind == "text":
                compared += f' | col{n}text " IN (" TEXT (", " TEXT)* ")" | col{n}text " LIKE " TEXT'
            elif kind != "boolean":
                compared += f' | col{n}{kind} (" < " | " <= " | " > " | " >= ") {literal}'
            lines += [f"cond{n}{kind}: {compared}", f"col{n}{kind}: {' | '.join(names)}"]
    lines += [
        f"function: {' | '.join(json.dumps(name) for name in _FUNCTIONS)}",
        'limit: " LIMIT " /[1-9][0-9]{0,2}/',
        "TEXT: /'[^'\\n]{1,60}'/",
        r"NUMBER: /-?[0-9]{1,12}(\.[0-9]{1,6})?/",
        "DATE: /'[0-9]{4}-[0-9]{2}-[0-9]{2}'/",
        'BOOLEAN: "TRUE" | "FALSE"',
    ]
    return "\n".join(lines)


def parse(text: str, shapes: Sequence[Shape]) -> Query:
    """Read a SELECT of the grammar.

    Raises:
        ValueError: it is none.
    """
    return _Reader(text, shapes).query()


class _Reader:
    """Recursive descent over the tokens of one SELECT."""

    def __init__(self, text: str, shapes: Sequence[Shape]) -> None:
        self._tokens = _TOKEN.findall(text)
        self._at = 0
        self._shapes = {shape.table: shape for shape in shapes}

    def query(self) -> Query:
        """The whole statement."""
        self._want("SELECT")
        select = self._list(self._item)
        self._want("FROM")
        table = self._next()
        if table not in self._shapes:
            raise ValueError(f"no table {table}")
        where = self._list(self._condition, "AND") if self._took("WHERE") else []
        group = self._list(self._column) if self._took("GROUP", "BY") else []
        order = self._item() if self._took("ORDER", "BY") else None
        descending = self._took("DESC") or (self._took("ASC") and False)
        limit = int(self._next()) if self._took("LIMIT") else None
        if self._at != len(self._tokens):
            raise ValueError(f"unexpected {self._tokens[self._at]}")
        return Query(
            table=table, select=tuple(select), where=tuple(where), group=tuple(group), order=order,
            descending=descending, limit=limit,
        )  # fmt: skip

    def _item(self) -> Item:
        word = self._next()
        if word in _FUNCTIONS and self._took("("):
            if self._took("*"):
                self._want(")")
                return Item(function="count")
            distinct = self._took("DISTINCT")
            column = self._column()
            self._want(")")
            return Item.model_validate(
                {"column": column, "function": "count_distinct" if distinct else word.lower()}
            )
        return Item(column=word.strip('"'))

    def _condition(self) -> Condition:
        column = self._column()
        operator = self._next()
        if operator == "IN":
            self._want("(")
            values = self._list(self._literal)
            self._want(")")
            return Condition(column=column, values=tuple(values))
        value = self._literal()
        if operator == "LIKE":
            return Condition(column=column, operator="contains", values=(value.strip("%_"),))
        return Condition.model_validate({"column": column, "operator": operator, "values": (value,)})

    def _column(self) -> str:
        return self._next().strip('"')

    def _literal(self) -> str:
        return self._next().strip("'")

    def _list(self, read: Callable[[], T], between: str = ",") -> list[T]:
        found = [read()]
        while self._took(between):
            found.append(read())
        return found

    def _took(self, *words: str) -> bool:
        if tuple(self._tokens[self._at : self._at + len(words)]) != words:
            return False
        self._at += len(words)
        return True

    def _want(self, word: str) -> None:
        if not self._took(word):
            raise ValueError(f"{word} is missing")

    def _next(self) -> str:
        if self._at == len(self._tokens):
            raise ValueError("it ends too early")
        self._at += 1
        return self._tokens[self._at - 1]


def _name(column: str) -> str:
    return column if _PLAIN.fullmatch(column) else f'"{column}"'
