"""Fields and entities out of a text: every value with the place where it stands, or refused."""

import json
import re
from collections.abc import AsyncIterator, Iterator
from typing import Any, ClassVar, cast

from pydantic import Field, model_validator

from bottega.core.errors import EngineFailed, InvalidPlan
from bottega.core.request import Finished, Output, Progress, Request
from bottega.core.value import JsonObject
from bottega.engines.base import GENERATED, Bench, Card, Engine, Estimate, Params, Port, parts_at
from bottega.engines.chat import close_schema
from bottega.retrieval.tasks.writing import Writer, windows

_SYSTEM = (
    "You copy values out of texts, letter by letter as they stand there. Where the text does not hold a value, "
    'write "" or an empty list. Never guess.'
)


class ExtractParams(Params, frozen=True):
    """Which fields, or which kinds of entities."""

    json_schema: JsonObject | None = Field(
        default=None,
        description="an object of strings, numbers, choices, lists of them, objects; give descriptions",
    )
    entities: tuple[str, ...] = Field(
        default=(),
        max_length=12,
        description="in place of a schema: kinds of names, such as person, product, place",
    )

    @model_validator(mode="after")
    def _one(self) -> "ExtractParams":
        if (self.json_schema is None) == (not self.entities):
            raise ValueError("give json_schema or entities")
        if self.json_schema is not None:
            try:
                close_schema(self.json_schema)
            except InvalidPlan as error:
                raise ValueError(str(error)) from error
            if self.json_schema.get("type") != "object":
                raise ValueError("json_schema must be of an object")
        return self

    @property
    def schema_of(self) -> JsonObject:
        """The schema that the model's answer follows."""
        one = {"name": {"type": "string", "maxLength": 80}, "kind": {"enum": [*self.entities]}}
        listed = {"type": "array", "maxItems": 20, "items": {"type": "object", "properties": one}}
        return self.json_schema or {"type": "object", "properties": {"entities": listed}}


class Extract(Engine):
    """A language model names the values under a schema; only what stands in the text, word for word, is given."""

    card: ClassVar[Card] = Card(
        id="extract",
        version="1",
        summary="Takes fields or entities out of a text under a JSON Schema, each value with its place in the text",
        modality="data",
        inputs=(Port(name="text", media_types=("text/*",)),),
        outputs=(Port(name="fields", media_types=("application/json",), note="value, spans, refused"),),
        reads_names=False,
        licence="Apache-2.0",
        determinism="seeded",
        isolation="process",
        models=("qwen2.5-coder-1.5b-instruct", "smollm2-135m-instruct"),
        source_type=GENERATED,
        not_covered="That a value stands in the text is certain, that it belongs to its field is not. Choices and yes or "
        "no have no place: they are marked as derived.",
    )
    params: ClassVar[type[Params]] = ExtractParams

    def __init__(self) -> None:
        self._writer = Writer()

    async def generate(self, request: Request, bench: Bench) -> AsyncIterator[Output]:
        """Yield progress, then the value with spans, and what was refused."""
        params = ExtractParams.model_validate(request.params)
        parts = parts_at(request, "text")
        if len(parts) != 1:
            raise EngineFailed(f"it needs one text, not {len(parts)}", where="text", remedy="give one file")
        text = bench.text(parts[0])
        bench.check_cancelled()
        schema = close_schema(params.schema_of)
        prompt = f"Extract these fields as JSON: {_asked(schema)}"
        if params.entities:
            kinds = " or ".join(params.entities)
            prompt = f"List every name that stands in the text, once, as JSON, each with its kind: {kinds}."
        self._writer.begin()
        value: Any = None
        pieces = list(windows(text)) or [(0, text)]
        for number, (_, piece) in enumerate(pieces, start=1):
            said = await self._writer.fill(
                request, piece, bench, prompt=prompt, system=_SYSTEM,
                json_schema=schema, max_tokens=800,
            )  # fmt: skip
            value = _merged(value, said)
            yield Progress(fraction=number / len(pieces), note="extracting")
        found = Placed(text, schema)
        kept = found.keep(value)
        yield self._writer.used
        result = {"value": kept, "spans": found.spans, "derived": found.derived, "refused": found.refused}
        details = {"found": len(found.spans), "refused": len(found.refused)}
        data = json.dumps(result, ensure_ascii=False).encode()
        yield Finished(port="fields", media_type="application/json", data=data, details=details)

    def estimate(self, params: Params, input_bytes: int) -> Estimate:
        """Reading the text once, and writing the fields for each window of it."""
        assert isinstance(params, ExtractParams)
        pieces = 1 + input_bytes / 5000
        tokens = 1.2 * input_bytes + pieces * (1500 + len(json.dumps(params.schema_of)))
        return Estimate(seconds=5 + input_bytes / 200 + pieces * 15, units={"token": tokens})

    def close(self) -> None:
        """Free the weights."""
        self._writer.close()


