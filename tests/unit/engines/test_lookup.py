"""A typed query over tables: exact rows, and the cells they come from."""

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from bottega.core.artifact import Artifact
from bottega.core.errors import EngineFailed
from bottega.core.request import Finished, Part, Request
from bottega.engines.base import Bench
from bottega.engines.exact_json import loads
from bottega.engines.lookup import Lookup
from bottega.engines.tabular import XLSX

CSV = "model,price,kind,since\nA,10.00,jug,2024-01-02\n\nB,20.50, Jug,2025-01-02\nC,20.50,pot,\nD,,pot,2023-05-05\n"


async def look(bench: Bench, query: dict[str, Any], *parts: Part) -> dict[str, Any]:
    given = parts or (Part(port="tables", name="p.csv", text=CSV),)
    request = Request(engine="lookup", parts=given, params={"query": {"table": "p", **query}})
    (made,) = [out async for out in Lookup().generate(request, bench) if isinstance(out, Finished)]
    return loads(made.data or b"")


def shown(found: dict[str, Any]) -> list[list[str]]:
    return [[str(cell) for cell in row] for row in found["rows"]]


def addresses(found: dict[str, Any], result: int = 0) -> list[str]:
    return [cell["address"] for cell in found["cells"] if cell["result"] == result]


async def test_rows_and_their_cells_as_a_spreadsheet_numbers_them(bench: Bench) -> None:
    found = await look(
        bench,
        {
            "select": [{"column": "model"}],
            "where": [{"column": "kind", "values": ["JUG"]}],
        },
    )
    assert shown(found) == [["A"], ["B"]]
    assert addresses(found) == ["A2", "C2"] and addresses(found, 1) == ["A4", "C4"]  # row 3 is empty
    assert found["cells"][0]["value"] == "A" and found["cell_count"] == 4


async def test_ties_are_not_cut_off_and_empty_cells_do_not_compete(bench: Bench) -> None:
    by_price = {
        "select": [{"column": "model"}, {"column": "price"}],
        "order": {"column": "price"},
        "limit": 1,
    }
    assert shown(await look(bench, {**by_price, "descending": True})) == [["B", "20.50"], ["C", "20.50"]]
    assert shown(await look(bench, by_price)) == [["A", "10.00"]]


async def test_functions_cite_the_cells_that_they_count(bench: Bench) -> None:
    found = await look(
        bench,
        {"select": [{"column": "kind"}, {"function": "sum", "column": "price"}, {"function": "count"}],
         "group": ["kind"], "order": {"function": "count"}},
    )  # fmt: skip
    assert ["pot", "20.50", "2"] in shown(found)
    top = await look(
        bench, {"select": [{"function": "max", "column": "price"}, {"function": "avg", "column": "price"}]}
    )
    assert top["rows"][0][0].as_tuple().exponent == -2 and float(top["rows"][0][1]) == 17.0
    assert addresses(top) == ["B4", "B2", "B4", "B5"]


async def test_a_workbook_names_sheet_and_row(bench: Bench) -> None:
    book: Any = openpyxl.Workbook()
    book.active.title = "Prices"
    book.active.append(["Our prices"])
    for row in ([], ["model", "price"], ["A", 10]):
        book.active.append(row)
    book.active.delete_rows(1, 1)
    book.create_sheet("Stock").append(["model", "stock"])
    book["Stock"].append(["A", 3])
    out = io.BytesIO()
    book.save(out)
    (bench.scratch / "b").write_bytes(out.getvalue())

    def locate(artifact: Artifact) -> Path:
        return bench.scratch / "b"

    place = replace(bench, locate=locate)
    part = Part(port="tables", name="b.xlsx", artifact=Artifact(sha256="0" * 64, media_type=XLSX, size=1))
    request = {
        "table": "b_prices",
        "select": [{"column": "price"}],
        "where": [{"column": "model", "values": ["a"]}],
    }
    found = await look(place, request, part)
    assert shown(found) == [["10"]]
    assert {(cell["sheet"], cell["address"]) for cell in found["cells"]} == {
        ("Prices", "B3"),
        ("Prices", "A3"),
    }


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ({"select": [{"column": "weight"}]}, "no column 'weight'"),
        ({"select": [{"column": "model"}, {"function": "count"}]}, "neither grouped by"),
        ({"select": [{"function": "sum", "column": "model"}]}, "holds no numbers"),
        ({"select": [{"column": "model"}], "where": [{"column": "price", "values": ["dear"]}]}, "cannot be compared"),
        ({"table": "q", "select": [{"column": "model"}]}, "no table 'q'"),
    ],
)  # fmt: skip
async def test_what_does_not_fit_is_named(bench: Bench, query: dict[str, Any], said: str) -> None:
    with pytest.raises(EngineFailed, match=said):
        await look(bench, query)


async def test_cells_and_values_are_never_sql(bench: Bench) -> None:
    evil = 'name,"x"") FROM t1 --"\n"\'; DROP TABLE p; --",1\n"=1+1",2\n'
    part = Part(port="tables", name="p.csv", text=evil)
    value = "'; DROP TABLE p; --"
    found = await look(
        bench, {"select": [{"column": "name"}], "where": [{"column": "name", "values": [value]}]}, part
    )
    assert shown(found) == [[value]]
    heads = await look(bench, {"select": [{"column": 'x") FROM t1 --'}]}, part)
    assert shown(heads) == [["1"], ["2"]]
