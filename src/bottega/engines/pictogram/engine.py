"""Simple illustrations from a prompt, drawn by a small model that ships with Bottega; nothing is fetched from a hub."""

import asyncio
import math
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field

from bottega.core.request import Finished, Output, Progress, Request, Usage
from bottega.core.value import JsonObject
from bottega.engines.base import GENERATED, Bench, Card, Engine, Estimate, Params, Port, require
from bottega.engines.layout.scene import rasterise
from bottega.engines.variations import outputs

MODEL = "text-icon"
TOGETHER = 16  # pictures of one call of the network


class PictogramParams(Params, frozen=True):
    """What to draw, how often, how large, in which ink."""

    prompt: str = Field(min_length=1, max_length=2000, description="English words for what the picture shows")
    count: int = Field(
        default=1, ge=1, le=16, description="variations; more than one come with a contact sheet"
    )
    width: int = Field(default=512, ge=64, le=4096, description="pixels of the PNG")
    height: int = Field(default=512, ge=64, le=4096, description="pixels of the PNG")
    style: Literal["", "thin", "regular", "bold", "solid", "shaded"] = Field(
        default="", description="of the drawing; default what the prompt says, else regular lines"
    )
    ink: str = Field(default="#1b1b1f", pattern="^#[0-9a-f]{6}$", description="colour of the drawing")
    paper: str = Field(default="#ffffff", pattern="^#[0-9a-f]{6}$", description="colour of the ground")
    steps: int = Field(default=0, ge=0, le=100, description="of the sampler; 0 takes the model's own")
    guidance: float = Field(
        default=0.0, ge=0, le=20, description="how closely words are followed; 0 the model's own"
    )
    tries: int = Field(
        default=4, ge=1, le=16, description="pictures drawn for each one kept, by likeness to the words"
    )
    copies: Literal["attribute", "refuse"] = Field(
        default="attribute",
        description="when only near copies of training icons come: name their origin, or fail",
    )


class Pictogram(Engine):
    """Draws several pictures, keeps those that fit the words best and are no near copies, and traces their outlines."""

    card: ClassVar[Card] = Card(
        id="pictogram",
        version="1",
        summary="A simple illustration or icon from words, as PNG and SVG, with variations",
        modality="image",
        outputs=(
            Port(name="png", media_types=("image/png",), note="the picture, or the contact sheet"),
            Port(name="svg1", media_types=("image/svg+xml",)),
        ),
        licence="Apache-2.0",
        determinism="seeded",
        isolation="process",
        models=(MODEL,),
        source_type=GENERATED,
        not_covered="sentences, scenes, persons, lettering, colour; words that it does not know are passed over",
    )
    params: ClassVar[type[Params]] = PictogramParams

    def __init__(self) -> None:
        self._loaded: tuple[Path, Any] | None = None

    async def generate(self, request: Request, bench: Bench) -> AsyncIterator[Output]:
        """Yield the SVG of each variation, then the PNG."""
        params = PictogramParams.model_validate(request.params)
        picture: Any = require("bottega.engines.pictogram.picture", extra="all")
        bench.check_cancelled()
        model = self._load(bench.weights(request.model or MODEL), bench.threads)
        bag = model.bag(params.prompt, params.style)
        style, *words = model.words(bag)
        seeds = [(request.seed or 0, number) for number in range(params.count * params.tries)]
        found: list[Any] = []
        for start in range(0, len(seeds), TOGETHER):
            bench.check_cancelled()
            some = seeds[start : start + TOGETHER]
            found += await asyncio.to_thread(picture.drawn, model, bag, some, params.steps, params.guidance)
            yield Progress(fraction=0.9 * len(found) / len(seeds), note=f"{len(found)} of {len(seeds)} drawn")
        kept = picture.best(found, params.count, refuse=params.copies == "refuse")
        look = picture.Look(params.prompt, style, params.ink, params.paper)
        for number, each in enumerate(kept, 1):
            svg: str = picture.svg([each], 1, (picture.SIDE, picture.SIDE), look)
            yield Finished(
                port=f"svg{number}", media_type="image/svg+xml", data=svg.encode(), details=each.facts
            )
        columns = max(1, round(math.sqrt(len(kept) * params.width / params.height)))
        sheet: str = picture.svg(kept, columns, (params.width, params.height), look)
        png = await asyncio.to_thread(rasterise, sheet, params.width, params.height)
        details: JsonObject = {
            "width": params.width,
            "height": params.height,
            "prompt": params.prompt,
            "understood": words,
            "style": style,
            "texts": [],
            "pictures": [each.facts for each in kept],
        }
        yield Usage(output_units=float(len(kept)), unit="image")
        yield Finished(port="png", media_type="image/png", data=png, details=details)

    def outputs_for(self, params: Params) -> tuple[Port, ...]:
        """The PNG, and one SVG a variation."""
        return outputs(self.card, params.count if isinstance(params, PictogramParams) else 1)

    def estimate(self, params: Params, input_bytes: int) -> Estimate:
        """Loading takes a second; a tenth of a second a picture that is drawn."""
        if not isinstance(params, PictogramParams):
            return Estimate(seconds=2.0)
        return Estimate(seconds=1.5 + 0.1 * params.count * params.tries)

    def close(self) -> None:
        """Give the memory back."""
        self._loaded = None

    def _load(self, folder: Path, threads: int) -> Any:
        if self._loaded is None or self._loaded[0] != folder:
            module: Any = require("bottega.engines.pictogram.model", extra="all")
            self._loaded = (folder, module.Pictures(folder, threads))
        return self._loaded[1]
