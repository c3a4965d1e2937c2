"""Simple illustrations from a prompt, drawn by a small model that ships with Bottega; nothing is fetched from a hub."""

import asyncio
import math
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import ClassVar, Literal, NamedTuple
from xml.sax.saxutils import escape

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from bottega.core.errors import EngineFailed
from bottega.core.request import Finished, Output, Progress, Request, Usage
from bottega.core.value import JsonObject
from bottega.engines.base import GENERATED, Bench, Card, Engine, Estimate, Params, Port
from bottega.engines.layout.scene import rasterise
from bottega.engines.pictogram.copies import NEAR, Origin
from bottega.engines.pictogram.model import SIDE, Pictures
from bottega.engines.pictogram.tracing import traced

MODEL = "text-icon"
BLANK = 0.01  # share of ink, or of paper, below which there is no picture
TOGETHER = 16  # pictures of one call of the network
FILL = 0.78  # of the shorter side that the drawing takes


class PictogramParams(Params, frozen=True):
    """What to draw, how often, how large, in which ink."""

    prompt: str = Field(min_length=1, max_length=2000, description="English words for what the picture shows")
    count: int = Field(default=1, ge=1, le=16, description="variations; more than one come with a contact sheet")
    width: int = Field(default=512, ge=64, le=2048, description="pixels of the PNG")
    height: int = Field(default=512, ge=64, le=2048, description="pixels of the PNG")
    style: Literal["", "thin", "regular", "bold", "solid", "shaded"] = Field(
        default="", description="of the drawing; default what the prompt says, else regular lines"
    )
    ink: str = Field(default="#1b1b1f", pattern="^#[0-9a-f]{6}$", description="colour of the drawing")
    paper: str = Field(default="#ffffff", pattern="^#[0-9a-f]{6}$", description="colour of the ground")
    steps: int = Field(default=0, ge=0, le=100, description="of the sampler; 0 takes the model's own")
    guidance: float = Field(default=0.0, ge=0, le=20, description="how closely words are followed; 0 the model's own")
    tries: int = Field(default=4, ge=1, le=16, description="pictures drawn for each one kept, by likeness to the words")
    copies: Literal["attribute", "refuse"] = Field(
        default="attribute", description="when nothing but near copies of training icons comes: name their origin, or fail"
    )


class Drawn(NamedTuple):
    """One picture: its ink [32, 32], how well it fits the words, and the training icon nearest to it."""

    ink: NDArray[np.float32]
    likeness: float
    origin: Origin

    @property
    def copied(self) -> bool:
        """Whether it is a near copy."""
        return self.origin.overlap >= NEAR


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
        not_covered="sentences, scenes, persons, text in pictures, colour; words outside its vocabulary are passed over",
    )
    params: ClassVar[type[Params]] = PictogramParams

    def __init__(self) -> None:
        self._loaded: tuple[Path, Pictures] | None = None

    async def generate(self, request: Request, bench: Bench) -> AsyncIterator[Output]:
        """Yield the SVG of each variation, then the PNG."""
        params = PictogramParams.model_validate(request.params)
        pictures = self._load(bench.weights(request.model or MODEL), bench.threads)
        bag = pictures.bag(params.prompt, params.style)
        steps = params.steps or int(pictures.facts["steps"])
        guidance = params.guidance or float(pictures.facts["guidance"])
        seeds = [(request.seed or 0, number) for number in range(params.count * params.tries)]
        found: list[Drawn] = []
        for start in range(0, len(seeds), TOGETHER):
            bench.check_cancelled()
            inks = await asyncio.to_thread(pictures.drawn, bag, seeds[start : start + TOGETHER], steps, guidance)
            likeness = pictures.likeness(inks, bag)
            found += [
                Drawn(ink, float(fit), pictures.index.nearest(ink)) for ink, fit in zip(inks, likeness, strict=True)
            ]
            yield Progress(fraction=0.9 * len(found) / len(seeds), note=f"{len(found)} of {len(seeds)} drawn")
        kept = _kept(found, params)
        words = pictures.words(bag)
        facts: list[JsonObject] = []
        for number, drawn in enumerate(kept, 1):
            fact: JsonObject = {"likeness": round(drawn.likeness, 3), "near_copy": drawn.copied, "nearest": drawn.origin._asdict()}
            facts.append(fact)
            svg = _svg([drawn], 1, (SIDE, SIDE), params, words[0])
            yield Finished(port=f"svg{number}", media_type="image/svg+xml", data=svg.encode(), details=fact)
        columns = max(1, round(math.sqrt(len(kept) * params.width / params.height)))
        sheet = _svg(kept, columns, (params.width, params.height), params, words[0])
        png = await asyncio.to_thread(rasterise, sheet, params.width, params.height)
        yield Usage(output_units=float(len(kept)), unit="image")
        details: JsonObject = {
            "width": params.width,
            "height": params.height,
            "prompt": params.prompt,
            "understood": words,
            "texts": [],
            "pictures": facts,
        }
        yield Finished(port="png", media_type="image/png", data=png, details=details)

    def outputs_for(self, params: Params) -> tuple[Port, ...]:
        """The PNG, and one SVG a variation."""
        count = params.count if isinstance(params, PictogramParams) else 1
        drawings = (Port(name=f"svg{n}", media_types=("image/svg+xml",)) for n in range(1, count + 1))
        return (self.card.outputs[0], *drawings)

    def estimate(self, params: Params, input_bytes: int) -> Estimate:
        """Loading takes a second; a tenth of a second a picture that is drawn."""
        many = params.count * params.tries if isinstance(params, PictogramParams) else 4
        count = float(params.count) if isinstance(params, PictogramParams) else 1.0
        return Estimate(seconds=1.5 + 0.1 * many, units={"image": count})

    def close(self) -> None:
        """Give the memory back."""
        self._loaded = None

    def _load(self, folder: Path, threads: int) -> Pictures:
        if self._loaded is None or self._loaded[0] != folder:
            self._loaded = (folder, Pictures(folder, threads))
        return self._loaded[1]


