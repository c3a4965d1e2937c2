"""A database that answers one SELECT and can reach nothing else: no files, network, extensions, settings, clock or dice."""

import csv
import math
import re
import threading
from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple, Self

from bottega.core.errors import EngineFailed
from bottega.engines.base import Bench, require
from bottega.engines.tabular import Column, Sheet, columns

_POLL = 0.05  # seconds between looks at the stop signal
_CLOCKS = {"current_date", "current_time", "current_timestamp", "localtime", "localtimestamp"}
_STEADY = {
    "range",
    "generate_series",
}  # listed as changing only because time stamps with a zone follow the session's zone
_INTEGERS = re.compile(r"U?(TINY|SMALL|BIG|HUGE)?INT(EGER)?|BIGNUM")


class Answer(NamedTuple):
    """Rows of a query; each column is its name and type, as in the contract for rows."""

    query: str
    columns: list[dict[str, str]]
    rows: list[list[Any]]


class Sandbox:
    """Tables loaded from sheets, then one query. Open with ``with``."""

    def __init__(self, scratch: Path) -> None:
        self._duckdb: Any = require("duckdb", extra="table")
        self._scratch = scratch
        self.tables: dict[str, tuple[Column, ...]] = {}
        self._closed = False  # against the outside, from the first query on
        self._connection: Any = self._duckdb.connect(
            ":memory:",
            config={
                "threads": "1",
                "memory_limit": "512MB",
                "autoload_known_extensions": "false",
                "autoinstall_known_extensions": "false",
            },
        )
        self._connection.execute("SET TimeZone='UTC'")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def load(self, sheet: Sheet) -> str:
        """Make a table with exact column types, through a plain CSV in the scratch folder; gives its name.

        Its ``rowid`` counts the sheet's rows from 0.
        """
        shape = columns(sheet)
        name, count = sheet.name, 2
        while name in self.tables:
            name, count = f"{sheet.name}_{count}", count + 1
        path = self._scratch / f"table-{len(self.tables)}.csv"
        with path.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows([[column.name for column in shape], *sheet.rows])
        types = ", ".join(f"{quoted(column.name)}: {quoted(column.sql)}" for column in shape)
        self._connection.execute(
            f"CREATE TABLE {named(name)} AS SELECT * FROM read_csv({quoted(str(path))}, header=true, delim=',', "
            f"quote='\"', escape='\"', nullstr='', auto_detect=false, parallel=false, columns={{{types}}})"
        )
        path.unlink()
        self.tables[name] = shape
        alias = f"t{len(self.tables)}"
        if alias not in self.tables:
            self._connection.execute(f"CREATE VIEW {named(alias)} AS SELECT * FROM {named(name)}")
        return name

    def existing(self) -> str:
        """Which tables and columns there are, in words."""
        shapes = (f"{name} has {', '.join(c.name for c in shape)}" for name, shape in self.tables.items())
        return "; ".join(shapes)

    def ask(self, query: str, bench: Bench, *, max_rows: int, max_seconds: float) -> Answer:
        """Run one SELECT.

        Raises:
            EngineFailed: not one SELECT, unknown names (with those that exist), too long, too many rows.
            Cancelled: soon after ``bench.cancelled`` is set.
        """
        duckdb = self._duckdb
        if not self._closed:
            self._connection.execute("SET enable_external_access=false")
            self._connection.execute("SET lock_configuration=true")
            self._closed = True
        self._refuse_all_but_select(query)
        over = threading.Event()
        watcher = threading.Thread(target=_watch, args=(self._connection.interrupt, over, max_seconds, bench))
        watcher.start()
        try:
            result: Any = self._connection.execute(query)
            head = [{"name": str(item[0]), "type": _kind(str(item[1]))} for item in result.description]
            rows = [[_value(cell) for cell in row] for row in result.fetchmany(max_rows + 1)]
        except duckdb.InterruptException as error:
            bench.check_cancelled()
            raise EngineFailed(f"the query ran longer than {max_seconds:g} s", where="sql") from error
        except (duckdb.BinderException, duckdb.CatalogException) as error:
            raise EngineFailed(_short(error), where="sql", remedy=self.existing()) from error
        except duckdb.Error as error:
            raise EngineFailed(_short(error), where="sql", remedy="mend the query") from error
        finally:
            over.set()
            watcher.join()
        if len(rows) > max_rows:
            raise EngineFailed(f"the result has more than {max_rows} rows", where="sql", remedy="add a LIMIT")
        return Answer(query, head, rows)

    def _refuse_all_but_select(self, query: str) -> None:
        """One SELECT without clocks and dice: the same tables must give the same rows."""
        try:
            statements: list[Any] = self._connection.extract_statements(query)
        except self._duckdb.Error as error:
            raise EngineFailed(_short(error), where="sql", remedy="send one SQL SELECT") from error
        kinds = [str(statement.type.name) for statement in statements]
        if kinds != ["SELECT"]:
            found = ", ".join(kinds) or "nothing"
            raise EngineFailed(
                f"one SELECT may run, this is {found}", where="sql", remedy="send one SQL SELECT"
            )
        found = self._connection.execute(
            "SELECT DISTINCT function_name FROM duckdb_functions() "
            "WHERE stability IN ('VOLATILE', 'CONSISTENT_WITHIN_QUERY')"
        ).fetchall()
        restless = ({str(name) for (name,) in found} | _CLOCKS) - _STEADY
        bare = re.sub(r"'(?:[^']|'')*'", "''", query)
        calls = {name.lower() for name in re.findall(r"(\w+)\"?\s*\(", bare)}
        calls |= {name.lower() for name in re.findall(r"(?<!\")\b\w+\b(?!\")", bare)} & _CLOCKS
        if changing := sorted(calls & restless):
            raise EngineFailed(
                f"'{changing[0]}' may answer differently each time", where="sql", remedy="leave it out"
            )


def named(name: str) -> str:
    """An SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def quoted(text: str) -> str:
    """An SQL string."""
    return "'" + text.replace("'", "''") + "'"


def _watch(interrupt: Callable[[], None], over: threading.Event, max_seconds: float, bench: Bench) -> None:
    waited = 0.0
    while not over.wait(_POLL):
        waited += _POLL
        if bench.cancelled.is_set() or waited > max_seconds:
            interrupt()


def _short(error: Exception) -> str:
    """The first line of a database message, without its error class."""
    return str(error).partition("\n")[0].partition("Error: ")[2] or str(error)


def _kind(sql_type: str) -> str:
    if sql_type.startswith("DECIMAL") or sql_type in {"DOUBLE", "FLOAT"} or _INTEGERS.fullmatch(sql_type):
        return "number"
    return {"DATE": "date", "BOOLEAN": "boolean"}.get(sql_type, "text")


def _value(cell: Any) -> Any:
    match cell:
        case None | bool() | int() | Decimal() | str():
            return cell
        case float():
            return cell if math.isfinite(cell) else None
        case date() | datetime():
            return cell.isoformat()
        case _:
            return str(cell)