class Placed:
    """Holds values against a text: ``spans`` by JSON Pointer (RFC 6901), characters from and up to."""

    def __init__(self, text: str, schema: JsonObject) -> None:
        self._text = text
        self._schema = schema
        self.spans: dict[str, JsonObject] = {}
        self.derived: list[str] = []
        self.refused: list[JsonObject] = []

    def keep(self, value: Any) -> Any:
        """The value without what does not stand in the text: such a field is null, such an item is left out."""
        return self._keep(value, self._schema, "")

    def _keep(self, value: Any, schema: JsonObject, pointer: str) -> Any:
        match value:
            case dict():
                children: JsonObject = schema.get("properties", {})
                return {
                    key: self._keep(item, children.get(key, {}), f"{pointer}/{_escaped(key)}")
                    for key, item in cast(JsonObject, value).items()
                }
            case list():
                kept: list[Any] = []
                for item in cast(list[Any], value):
                    here = f"{pointer}/{len(kept)}"
                    one = self._keep(item, schema.get("items", {}), here)
                    if one in (None, *kept) or (isinstance(one, dict) and not self._stands(here)):
                        self._forget(here)
                    else:
                        kept.append(one)
                return kept
            case None | "":
                return None
            case _ if isinstance(value, bool) or "enum" in schema or "const" in schema:
                self.derived.append(pointer)
                return value
            case _:
                place = _place(self._text, value)
                if place is None:
                    self.refused.append(
                        {"pointer": pointer, "value": value, "reason": "it does not stand in the text"}
                    )
                    return None
                start, end = place
                self.spans[pointer] = {"start": start, "end": end, "text": self._text[start:end]}
                return self._text[start:end] if isinstance(value, str) else value

    def _stands(self, pointer: str) -> bool:
        """Whether anything below a place stands in the text: choices alone make no item."""
        return any(f"{one}/".startswith(f"{pointer}/") for one in self.spans)

    def _forget(self, pointer: str) -> None:
        inside = f"{pointer}/"
        self.spans = {one: span for one, span in self.spans.items() if not f"{one}/".startswith(inside)}
        self.derived = [one for one in self.derived if not f"{one}/".startswith(inside)]


def _place(text: str, value: str | float) -> tuple[int, int] | None:
    """Where a value stands for the first time as whole words; case and the kind of space do not count."""
    forms = [str(value).strip()] if isinstance(value, str) else list(_numerals(value))
    for form in forms:
        words = r"\s+".join(re.escape(word) for word in form.split())
        edge = r"(?<![\w])", r"(?![\w])"
        if isinstance(value, int | float):
            edge = r"(?<![\w.,-])", r"(?![\w]|[.,]\d)"
        found = re.search(f"{edge[0]}{words}{edge[1]}", text, re.IGNORECASE) if words else None
        if found:
            return found.span()
    return None


def _numerals(value: float) -> Iterator[str]:
    """How a number may be written: 1299.5, 1299.50, 1,299.50, 1.299,50, 1 299,50."""
    plain = repr(value) if isinstance(value, int) or value % 1 else repr(int(value))
    for form in dict.fromkeys(
        (plain, f"{value:.2f}", f"{value:.1f}") if float(f"{value:.1f}") == value else (plain, f"{value:.2f}")
    ):
        whole, _, rest = form.partition(".")
        grouped = f"{int(whole):,}"
        yield form
        if rest:
            yield f"{whole},{rest}"
        yield grouped + (f".{rest}" if rest else "")
        yield grouped.replace(",", ".") + (f",{rest}" if rest else "")
        yield grouped.replace(",", " ") + (f",{rest}" if rest else "")


def _merged(before: Any, now: Any) -> Any:
    """Of two windows: the first value that there is; lists are joined."""
    match before, now:
        case dict(), dict():
            first = cast(JsonObject, before)
            return {key: _merged(first.get(key), item) for key, item in cast(JsonObject, now).items()}
        case list(), list():
            return [*cast(list[Any], before), *cast(list[Any], now)]
        case _:
            return now if before in (None, "") else before


def _asked(schema: JsonObject) -> str:
    """The fields with their descriptions, as the model reads them."""
    told = [
        f"{name} ({one['description']})" if one.get("description") else name
        for name, one in cast(dict[str, JsonObject], schema["properties"]).items()
    ]
    return ", ".join(told)


def _escaped(key: str) -> str:
    return key.replace("~", "~0").replace("/", "~1")
