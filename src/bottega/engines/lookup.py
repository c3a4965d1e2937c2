"""Exact answers from tables: a typed query in, rows out, with the cells that each row comes from."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any, ClassVar

from pydantic import Field

from bottega.core.errors import EngineFailed
from bottega.core.request import Finished, Output, Part, Request, Usage
from bottega.core.value import JsonObject
from bottega.engines.base import Bench, Card, Engine, Estimate, Params, Port, parts_at
from bottega.engines.exact_json import dumps
from bottega.engines.query import Item, Query, sql_of
from bottega.engines.sandbox_sql import Sandbox, named
from bottega.engines.tabular import XLSX, Sheet, read_sheets

MOST_CELLS = 200  # listed; how many there are is always told
_EXTREMES = {"min": "arg_min", "max": "arg_max"}


class LookupParams(Params, frozen=True):
    """A typed query, and how long it may take."""

    query: Query = Field(description="table, columns or functions, conditions, groups, order, limit")
    max_rows: int = Field(default=1_000, ge=1, le=100_000, description="refuse a longer result")
    max_seconds: float = Field(default=10.0, gt=0, le=600, description="stop the query after this time")


class Lookup(Engine):
    """The query becomes one SELECT, which runs behind `Sandbox`; no text of a cell is ever part of it."""

    card: ClassVar[Card] = Card(
        id="lookup",
        version="1",
        summary="Answers a typed query over CSV and XLSX with rows and the cells that they come from",
        modality="table",
        inputs=(Port(name="tables", media_types=("text/csv", XLSX), many=True, note="named as for `table`"),),
        outputs=(Port(name="answer", media_types=("application/json",), note="sql, columns, rows, cells"),),
        licence="MIT",
        extra="table",
        isolation="process",
        not_covered="One table at a time, no joins; averages are rounded to six places.",
    )
    params: ClassVar[type[Params]] = LookupParams

    async def generate(self, request: Request, bench: Bench) -> AsyncIterator[Output]:
        """Yield the answer."""
        params = LookupParams.model_validate(request.params)
        parts = parts_at(request, "tables")
        if not parts:
            raise EngineFailed("no table arrived", remedy="give at least one CSV or XLSX file as 'tables'")
        found = await asyncio.to_thread(_found, params, parts, bench)
        yield Usage(input_units=len(parts), output_units=len(found["rows"]), unit="row")
        details = {"sql": found["sql"], "rows": len(found["rows"]), "cells": found["cell_count"]}
        data = f"{dumps(found)}\n".encode()
        yield Finished(port="answer", media_type="application/json", data=data, details=details)

    def estimate(self, params: Params, input_bytes: int) -> Estimate:
        """About 5 MB a second, reading included."""
        return Estimate(seconds=0.2 + input_bytes / 5e6)


def _found(params: LookupParams, parts: Sequence[Part], bench: Bench) -> JsonObject:
    query = params.query
    sheets: dict[str, tuple[str, Sheet]] = {}
    with Sandbox(bench.scratch) as sandbox:
        for part in parts:
            bench.check_cancelled()
            media_type = part.artifact.media_type if part.artifact else "text/csv"
            for sheet in read_sheets(bench.read(part), part.name or "table", media_type):
                sheets[sandbox.load(sheet)] = (part.name, sheet)
        if query.table not in sheets:
            raise EngineFailed(f"no table '{query.table}'", where="query.table", remedy=sandbox.existing())
        shape = sandbox.tables[query.table]
        sql, traces = sql_of(query, shape), sql_of(query, shape, extra=_traces(query))
        most, seconds = params.max_rows, params.max_seconds
        answer = sandbox.ask(sql, bench, max_rows=most, max_seconds=seconds)
        traced = sandbox.ask(traces, bench, max_rows=most, max_seconds=seconds)
    file, sheet = sheets[query.table]
    cells: list[JsonObject] = []
    count = 0
    for index, row in enumerate(traced.rows):
        for column, rows, many in _origins(query, row[len(query.select) :]):
            count += many
            cells += [_cell(file, sheet, column, at, index) for at in rows]
    return {
        "sql": sql,
        "columns": answer.columns,
        "rows": answer.rows,
        "cells": cells[:MOST_CELLS],
        "cell_count": count,
    }


def _cited(query: Query) -> list[Item]:
    """What is cited for a row of the result: what it shows, and what decided that it is there."""
    shown = [*query.select, *([query.order] if query.order else [])]
    decided = [Item(column=name) for name in dict.fromkeys(c.column for c in query.where)]
    return list(dict.fromkeys([*shown, *decided]))


def _traces(query: Query) -> list[str]:
    """SQL that finds the rows behind each cited item: their numbers, and how many they are."""
    if not query.aggregates:
        return ["CAST(rowid AS VARCHAR)"]
    found: list[str] = []
    for item in _cited(query):
        column = named(item.column)
        if item.function in _EXTREMES:
            found.append(f"CAST({_EXTREMES[item.function]}(rowid, {column}) AS VARCHAR) || ':1'")
        else:
            told = f" FILTER (WHERE {column} IS NOT NULL)" if item.column else ""
            some = f"array_to_string(list(rowid ORDER BY rowid){told}[1:{MOST_CELLS}], ',')"
            found.append(f"{some} || ':' || count(rowid){told}")
    return found


def _origins(query: Query, traces: Sequence[Any]) -> list[tuple[str, list[int], int]]:
    """Column, row numbers from 0 and how many there are; ``count(*)`` has no column and cites the first one."""
    found: list[tuple[str, list[int], int]] = []
    for index, item in enumerate(_cited(query)):
        if not query.aggregates:
            found.append((item.column, [int(traces[0])], 1))
            continue
        rows, _, many = (traces[index] or ":0").partition(":")
        found.append((item.column, [int(row) for row in rows.split(",") if row], int(many)))
    return found


def _cell(file: str, sheet: Sheet, column: str, at: int, result: int) -> JsonObject:
    index = sheet.header.index(column) if column else 0
    line = sheet.lines[at]
    return {
        "file": file,
        "sheet": sheet.title,
        "column": sheet.header[index],
        "row": line,
        "address": f"{_letters(index)}{line}",
        "value": sheet.rows[at][index] or "",
        "result": result,
    }


def _letters(index: int) -> str:
    """``0`` is ``A``, ``26`` is ``AA``."""
    letters = ""
    index += 1
    while index:
        index, rest = divmod(index - 1, 26)
        letters = chr(65 + rest) + letters
    return letters
