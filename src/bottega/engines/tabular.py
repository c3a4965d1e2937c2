"""Tables as they stand in files: reading CSV and XLSX, exact column types, and a profile for choosing charts."""

import csv
import io
import re
import zipfile
from collections.abc import Iterable, Sequence
from datetime import date, datetime
from decimal import Decimal
from pathlib import PurePosixPath
from typing import Any, Literal, NamedTuple

from bottega.core.errors import EngineFailed
from bottega.engines.base import require

MAX_BYTES = 64 * 2**20  # of a file, and of what an XLSX unpacks to
MAX_CELLS = 5_000_000
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"

ColumnType = Literal["number", "text", "date", "boolean"]

_NUMBER = re.compile(r"[+-]?(0|[1-9]\d*)(\.\d+)?")
_COMMA_NUMBER = re.compile(r"[+-]?(0|[1-9]\d*)(,\d+)?")
_EXPONENT = re.compile(r"[+-]?\d+(\.\d+)?[eE][+-]?\d{1,3}")
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_BOOLEAN = {"true", "false"}


class Sheet(NamedTuple):
    """One table: ``rows`` hold the cells' text, ``None`` for an empty cell; all have the header's length.

    ``lines`` are the numbers that a spreadsheet program shows beside these rows, ``title`` is the sheet's in a workbook.
    """

    name: str
    header: tuple[str, ...]
    rows: tuple[tuple[str | None, ...], ...]
    lines: tuple[int, ...] = ()
    title: str = ""


class Column(NamedTuple):
    """What a column holds. ``sql`` is its exact DuckDB type; ``minimum`` and ``maximum`` are text as in the file."""

    name: str
    type: ColumnType
    sql: str
    distinct: int
    missing: int
    minimum: str | None
    maximum: str | None


def profile(data: bytes, media_type: str = "text/csv") -> tuple[Column, ...]:
    """The columns of a CSV file, or of the first sheet of an XLSX file.

    Raises:
        EngineFailed: when the file is no table.
    """
    return columns(read_sheets(data, "table", media_type)[0])


def columns(sheet: Sheet) -> tuple[Column, ...]:
    """Type, distinct values and range of every column of a sheet."""
    return tuple(_column(name, [row[index] for row in sheet.rows]) for index, name in enumerate(sheet.header))


def read_sheets(data: bytes, name: str, media_type: str) -> tuple[Sheet, ...]:
    """Read CSV (any of ``, ; tab |``) or XLSX (every sheet that is not empty).

    Raises:
        EngineFailed: too large, not a table, not text, or an archive that unpacks to too much.
        ExtraMissing: openpyxl is not installed.
    """
    if len(data) > MAX_BYTES:
        raise EngineFailed(f"the table has {len(data)} bytes, more than {MAX_BYTES}", where=name)
    if media_type == XLSX or data[:4] == b"PK\x03\x04":
        return _read_xlsx(data, name)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("cp1252", "replace")
    if "\0" in text:
        raise EngineFailed("the file is not text", where=name, remedy="send CSV or XLSX")
    first = text.partition("\n")[0]
    delimiter = max(",;\t|", key=first.count)
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=False)
    cells = [[cell.strip() or None for cell in row] for row in rows]
    return (_sheet(table_name(name), cells, name, comma_decimals=delimiter != ","),)


def table_name(name: str) -> str:
    """The SQL name of a file: ``source:Prices and specs.csv`` is ``prices_and_specs``."""
    stem = PurePosixPath(name.rpartition(":")[2] or name).stem
    word = re.sub(r"\W+", "_", stem.lower()).strip("_") or "table_1"
    return f"t_{word}" if word[0].isdigit() else word


def _sheet(
    name: str, every: Sequence[Sequence[str | None]], where: str, *, comma_decimals: bool, title: str = ""
) -> Sheet:
    lines, cells = [n for n, row in enumerate(every, start=1) if any(row)], [row for row in every if any(row)]
    if not cells:
        raise EngineFailed("the table is empty", where=where, remedy="send a header row and data rows")
    width = max(len(row) for row in cells)
    if width * len(cells) > MAX_CELLS:
        raise EngineFailed(
            f"the table has more than {MAX_CELLS} cells", where=where, remedy="send fewer rows"
        )
    header: list[str] = []
    for index in range(width):
        head = (cells[0][index] if index < len(cells[0]) else None) or f"column_{index + 1}"
        unique, count = head, 2
        while unique.lower() in {other.lower() for other in header}:
            unique, count = f"{head}_{count}", count + 1
        header.append(unique)
    rows = [(*row, *[None] * (width - len(row))) for row in cells[1:]]
    if comma_decimals:
        rows = _with_points(rows)
    return Sheet(name, tuple(header), tuple(rows), tuple(lines[1:]), title)


