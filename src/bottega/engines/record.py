"""Structured records: words from a draft, every number from the table, the whole validated against a JSON Schema."""

from collections.abc import AsyncIterator, Mapping, Sequence
from decimal import Decimal
from typing import Any, ClassVar, cast

from pydantic import BaseModel, Field

from bottega.core.errors import EngineFailed
from bottega.core.request import Finished, Output, Part, Request, Usage
from bottega.engines.base import Bench, Card, Engine, Estimate, Params, Port, parts_at
from bottega.engines.compose_filters import records
from bottega.engines.exact_json import dumps, loads
from bottega.engines.json_record import escaped, refuse_numbers, set_at, validate
from bottega.engines.markdown_table import UNITS

_CURRENCIES = {"eur", "usd", "gbp", "chf"}


class Exact(BaseModel, frozen=True, extra="forbid"):
    """Where a field's value stands in the rows: one column of the one row that ``where`` names, or the whole table."""

    column: str = Field(default="", description="column to read; empty: a list of all rows as objects")
    where: dict[str, str | int | float | bool] = Field(
        default_factory=dict, description="column to value, together naming one row"
    )


class RecordParams(Params, frozen=True):
    """Shape and exact fields."""

    json_schema: dict[str, Any] = Field(
        default_factory=dict, description="JSON Schema of the record; none: an object of any shape"
    )
    exact: dict[str, Exact] = Field(
        default_factory=dict,
        description="JSON pointer or field name to its place in the rows; none: every row becomes one entry "
        "of 'hasVariant', each value as schema.org's PropertyValue, a price as Offer",
    )
    numbers: bool = Field(
        default=False,
        description="keep numbers of the draft; otherwise a bare number from the model is refused",
    )


class Record(Engine):
    """Merges a draft with exact rows and validates."""

    card: ClassVar[Card] = Card(
        id="record",
        version="1",
        summary="A validated JSON record: words from a draft, values from a table",
        modality="data",
        inputs=(
            Port(name="draft", media_types=("application/json",), note="an object"),
            Port(
                name="rows",
                media_types=("application/json",),
                required=False,
                many=True,
                note="the first is used",
            ),
            Port(name="passages", media_types=("application/vnd.bottega.passages+json",), required=False),
        ),
        outputs=(Port(name="record", media_types=("application/json",)),),
        reads_names=False,
        licence="Apache-2.0",
        not_covered="Numbers written inside sentences of the draft; the check numbers_grounded reads those.",
    )
    params: ClassVar[type[Params]] = RecordParams

    async def generate(self, request: Request, bench: Bench) -> AsyncIterator[Output]:
        """Yield the record; ``details.origins`` says where each field came from."""
        bench.check_cancelled()
        params = RecordParams.model_validate(request.params)
        drafts = parts_at(request, "draft")
        if len(drafts) != 1:
            raise EngineFailed(f"one draft is wanted, {len(drafts)} arrived")
        draft: Any = loads(bench.text(drafts[0]), where=drafts[0].name or "draft")
        if not isinstance(draft, dict):
            raise EngineFailed("the draft is no JSON object", where=drafts[0].name)
        record = dict(cast(dict[str, Any], draft))
        origins = {f"/{escaped(key)}": "draft" for key in record}
        rows = _rows(parts_at(request, "rows"), bench)
        if params.exact:
            if rows is None:
                raise EngineFailed(
                    "exact fields need the table's rows", remedy="connect 'rows' to a table step"
                )
            if not params.numbers:
                refuse_numbers(record, set(params.exact))
            for field, exact in params.exact.items():
                pointer = field if field.startswith("/") else f"/{escaped(field)}"
                set_at(record, pointer, _value(exact, rows, pointer))
                origins[pointer] = f"rows: {exact.column or 'all columns'}" + _condition(exact)
        elif rows is not None:
            if not params.numbers:
                refuse_numbers(record, {"hasVariant"})
            record["hasVariant"] = [_variant(row) for row in records(rows)]
            origins["/hasVariant"] = "rows: all columns"
        if not params.json_schema:
            kind = "ProductGroup" if "hasVariant" in record else "Product"
            record = {"@context": "https://schema.org", "@type": kind, **record}
        validate(record, params.json_schema)
        passages = _sources(parts_at(request, "passages"), bench)
        details: dict[str, Any] = {"origins": origins, "query": rows.get("query", "") if rows else ""}
        if passages:
            details["draft_sources"] = passages
        yield Usage(input_units=len(request.parts), output_units=len(record), unit="field")
        data = f"{dumps(record, indent=2)}\n".encode()
        yield Finished(port="record", media_type="application/json", data=data, details=details)

    def estimate(self, params: Params, input_bytes: int) -> Estimate:
        """Milliseconds."""
        return Estimate(seconds=0.05 + input_bytes / 20e6)


