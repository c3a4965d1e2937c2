import io
import json
import threading
from typing import Any

import openpyxl
import pytest

from bottega.core.errors import BottegaError, Cancelled, EngineFailed
from bottega.core.request import Finished, Part, Request
from bottega.engines.base import Bench
from bottega.engines.table import Table
from bottega.engines.tabular import XLSX, profile, read_sheets, table_name

CSV = "model,price_eur,power_w,since,code,sold\nSolo,79.00,1200,2025-01-02,007,true\nHome,119.50,2200,2025-03-04,010,false\n"


async def ask(bench: Bench, *parts: Part, **params: Any) -> dict[str, Finished]:
    request = Request(engine="table", parts=parts, params=params)
    return {out.port: out async for out in Table().generate(request, bench) if isinstance(out, Finished)}


def part(text: str = CSV, name: str = "prices-and-specs.csv") -> Part:
    return Part(port="tables", name=name, text=text)


async def test_money_stays_exact(bench: Bench) -> None:
    made = await ask(
        bench, part(), sql="SELECT model, price_eur * 3 AS three, since, sold FROM prices_and_specs"
    )
    assert made["table"].data == (
        b"model,three,since,sold\nSolo,237.00,2025-01-02,true\nHome,358.50,2025-03-04,false\n"
    )
    rows = json.loads(made["rows"].data or b"")
    assert [column["type"] for column in rows["columns"]] == ["text", "number", "date", "boolean"]
    assert b"237.00" in (made["rows"].data or b"")
    assert rows["query"].startswith("SELECT model")


async def test_simple_choice_sorts_and_limits(bench: Bench) -> None:
    made = await ask(bench, part(), columns=["model", "code"], sort="price_eur", descending=True, limit=1)
    assert made["table"].data == b"model,code\nHome,010\n"


async def test_several_files_have_names_and_numbers(bench: Bench) -> None:
    other = part("model,stock\nSolo,4\n", "step-2.table")
    made = await ask(bench, part(), other, sql="SELECT t1.model, stock FROM t1 JOIN step_2 USING (model)")
    assert made["table"].data == b"model,stock\nSolo,4\n"


@pytest.mark.parametrize(
    ("sql", "word"),
    [
        ("DROP TABLE t1", "one SELECT"),
        ("SELECT 1; SELECT 2", "one SELECT"),
        ("COPY t1 TO 'x.csv'", "one SELECT"),
        ("SELECT * FROM read_csv('/etc/passwd')", "Cannot access"),
        ("SELECT * FROM '/etc/passwd'", "does not exist"),
        ("SELECT random() FROM t1", "random"),
        ("SELECT current_date FROM t1", "current_date"),
        ("SELECT prise FROM t1", "price_eur"),
        ("SELECT * FROM prices", "prices_and_specs has model"),
        ("SELEC 1", "syntax"),
        ("SET threads = 4", "one SELECT"),
    ],
)
async def test_all_else_is_refused(bench: Bench, sql: str, word: str) -> None:
    with pytest.raises(EngineFailed, match=word):
        await ask(bench, part(), sql=sql)


async def test_unknown_column_names_the_existing(bench: Bench) -> None:
    with pytest.raises(EngineFailed, match=r"table prices_and_specs: no column 'mass'.*power_w"):
        await ask(bench, part(), columns=["mass"])


async def test_long_results_and_queries_stop(bench: Bench) -> None:
    with pytest.raises(EngineFailed, match="more than 1 rows"):
        await ask(bench, part(), sql="SELECT * FROM t1", max_rows=1)
    slow = "SELECT count(*) FROM range(100000) a, range(100000) b WHERE a.range * b.range % 7 = 3"
    with pytest.raises(EngineFailed, match="longer than"):
        await ask(bench, part(), sql=slow, max_seconds=0.2)
    timer = threading.Timer(0.3, bench.cancelled.set)
    timer.start()
    with pytest.raises(Cancelled):
        await ask(bench, part(), sql=slow)


async def test_workbook_sheets_are_tables(bench: Bench, store_file: Any) -> None:
    book: Any = openpyxl.Workbook()
    first: Any = book.active
    first.title = "Prices"
    first.append(["model", "price"])
    first.append(["Solo", 79])
    first["B2"].number_format = "0.00"
    book.create_sheet("Empty")
    second: Any = book.create_sheet("Stock")
    second.append(["model", "stock"])
    second.append(["Solo", 4])
    out = io.BytesIO()
    book.save(out)
    artifact = store_file(out.getvalue(), XLSX)
    made = await ask(
        bench,
        Part(port="tables", name="shop.xlsx", artifact=artifact),
        sql="SELECT price * stock AS value FROM shop_prices JOIN shop_stock USING (model)",
    )
    assert made["table"].data == b"value\n316.00\n"


@pytest.mark.parametrize(
    ("text", "word"),
    [("", "empty"), ("\n\n", "empty"), ("a\0b,c\n1,2", "not text"), ("PK\x03\x04junk", "not a readable")],
)
async def test_bad_files_have_one_clear_error(bench: Bench, text: str, word: str) -> None:
    with pytest.raises(BottegaError, match=word):
        await ask(bench, part(text), sql="SELECT 1")


def test_profile_gives_type_distinct_and_range() -> None:
    found = {column.name: column for column in profile(CSV.encode())}
    assert found["price_eur"].sql == "DECIMAL(5,2)"
    assert (found["price_eur"].minimum, found["price_eur"].maximum) == ("79.00", "119.50")
    assert found["code"].type == "text"
    assert found["since"].type == "date"
    assert found["model"].distinct == 2


def test_european_csv_and_names() -> None:
    (sheet,) = read_sheets(b"a;b\nx;79,00\ny;1,5\n", "source:Préise 2.csv", "text/csv")
    assert sheet.rows == (("x", "79.00"), ("y", "1.5"))
    assert sheet.name == "préise_2"
    assert table_name("2024.csv") == "t_2024"
