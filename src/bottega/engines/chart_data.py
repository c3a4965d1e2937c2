"""The table behind a chart: columns, rows, and numbers that are surely numbers."""

import csv
import io
import json
from dataclasses import dataclass
from typing import Any, cast

from bottega.core.errors import EngineFailed


@dataclass(frozen=True)
class Table:
    """Rows of text or numbers under named columns."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def column(self, name: str, field: str) -> list[str]:
        """A column's cells as text.

        Raises:
            EngineFailed: when there is no such column; names those that exist.
        """
        if name not in self.columns:
            there = ", ".join(f"'{column}'" for column in self.columns)
            raise EngineFailed(f"there is no column '{name}'; the table has {there}", where=field)
        return [row[self.columns.index(name)] for row in self.rows]

    def numbers(self, name: str, field: str) -> list[float]:
        """A column as numbers.

        Raises:
            EngineFailed: when a cell is no number; names the cell, its row and the numeric columns.
        """
        numbers: list[float] = []
        for index, cell in enumerate(self.column(name, field)):
            number = as_number(cell)
            if number is None:
                numeric = [
                    c for c in self.columns if all(as_number(v) is not None for v in self.column(c, field))
                ]
                raise EngineFailed(
                    f"column '{name}' is not numeric: row {index + 1} holds '{cell}'",
                    where=field,
                    remedy=f"numeric columns: {', '.join(numeric) or 'none'}",
                )
            numbers.append(number)
        return numbers


def as_number(cell: str) -> float | None:
    """The number a cell writes, or None. Finite decimals with a point; thousands may be parted by commas."""
    text = cell.strip()
    head, _, tail = text.lstrip("+-").partition(".")
    groups = head.split(",")
    if len(groups) > 1 and all(len(group) == 3 for group in groups[1:]) and 1 <= len(groups[0]) <= 3:
        text = text.replace(",", "")
    if not text.lower().strip("+-.0123456789e") and any(c.isdigit() for c in text) and "," not in tail:
        try:
            return float(text)
        except ValueError:
            return None
    return None


def read_table(text: str, media_type: str) -> Table:
    """Read CSV, or rows JSON.

    Raises:
        EngineFailed: when the table cannot be read, or is empty.
    """
    table = _from_json(text) if media_type == "application/json" else _from_csv(text)
    if not table.rows:
        raise EngineFailed(
            "the table has no rows", where="table", remedy="send at least one row under the heading"
        )
    return table


def _from_csv(text: str) -> Table:
    sample = text.lstrip("\ufeff")
    heading = sample.partition("\n")[0]
    delimiter = max(",;\t", key=heading.count)
    lines = [
        row
        for row in csv.reader(io.StringIO(sample), delimiter=delimiter)
        if any(cell.strip() for cell in row)
    ]
    if not lines:
        raise EngineFailed("the table is empty", where="table", remedy="send CSV with a heading")
    columns = tuple(cell.strip() for cell in lines[0])
    for index, row in enumerate(lines[1:], start=1):
        if len(row) != len(columns):
            raise EngineFailed(f"row {index} has {len(row)} cells, the heading {len(columns)}", where="table")
    return Table(columns, tuple(tuple(cell.strip() for cell in row) for row in lines[1:]))


def _from_json(text: str) -> Table:
    try:
        document: Any = json.loads(text)
        columns = tuple(str(column["name"]) for column in document["columns"])
        rows = tuple(tuple(_cell(cell) for cell in cast(list[Any], row)) for row in document["rows"])
    except (ValueError, KeyError, TypeError) as error:
        raise EngineFailed(
            "the table is not rows JSON",
            where="table",
            remedy='send {"columns": [{"name": ...}], "rows": [[...]]}',
        ) from error
    return Table(columns, rows)


def _cell(cell: object) -> str:
    if isinstance(cell, float) and cell.is_integer() and abs(cell) < 1e15:
        return str(int(cell))
    return "" if cell is None else str(cell)
