import json
from typing import Any

import pytest

from bottega.core.errors import EngineFailed
from bottega.core.request import Finished, Part, Request
from bottega.engines.base import Bench
from bottega.engines.record import Record

DRAFT = {"name": "Tarnwick", "description": "A kettle."}
ROWS = (
    '{"columns": [{"name": "model", "type": "text"}, {"name": "price_eur", "type": "number"}, '
    '{"name": "power_w", "type": "number"}], "rows": [["Solo", 79.00, 1200], ["Home", 119.00, 2200]], "query": "SELECT *"}'
)


async def make(bench: Bench, draft: object = DRAFT, rows: str = ROWS, **params: Any) -> Finished:
    parts = [Part(port="draft", name="draft.text", text=json.dumps(draft))]
    parts += [Part(port="rows", name="table.rows", text=rows)] if rows else []
    request = Request(engine="record", parts=tuple(parts), params=params)
    (made,) = [out async for out in Record().generate(request, bench) if isinstance(out, Finished)]
    return made


async def test_product_with_variants_by_default(bench: Bench) -> None:
    made = await make(bench)
    record = json.loads(made.data or b"")
    assert record["@type"] == "ProductGroup"
    assert record["hasVariant"][0]["offers"] == {"@type": "Offer", "price": 79.0, "priceCurrency": "EUR"}
    assert record["hasVariant"][1]["additionalProperty"] == [
        {"@type": "PropertyValue", "name": "power", "value": 2200, "unitText": "W"}
    ]
    assert b'"price": 79.00' in (made.data or b"")
    assert made.details["origins"] == {
        "/name": "draft",
        "/description": "draft",
        "/hasVariant": "rows: all columns",
    }
    assert made.details["query"] == "SELECT *"


async def test_exact_fields_replace_what_the_draft_says(bench: Bench) -> None:
    exact = {
        "price": {"column": "price_eur", "where": {"model": "Home"}},
        "/specs/power": {"column": "power_w", "where": {"price_eur": 79}},
        "variants": {},
    }
    schema = {
        "type": "object",
        "required": ["price"],
        "properties": {"price": {"type": "number", "minimum": 100}},
    }
    made = await make(bench, {**DRAFT, "price": 3}, exact=exact, json_schema=schema)
    record = json.loads(made.data or b"")
    assert record["price"] == 119
    assert record["specs"] == {"power": 1200}
    assert [row["model"] for row in record["variants"]] == ["Solo", "Home"]
    assert list(record) == sorted(record)
    assert made.details["origins"]["/price"] == "rows: price_eur where model = 'Home'"


@pytest.mark.parametrize(
    ("draft", "rows", "params", "word"),
    [
        ({"weight": 3}, ROWS, {}, r"/weight: .*bare number 3"),
        ({"a": [{"b/c": 1.5}]}, ROWS, {}, r"/a/0/b~1c: "),
        (DRAFT, ROWS, {"exact": {"p": {"column": "prise"}}}, "no column 'prise'.*price_eur"),
        (DRAFT, ROWS, {"exact": {"p": {"column": "price_eur", "where": {"model": "X"}}}}, "0 rows match"),
        (DRAFT, "", {"exact": {"p": {"column": "price_eur"}}}, "need the table's rows"),
        (DRAFT, "[]", {}, "no table rows"),
        (DRAFT, ROWS, {"exact": {"/name/x": {"column": "price_eur"}}}, "/name/x: only objects"),
        ([1], ROWS, {}, "no JSON object"),
        (
            {"name": "T", "parts": [{"size": "big"}]},
            "",
            {
                "json_schema": {
                    "properties": {"parts": {"items": {"properties": {"size": {"type": "number"}}}}}
                }
            },
            r"/parts/0/size: .*'big' is not of type 'number'",
        ),
        (DRAFT, "", {"json_schema": {"type": "nonsense"}}, "not a JSON Schema"),
    ],
)
async def test_mistakes_name_their_place(
    bench: Bench, draft: object, rows: str, params: dict[str, Any], word: str
) -> None:
    with pytest.raises(EngineFailed, match=word):
        await make(bench, draft, rows, **params)


async def test_a_schema_elsewhere_is_not_fetched(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def connect(*_: object) -> None:
        pytest.fail("it was looked for elsewhere")

    monkeypatch.setattr("socket.socket.connect", connect)
    with pytest.raises(EngineFailed, match=r"refers to 'http://127.0.0.1:9/s', which is not in it"):
        await make(bench, json_schema={"$ref": "http://127.0.0.1:9/s"})