def _rows(parts: Sequence[Part], bench: Bench) -> dict[str, Any] | None:
    if not parts:
        return None
    rows: Any = loads(bench.text(parts[0]), where=parts[0].name or "rows")
    if not isinstance(rows, dict) or not {"columns", "rows"} <= cast(dict[str, Any], rows).keys():
        raise EngineFailed(
            "these are no table rows", where=parts[0].name, remedy="connect the port 'rows' of a table"
        )
    return cast(dict[str, Any], rows)


def _sources(parts: Sequence[Part], bench: Bench) -> list[str]:
    """The files that the draft was written from."""
    found: Any = loads(bench.text(parts[0]), where=parts[0].name) if parts else {}
    return sorted({str(passage["source"]) for passage in found.get("passages", [])})


def _value(exact: Exact, rows: Mapping[str, Any], pointer: str) -> Any:
    items = records(rows)
    names = [str(column["name"]) for column in rows["columns"]]
    for name in [*([exact.column] if exact.column else []), *exact.where]:
        if name not in names:
            raise EngineFailed(
                f"no column '{name}'", where=pointer, remedy=f"the rows have {', '.join(names)}"
            )
    chosen = [row for row in items if all(_same(row[name], value) for name, value in exact.where.items())]
    if not exact.column:
        return chosen
    if not exact.where:
        return chosen[0][exact.column] if len(chosen) == 1 else [row[exact.column] for row in chosen]
    if len(chosen) != 1:
        raise EngineFailed(f"{len(chosen)} rows match{_condition(exact)}, one is wanted", where=pointer)
    return chosen[0][exact.column]


def _same(cell: Any, wanted: str | float | bool) -> bool:
    if isinstance(cell, int | Decimal) and isinstance(wanted, int | float) and not isinstance(wanted, bool):
        return Decimal(str(wanted)) == cell
    return cell == wanted


def _condition(exact: Exact) -> str:
    return " where " + " and ".join(f"{k} = {v!r}" for k, v in exact.where.items()) if exact.where else ""


def _variant(row: Mapping[str, Any]) -> dict[str, Any]:
    """One row as a schema.org Product: text names it, a price is an Offer, other values are PropertyValues."""
    model: dict[str, Any] = {"@type": "Product", "additionalProperty": []}
    for name, value in row.items():
        words = name.lower().split("_")
        unit = words[-1] if len(words) > 1 and words[-1] in UNITS else ""
        if value is None:
            continue
        if "name" not in model and isinstance(value, str):
            model["name"] = value
        elif unit in _CURRENCIES and "offers" not in model:
            model["offers"] = {"@type": "Offer", "price": value, "priceCurrency": unit.upper()}
        else:
            entry: dict[str, Any] = {
                "@type": "PropertyValue",
                "name": " ".join(words[:-1] if unit else words),
            }
            model["additionalProperty"].append(
                {**entry, "value": value, **({"unitText": UNITS[unit]} if unit else {})}
            )
    return model
