"""Editable SVG icons from words, written stroke by stroke by a small language model that ships with Bottega."""

import asyncio
import math
from collections.abc import AsyncIterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field

from bottega.core.errors import EngineFailed
from bottega.core.request import Finished, Output, Progress, Request, Usage
from bottega.core.value import JsonObject
from bottega.drawing.shapes import svg
from bottega.drawing.words import asked, unknown
from bottega.engines.base import GENERATED, Bench, Card, Engine, Estimate, Params, Port
from bottega.engines.layout.scene import rasterise
from bottega.engines.variations import outputs

MODEL = "icon-svg"


class DrawingParams(Params, frozen=True):
    """What to draw, how often, in which style."""

    prompt: str = Field(min_length=1, max_length=2000, description="English words for what the icon shows")
    style: Literal["", "outline", "filled"] = Field(
        default="", description="strokes, or solid areas; default what the prompt says, else strokes"
    )
    count: int = Field(default=1, ge=1, le=16, description="variations; the PNG shows them all")
    tries: int = Field(
        default=4, ge=1, le=16, description="drawn for each one kept, by likelihood under the words"
    )
    temperature: float = Field(default=0.8, ge=0, le=2, description="0 takes the likeliest token every time")
    guidance: float = Field(
        default=0.0, ge=0, le=10, description="how closely words are followed; 0 the model's own"
    )
    stroke: float = Field(default=2.0, ge=0.25, le=4, description="width of strokes, in units of 24")
    side: int = Field(default=512, ge=24, le=2048, description="pixels of the PNG's sides")
    copies: Literal["attribute", "refuse"] = Field(
        default="attribute",
        description="when nothing but near copies of training icons comes: name their origin, or fail",
    )


class DrawingEngine(Engine):
    """Draws several, keeps those that fit the words best and are no near copies, and writes their shapes as SVG."""

    card: ClassVar[Card] = Card(
        id="drawing",
        version="1",
        summary="An editable SVG icon from words, as plain paths, circles and rectangles",
        modality="image",
        outputs=(
            Port(name="png", media_types=("image/png",), note="the icon, or all variations"),
            Port(name="svg1", media_types=("image/svg+xml",)),
        ),
        licence="Apache-2.0",
        determinism="seeded",
        isolation="process",
        models=(MODEL,),
        source_type=GENERATED,
        not_covered="scenes, text, colour, transparency, strokes of several widths; words it has not learnt are passed over",
    )
    params: ClassVar[type[Params]] = DrawingParams

    def __init__(self) -> None:
        self._loaded: tuple[Path, Any] | None = None

    async def generate(self, request: Request, bench: Bench) -> AsyncIterator[Output]:
        """Yield the SVG of each variation, then the PNG."""
        params = DrawingParams.model_validate(request.params)
        model = self._load(bench.weights(request.model or MODEL))
        wanted = f"{params.style} {params.prompt}".strip()
        prompt = asked(wanted, model.labels)
        seeds = [(request.seed or 0, number) for number in range(params.count * params.tries)]
        found = await asyncio.to_thread(
            model.drawn, prompt, params.temperature, params.guidance, seeds, bench.check_cancelled
        )
        yield Progress(fraction=0.8, note=f"{len(seeds)} drawn")
        kept = _kept(found, params)
        facts: list[JsonObject] = []
        for number, drawn in enumerate(kept, 1):
            fact: JsonObject = {
                "fit": round(drawn.fit, 3),
                "near_copy": drawn.copied,
                "nearest": drawn.origin._asdict(),
            }
            facts.append(fact)
            told = _told(drawn, params.prompt)
            document = svg(drawn.drawing, title=params.prompt, told=told, width=params.stroke)
            yield Finished(
                port=f"svg{number}", media_type="image/svg+xml", data=document.encode(), details=fact
            )
        png = await asyncio.to_thread(rasterise, _sheet(kept, params), params.side, params.side)
        yield Usage(output_units=float(len(kept)), unit="image")
        details: JsonObject = {
            "width": params.side,
            "height": params.side,
            "prompt": params.prompt,
            "understood": [model.labels[label - 1] for label in prompt],
            "passed_over": unknown(wanted, model.labels),
            "texts": [],
            "pictures": facts,
        }
        yield Finished(port="png", media_type="image/png", data=png, details=details)

    def outputs_for(self, params: Params) -> tuple[Port, ...]:
        """The PNG, and one SVG a variation."""
        return outputs(self.card, params.count if isinstance(params, DrawingParams) else 1)

    def estimate(self, params: Params, input_bytes: int) -> Estimate:
        """Half a second to load, and less than a tenth for each drawing."""
        many = params.count * params.tries if isinstance(params, DrawingParams) else 2
        count = float(params.count) if isinstance(params, DrawingParams) else 1.0
        return Estimate(seconds=1.0 + 0.1 * many, units={"image": count})

    def close(self) -> None:
        """Give the memory back."""
        self._loaded = None

    def _load(self, folder: Path) -> Any:
        if self._loaded is None or self._loaded[0] != folder:
            self._loaded = (folder, import_module("bottega.engines.drawing.model").Drawings(folder))
        return self._loaded[1]


def _kept(found: Sequence[Any], params: DrawingParams) -> Sequence[Any]:
    """The first ones.

    Raises:
        EngineFailed: too few came, or nothing but near copies, and these are to be refused.
    """
    kept = found[: params.count]
    if len(kept) < params.count:
        raise EngineFailed(
            f"{len(kept)} different drawings came, and {params.count} are asked for",
            where="drawing",
            remedy="try another seed, a higher temperature or more `tries`",
        )
    if params.copies == "refuse" and kept[-1].copied:
        origin = kept[-1].origin
        raise EngineFailed(
            f"it is a near copy of {origin.icon} by {origin.author}",
            where="drawing",
            remedy="try another seed, other words or more `tries`, or let it be attributed",
        )
    return kept


def _told(drawn: Any, prompt: str) -> str:
    """What the file says about itself."""
    origin = drawn.origin
    near = f" Nearly the same as {origin.icon} by {origin.author}, {origin.licence}." if drawn.copied else ""
    return f"Drawn by a model from the words: {prompt}.{near}"


def _sheet(kept: Sequence[Any], params: DrawingParams) -> str:
    """All drawings in a square, black on white."""
    columns = math.ceil(math.sqrt(len(kept)))
    cells = [
        f'<svg x="{(n % columns) * 30 + 3}" y="{(n // columns) * 30 + 3}" width="24" height="24" viewBox="0 0 24 24">'
        f'<g color="#000000">{svg(each.drawing, width=params.stroke)}</g></svg>'
        for n, each in enumerate(kept)
    ]
    side = 30 * columns
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {side} {side}">'
        f'<rect width="{side}" height="{side}" fill="#ffffff"/>{"".join(cells)}</svg>'
    )
