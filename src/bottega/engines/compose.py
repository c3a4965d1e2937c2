"""Text from a template and data: what needs no language model is written without one."""

import asyncio
import csv
import io
import re
from collections.abc import AsyncIterator, Sequence
from typing import Any, ClassVar, Literal

from pydantic import Field

from bottega.core.errors import EngineFailed
from bottega.core.request import Finished, Output, Part, Request, Usage
from bottega.engines.base import Bench, Card, Engine, Estimate, Params, Port, parts_at, require
from bottega.engines.compose_filters import (
    footnoted,
    footnotes,
    markdown,
    markdown_cell,
    number_filters,
    records,
)
from bottega.engines.exact_json import dumps, loads
from bottega.engines.markdown_table import table_filter


class ComposeParams(Params, frozen=True):
    """A Jinja template."""

    template: str = Field(
        min_length=1, max_length=100_000, description="Jinja2; see the input port's note for names"
    )
    media_type: Literal["text/markdown", "text/plain", "application/json"] = Field(
        default="text/markdown", description="what the template writes"
    )
    language: str = Field(default="en", description="how numbers are written: en, fr, de, es, it, pt, nl")
    values: dict[str, Any] = Field(
        default_factory=dict, description="further values, by name in the template"
    )
    max_chars: int = Field(default=200_000, ge=1, le=2_000_000, description="refuse a longer text")


class Compose(Engine):
    """Jinja in its sandbox: unknown names are errors, nothing private can be reached, the text is bounded."""

    card: ClassVar[Card] = Card(
        id="compose",
        version="1",
        summary="Text from a Jinja template and JSON or text data, without a model",
        modality="text",
        inputs=(
            Port(
                name="data",
                media_types=("application/json", "application/*+json", "text/*"),
                required=False,
                many=True,
                note="a part from 'copy-fr.draft.text' is 'draft' in the template, and 'copy_fr_draft'; a source file "
                "'faq.json' is 'faq', and every part is data[0], data[1] ... in order; JSON is parsed "
                "(decimals stay exact), CSV is a list of rows by column, other text is text; "
                "filters: md, md_cell, number(places), unit('kg'), money('EUR'), records, markdown_table, footnoted, footnotes, tojson",
            ),
        ),
        outputs=(Port(name="text", media_types=("text/markdown", "text/plain", "application/json")),),
        licence="Apache-2.0",
        not_covered="Loops are bounded by the length of the text they write, not by time; a stop ends them.",
    )
    params: ClassVar[type[Params]] = ComposeParams

    async def generate(self, request: Request, bench: Bench) -> AsyncIterator[Output]:
        """Yield the text."""
        params = ComposeParams.model_validate(request.params)
        parts = parts_at(request, "data")
        text = await asyncio.to_thread(_render, params, parts, bench)
        yield Usage(input_units=len(parts), output_units=len(text), unit="character")
        yield Finished(port="text", media_type=params.media_type, data=text.encode())

    def outputs_for(self, params: Params) -> tuple[Port, ...]:
        """One text of the asked media type."""
        media_type = params.media_type if isinstance(params, ComposeParams) else "text/markdown"
        return (Port(name="text", media_types=(media_type,)),)

    def estimate(self, params: Params, input_bytes: int) -> Estimate:
        """Templates take milliseconds."""
        return Estimate(seconds=0.05 + input_bytes / 20e6)


def names(part_name: str) -> tuple[str, ...]:
    """Names of a part inside a template, the shortest first.

    ``copy-fr.draft.text`` (step ``copy-fr.draft``, port ``text``) is ``draft``, ``copy_fr_draft`` and
    ``copy_fr_draft_text``; the file ``faq.json`` is ``faq`` and ``faq_json``.
    """
    full = part_name.rpartition(":")[2].rpartition("/")[2]
    step = full.rpartition(".")[0] or full
    words = (re.sub(r"\W", "_", word) for word in (step.rpartition(".")[2], step, full))
    return tuple(dict.fromkeys(word if word[:1].isalpha() else f"v_{word}" for word in words))


def _render(params: ComposeParams, parts: Sequence[Part], bench: Bench) -> str:
    sandbox: Any = require("bottega.engines.sandbox_template", extra="all")
    values: dict[str, Any] = dict(params.values)
    data: list[Any] = []
    for part in parts:
        bench.check_cancelled()
        data.append(_value(part, bench))
        for name in names(part.name) if part.name else ():
            values.setdefault(name, data[-1])
    values["data"] = data
    numbers = number_filters(params.language)
    filters = {
        "md": markdown,
        "md_cell": markdown_cell,
        "records": records,
        "footnoted": footnoted,
        "footnotes": footnotes,
        "tojson": dumps,
        **numbers,
        "markdown_table": table_filter(numbers["number"]),
    }
    text: str = sandbox.Sandbox(filters, params.max_chars, bench.check_cancelled).write(
        params.template, values
    )
    if not text.strip():
        raise EngineFailed("the template wrote nothing", where="template", remedy="check its conditions")
    if params.media_type == "application/json":
        return f"{dumps(loads(text, where='template'), indent=2)}\n"
    return text


def _value(part: Part, bench: Bench) -> Any:
    """JSON is parsed, CSV is a list of rows by column, other text stays text."""
    text = bench.text(part)
    media_type = part.artifact.media_type if part.artifact else ""
    if media_type == "application/json" or media_type.endswith("+json"):
        return loads(text, where=part.name)
    if media_type == "text/csv":
        return list(csv.DictReader(io.StringIO(text, newline="")))
    if not media_type and text.lstrip()[:1] in ("{", "["):
        return loads(text, where=part.name)
    return text