def _kept(found: Sequence[Drawn], params: PictogramParams) -> list[Drawn]:
    """The pictures that fit the words best, those that copy nothing first.

    Raises:
        EngineFailed: nothing came, or nothing but near copies, and these are to be refused.
    """
    seen = [each for each in found if BLANK < each.ink.mean() < 1 - BLANK]
    seen.sort(key=lambda each: (each.copied, -each.likeness))
    kept = seen[: params.count]
    if len(kept) < params.count:
        raise EngineFailed("an empty picture came out", where="pictogram", remedy="try another seed or more `tries`")
    if params.copies == "refuse" and kept[-1].copied:
        raise EngineFailed(
            f"it is a near copy of {kept[-1].origin.icon} by {kept[-1].origin.author}",
            where="pictogram",
            remedy="try another seed, other words or more `tries`, or let it be attributed",
        )
    return kept


def _svg(
    kept: Sequence[Drawn], columns: int, size: tuple[int, int], params: PictogramParams, style: str
) -> str:
    """The pictures in rows, each in the middle of its cell."""
    width, height = size
    rows = math.ceil(len(kept) / columns)
    cell = width / columns, height / rows
    scale = FILL * min(cell) / SIDE if len(kept) > 1 or size != (SIDE, SIDE) else 1.0
    origins = [
        f"{each.origin.icon} by {each.origin.author}, {each.origin.licence}" for each in kept if each.copied
    ]
    told = f"Drawn by a model.{' Nearly the same as ' + '; '.join(origins) + '.' if origins else ''}"
    marks = [
        f'<g transform="translate({(n % columns + 0.5) * cell[0] - scale * SIDE / 2:.2f} '
        f'{(n // columns + 0.5) * cell[1] - scale * SIDE / 2:.2f}) scale({scale:.4f})">{"".join(_paths(each, params.ink, style))}</g>'
        for n, each in enumerate(kept)
    ]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img">'
        f"<title>{escape(params.prompt)}</title><desc>{escape(told)}</desc>"
        f'<rect width="{width}" height="{height}" fill="{params.paper}"/>{"".join(marks)}</svg>'
    )


def _paths(drawn: Drawn, colour: str, style: str) -> Iterator[str]:
    """The ink; where the drawing is shaded, a third of it under the grey."""
    if style == "shaded":
        grey = traced(drawn.ink, 0.2)
        yield f'<path fill="{colour}" fill-opacity="0.35" fill-rule="evenodd" d="{grey}"/>'
    path = traced(drawn.ink, 0.7 if style == "shaded" else 0.5)
    yield f'<path fill="{colour}" fill-rule="evenodd" d="{path}"/>'
