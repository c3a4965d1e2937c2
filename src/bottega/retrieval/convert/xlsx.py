"""XLSX through openpyxl: every sheet a page, every row a line ``col: value; ...``."""

import datetime
import io
from collections.abc import Sequence
from typing import Any

from bottega.engines.base import require
from bottega.retrieval.chunk import Block
from bottega.retrieval.convert.archive import check_archive
from bottega.retrieval.convert.reading import Pages, Reading, row_text

_CELLS = 20_000_000  # of all sheets, empty ones counted
_EMPTY_RUN = 1_000  # rows without a value after which a sheet is taken to have ended


def read(reading: Reading) -> Pages:
    """Cell values as they were last computed; a workbook whose formulas were never computed is refused.

    Raises:
        UnreadableSource: for a bomb, a damaged workbook, or formulas without values.
        ExtraMissing: without the extra ``table``.
    """
    openpyxl: Any = require("openpyxl", extra="table")
    check_archive(reading)
    try:
        sheets = _sheets(openpyxl, reading, values=True)
        formulas = _sheets(openpyxl, reading, values=False)
    except _TooMuch as error:
        raise reading.refuse(
            f"more than {reading.limits.characters:,} characters or {_CELLS:,} cells",
            "give only the sheets that matter",
        ) from error
    except Exception as error:
        raise reading.refuse("the workbook is damaged", "open it and save it again") from error
    _check_computed(reading, sheets, formulas)
    return [_page(title, rows) for title, rows in sheets.items()]


class _TooMuch(Exception):
    """More text or cells than the limit."""


def _sheets(openpyxl: Any, reading: Reading, *, values: bool) -> dict[str, list[list[str]]]:
    book: Any = openpyxl.load_workbook(
        io.BytesIO(reading.data), read_only=True, data_only=values, keep_links=False
    )
    try:
        left, left_cells = reading.limits.characters, _CELLS
        sheets: dict[str, list[list[str]]] = {}
        for sheet in book.worksheets:
            if sheet.sheet_state != "visible":
                continue
            sheet.reset_dimensions()  # the declared size may be a lie
            rows: list[list[str]] = []
            empty = 0
            for row in sheet.iter_rows(values_only=True):
                cells = [_cell(value) for value in row]
                length = sum(map(len, cells))
                left -= length
                left_cells -= len(cells)
                empty = 0 if length else empty + 1
                if left < 0 or left_cells < 0:
                    raise _TooMuch
                if empty > _EMPTY_RUN:
                    break
                rows.append(cells)
            sheets[str(sheet.title)] = rows
        return sheets
    finally:
        book.close()


def _check_computed(
    reading: Reading, sheets: dict[str, list[list[str]]], formulas: dict[str, list[list[str]]]
) -> None:
    bare: list[str] = []  # formulas without a value; some formulas say "" on purpose, but never all of them
    count = 0
    for title, rows in formulas.items():
        values = sheets.get(title, [])
        for number, row in enumerate(rows):
            for column, cell in enumerate(row):
                if cell.startswith("=") and len(cell) > 1:
                    count += 1
                    computed = (
                        values[number][column]
                        if number < len(values) and column < len(values[number])
                        else ""
                    )
                    if not computed:
                        bare.append(f"{title}!{_letters(column)}{number + 1}")
    if bare and len(bare) < count:
        reading.notes.append(f"{len(bare)} of {count} formulas have no value; the first is {bare[0]}")
    elif bare:
        raise reading.refuse(
            f"{len(bare)} formulas have no computed value; the first is {bare[0]}",
            "open the workbook in a spreadsheet program and save it, so that values are stored",
        )


def _page(title: str, rows: Sequence[Sequence[str]]) -> list[Block]:
    rows = [row for row in rows if any(row)]
    if not rows:
        return []
    width = max(sum(bool(cell) for cell in row) for row in rows)
    first = next(index for index, row in enumerate(rows) if sum(bool(cell) for cell in row) > width // 2)
    blocks = [Block(title, "heading", 1)]
    blocks += [Block(" ".join(cell for cell in row if cell)) for row in rows[:first]]
    body = rows[first + 1 :]
    if not body:
        return [*blocks, Block("; ".join(cell for cell in rows[first] if cell), "row")]
    return [*blocks, *(Block(row_text(rows[first], row), "row") for row in body)]


def _cell(value: object) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case float():
            return str(int(value)) if value.is_integer() and abs(value) < 1e15 else f"{value:.12g}"
        case datetime.datetime():
            return value.date().isoformat() if value.time() == datetime.time() else value.isoformat(" ")
        case datetime.date() | datetime.time():
            return value.isoformat()
        case _:
            return " ".join(str(value).split())


def _letters(column: int) -> str:
    name = ""
    column += 1
    while column:
        column, rest = divmod(column - 1, 26)
        name = chr(65 + rest) + name
    return name