def _with_points(rows: Sequence[tuple[str | None, ...]]) -> list[tuple[str | None, ...]]:
    """Write ``79,00`` as ``79.00`` in columns that hold nothing but such numbers."""
    numeric = [
        all(cell is None or _COMMA_NUMBER.fullmatch(cell) for cell in column)
        for column in zip(*rows, strict=True)
    ]
    return [
        tuple(cell.replace(",", ".") if cell and numeric[i] else cell for i, cell in enumerate(row))
        for row in rows
    ]


def _read_xlsx(data: bytes, name: str) -> tuple[Sheet, ...]:
    openpyxl: Any = require("openpyxl", extra="table")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            if sum(entry.file_size for entry in archive.infolist()) > MAX_BYTES:
                raise EngineFailed(f"the workbook unpacks to more than {MAX_BYTES} bytes", where=name)
        book: Any = openpyxl.load_workbook(io.BytesIO(data), read_only=True, data_only=True)
        sheets: list[Sheet] = []
        for page in book.worksheets:
            rows = [[_cell(cell) for cell in row] for row in page.iter_rows()]
            if any(any(row) for row in rows):
                stem = table_name(name)
                table = stem if len(book.worksheets) == 1 else f"{stem}_{table_name(page.title)}"
                where = f"{name}, sheet {page.title}"
                sheets.append(_sheet(table, rows, where, comma_decimals=False, title=page.title))
        book.close()
    except EngineFailed:
        raise
    except Exception as error:  # a damaged workbook raises KeyError, ValueError, BadZipFile, ParseError ...
        raise EngineFailed(f"not a readable XLSX workbook: {error}", where=name) from error
    if not sheets:
        raise EngineFailed("the workbook has no filled sheet", where=name)
    return tuple(sheets)


def _cell(cell: Any) -> str | None:
    """The cell as text, with the decimals that its number format shows (money stays ``79.00``)."""
    value: Any = cell.value
    match value:
        case None:
            return None
        case bool():
            return "true" if value else "false"
        case datetime() if (value.hour, value.minute, value.second) == (0, 0, 0):
            return value.date().isoformat()
        case datetime() | date():
            return value.isoformat()
        case int() | float():
            exact = Decimal(repr(value))
            shown = re.search(r"0\.(0+)", str(cell.number_format or ""))
            places = max(len(shown.group(1)) if shown else 0, -int(exact.normalize().as_tuple().exponent), 0)
            return format(exact, f".{places}f")
        case _:
            return str(value).strip() or None


def _column(name: str, cells: Sequence[str | None]) -> Column:
    values = [cell for cell in cells if cell is not None]
    kind, sql = _type_of(values)
    ranged: list[str] = []
    if values and kind == "number":
        ranged = sorted(values, key=Decimal)
    elif values and kind == "date":
        ranged = sorted(values)
    low, high = (ranged[0], ranged[-1]) if ranged else (None, None)
    return Column(name, kind, sql, len(set(values)), len(cells) - len(values), low, high)


def _type_of(values: Sequence[str]) -> tuple[ColumnType, str]:
    """The narrowest type that holds every value exactly; codes with leading zeros stay text."""
    if not values:
        return "text", "VARCHAR"
    if all(_NUMBER.fullmatch(value) for value in values):
        whole, places = _digits(values)
        if whole + places > 38:
            return "text", "VARCHAR"
        return "number", f"DECIMAL({whole + places},{places})" if places or whole > 18 else "BIGINT"
    if all(_NUMBER.fullmatch(value) or _EXPONENT.fullmatch(value) for value in values):
        return "number", "DOUBLE"
    if all(_DATE.fullmatch(value) and _is_date(value) for value in values):
        return "date", "DATE"
    if all(value.lower() in _BOOLEAN for value in values):
        return "boolean", "BOOLEAN"
    return "text", "VARCHAR"


def _digits(values: Iterable[str]) -> tuple[int, int]:
    """Most digits before and after the point."""
    pairs = [value.lstrip("+-").partition(".") for value in values]
    return max(len(pair[0]) for pair in pairs), max(len(pair[2]) for pair in pairs)


def _is_date(value: str) -> bool:
    try:
        date.fromisoformat(value)
    except ValueError:
        return False
    return True
