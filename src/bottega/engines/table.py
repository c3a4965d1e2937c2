"""Exact tables: one SELECT over CSV and XLSX files."""

import asyncio
import csv
import io
from collections.abc import AsyncIterator, Sequence
from decimal import Decimal
from typing import Any, ClassVar

from pydantic import Field

from bottega.core.errors import EngineFailed
from bottega.core.request import Finished, Output, Part, Request, Usage
from bottega.engines.base import Bench, Card, Engine, Estimate, Params, Port, parts_at
from bottega.engines.exact_json import dumps
from bottega.engines.sandbox_sql import Answer, Sandbox, named
from bottega.engines.tabular import XLSX, read_sheets


class TableParams(Params, frozen=True):
    """A query, or a simple choice of columns and order over the first table."""

    sql: str = Field(
        default="",
        max_length=20_000,
        description="one SELECT; tables are named after their files (prices-and-specs.csv is prices_and_specs), "
        "and t1, t2 ... in order",
    )
    columns: tuple[str, ...] = Field(default=(), description="columns to keep, in this order; without sql")
    sort: str = Field(default="", description="column to sort by; without sql")
    descending: bool = Field(default=False, description="largest first; without sql")
    limit: int | None = Field(default=None, ge=1, le=100_000, description="most rows; without sql")
    max_rows: int = Field(default=100_000, ge=1, le=1_000_000, description="refuse a longer result")
    max_seconds: float = Field(default=30.0, gt=0, le=600, description="stop the query after this time")


class Table(Engine):
    """DuckDB in memory, behind `Sandbox`; money stays DECIMAL."""

    card: ClassVar[Card] = Card(
        id="table",
        version="1",
        summary="Exact values from CSV and XLSX by one SQL SELECT or a choice of columns",
        modality="table",
        inputs=(
            Port(
                name="tables",
                media_types=("text/csv", XLSX),
                many=True,
                note="each file is a table named after it (an XLSX with several sheets: file_sheet), and t1, t2 ...",
            ),
        ),
        outputs=(
            Port(name="table", media_types=("text/csv",)),
            Port(name="rows", media_types=("application/json",), note="columns, rows and the query"),
        ),
        licence="MIT",
        extra="table",
        isolation="process",
        not_covered="Thousands separators and units inside cells stay text; averages and quotients are doubles.",
    )
    params: ClassVar[type[Params]] = TableParams

    async def generate(self, request: Request, bench: Bench) -> AsyncIterator[Output]:
        """Yield the result as CSV and as rows."""
        params = TableParams.model_validate(request.params)
        parts = parts_at(request, "tables")
        if not parts:
            raise EngineFailed("no table arrived", remedy="give at least one CSV or XLSX file as 'tables'")
        answer = await asyncio.to_thread(_answer, params, parts, bench)
        details = {"query": answer.query, "rows": len(answer.rows), "columns": len(answer.columns)}
        rows = f"{dumps({'columns': answer.columns, 'rows': answer.rows, 'query': answer.query})}\n".encode()
        yield Usage(input_units=len(parts), output_units=len(answer.rows), unit="row")
        yield Finished(port="table", media_type="text/csv", data=_csv(answer), details=details)
        yield Finished(port="rows", media_type="application/json", data=rows, details=details)

    def estimate(self, params: Params, input_bytes: int) -> Estimate:
        """About 5 MB a second, reading included."""
        return Estimate(seconds=0.2 + input_bytes / 5e6)


def _answer(params: TableParams, parts: Sequence[Part], bench: Bench) -> Answer:
    with Sandbox(bench.scratch) as sandbox:
        for part in parts:
            bench.check_cancelled()
            media_type = part.artifact.media_type if part.artifact else "text/csv"
            for sheet in read_sheets(bench.read(part), part.name or "table", media_type):
                sandbox.load(sheet)
        query = params.sql.strip() or _simple(params, sandbox)
        return sandbox.ask(query, bench, max_rows=params.max_rows, max_seconds=params.max_seconds)


def _simple(params: TableParams, sandbox: Sandbox) -> str:
    table, shape = next(iter(sandbox.tables.items()))
    known = {column.name for column in shape}
    for wanted in [*params.columns, *([params.sort] if params.sort else [])]:
        if wanted not in known:
            raise EngineFailed(f"no column '{wanted}'", where=f"table {table}", remedy=sandbox.existing())
    chosen = ", ".join(named(column) for column in params.columns) or "*"
    order = f" ORDER BY {named(params.sort)}{' DESC' if params.descending else ''}" if params.sort else ""
    limit = f" LIMIT {params.limit}" if params.limit else ""
    return f"SELECT {chosen} FROM {named(table)}{order}{limit}"


def _csv(answer: Answer) -> bytes:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([column["name"] for column in answer.columns])
    writer.writerows([[_written(cell) for cell in row] for row in answer.rows])
    return out.getvalue().encode()


def _written(cell: Any) -> str:
    match cell:
        case None:
            return ""
        case bool():
            return "true" if cell else "false"
        case Decimal():
            return format(cell, "f")
        case _:
            return str(cell)
