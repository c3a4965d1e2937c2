"""The frame of engines that draw a thing several times: the likeliest are kept, near copies come last, all on one sheet."""

from __future__ import annotations

import asyncio
import io
import math
from abc import abstractmethod
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple
from xml.sax.saxutils import escape

from pydantic import Field

from bottega.core.errors import EngineFailed
from bottega.core.request import Finished, Output, Progress, Request, Usage
from bottega.core.value import JsonObject
from bottega.engines.base import Bench, Engine, Estimate, Params, Port
from bottega.engines.layout.scene import rasterise

if TYPE_CHECKING:  # NumPy is loaded with the model
    import numpy as np
    from numpy.typing import NDArray

    from bottega.drawing.copies import Index, Origin
    from bottega.engines.likeness import Likeness

PAIR = "icon-pair"
INK = 32  # pixels a side of what the pair looks at

TOGETHER = 16  # pictures of one call of a network
BLANK = 0.005  # share of ink, or of paper, below which there is no picture
FILL = 0.78  # of the shorter side of its place that a drawing takes


class VariationParams(Params, frozen=True):
    """What to draw, how often, how large, in which ink."""

    prompt: str = Field(min_length=1, max_length=2000, description="English words for what the picture shows")
    count: int = Field(default=1, ge=1, le=16, description="variations; the PNG shows them all")
    width: int = Field(default=512, ge=24, le=4096, description="pixels of the PNG")
    height: int = Field(default=512, ge=24, le=4096, description="pixels of the PNG")
    ink: str = Field(default="#1b1b1f", pattern="^#[0-9a-f]{6}$", description="colour of the drawing")
    paper: str = Field(default="#ffffff", pattern="^#[0-9a-f]{6}$", description="colour of the ground")
    guidance: float = Field(
        default=0.0, ge=0, le=20, description="how closely words are followed; 0 the model's own"
    )
    tries: int = Field(
        default=8, ge=1, le=32, description="drawn for each one kept, by likeness to the words"
    )
    copies: Literal["attribute", "refuse"] = Field(
        default="attribute",
        description="when nothing but near copies of training icons comes: name their origin, or fail",
    )


class Sketch(NamedTuple):
    """One drawing: its ink [32, 32], what the engine draws it from, its likeness and the training icon nearest to it."""

    ink: NDArray[np.float32]
    form: Any
    likeness: float
    origin: Origin

    @property
    def copied(self) -> bool:
        """Whether it is a near copy."""
        from bottega.drawing.copies import NEAR

        return self.origin.overlap >= NEAR

    @property
    def facts(self) -> JsonObject:
        """For the record."""
        return {
            "likeness": round(self.likeness, 3),
            "near_copy": self.copied,
            "nearest": self.origin._asdict(),
        }


class Wanted(NamedTuple):
    """What of a prompt a model understood: its bag of numbers, the style, the words, and what it passed over."""

    bag: tuple[int, ...]
    style: str
    words: tuple[str, ...]
    unknown: tuple[str, ...]


class Artist(NamedTuple):
    """A model that draws, the pair that judges likeness, and the training icons."""

    model: Any
    likeness: Likeness
    known: Index


class VariationsEngine(Engine):
    """Draws several, keeps those that fit the words best and are no near copies, and writes each as SVG."""

    side: float  # units of the square that shapes are drawn in

    def __init__(self) -> None:
        self._loaded: tuple[Path, Artist] | None = None

    @abstractmethod
    def load(self, folder: Path, threads: int) -> Any:
        """The model in a folder of the catalog."""

    @abstractmethod
    def wanted(self, model: Any, params: Any) -> Wanted:
        """What is to be drawn.

        Raises:
            InvalidValue: the model knows no word of the prompt.
        """

    @abstractmethod
    def drawn(
        self,
        model: Any,
        wanted: Wanted,
        params: Any,
        seeds: Sequence[tuple[int, int]],
        check: Callable[[], None],
    ) -> tuple[NDArray[np.float32], Sequence[Any]]:
        """For each seed a picture's ink [N, 32, 32], and what its shapes are made from."""

    @abstractmethod
    def shapes(self, form: Any, wanted: Wanted, params: Any) -> str:
        """SVG elements on a square of `side` units, in ``currentColor``."""

    async def generate(self, request: Request, bench: Bench) -> AsyncIterator[Output]:
        """Yield the SVG of each variation, then the PNG."""
        params = self.params.model_validate(request.params)
        assert isinstance(params, VariationParams)
        artist = self.artist(request.model or self.card.models[0], bench)
        wanted = self.wanted(artist.model, params)
        seeds = [(request.seed or 0, number) for number in range(params.count * params.tries)]
        found: list[Sketch] = []
        for start in range(0, len(seeds), TOGETHER):
            bench.check_cancelled()
            some = seeds[start : start + TOGETHER]
            found += await asyncio.to_thread(
                self.sketched, artist, wanted, params, some, bench.check_cancelled
            )
            drawn = start + len(some)
            yield Progress(fraction=0.9 * drawn / len(seeds), note=f"{drawn} of {len(seeds)} drawn")
        kept = best(found, params.count, refuse=params.copies == "refuse")
        marks = [self.shapes(each.form, wanted, params) for each in kept]
        for number, (each, mark) in enumerate(zip(kept, marks, strict=True), 1):
            own = _document([mark], 1, (self.side, self.side), self.side, 1.0, params.ink)
            svg = own.format(told(params.prompt, [each]))
            yield Finished(
                port=f"svg{number}", media_type="image/svg+xml", data=svg.encode(), details=each.facts
            )
        columns = max(1, round(math.sqrt(len(kept) * params.width / params.height)))
        sheet = _document(marks, columns, (params.width, params.height), self.side, FILL, params.ink)
        ground = f'<rect width="100%" height="100%" fill="{params.paper}"/>'
        page = sheet.format(told(params.prompt, kept) + ground)
        png = await asyncio.to_thread(rasterise, page, params.width, params.height)
        details: JsonObject = {
            "width": params.width,
            "height": params.height,
            "prompt": params.prompt,
            "understood": [*wanted.words],
            "style": wanted.style,
            "passed_over": [*wanted.unknown],
            "texts": [],
            "pictures": [each.facts for each in kept],
        }
        yield Usage(output_units=float(len(kept)), unit="image")
        yield Finished(port="png", media_type="image/png", data=png, details=details)

    def sketched(
        self,
        artist: Artist,
        wanted: Wanted,
        params: Any,
        seeds: Sequence[tuple[int, int]],
        check: Callable[[], None],
    ) -> list[Sketch]:
        """One a seed, without the empty ones and repetitions."""
        inks, forms = self.drawn(artist.model, wanted, params, seeds, check)
        fits = artist.likeness.of(inks, wanted.words)
        found = {
            ink.tobytes(): Sketch(ink, form, float(fit), artist.known.nearest(ink))
            for ink, form, fit in zip(inks, forms, fits, strict=True)
            if BLANK < ink.mean() < 1 - BLANK
        }
        return [*found.values()]

    def artist(self, model: str, bench: Bench) -> Artist:
        """The model and its judge, loaded once."""
        folder = bench.weights(model)
        if self._loaded is None or self._loaded[0] != folder:
            self._loaded = (folder, self.opened(folder, bench.weights(PAIR), bench.threads))
        return self._loaded[1]

    def opened(self, folder: Path, pair: Path, threads: int) -> Artist:
        """The model in a folder of the catalog, with the pair in another as its judge."""
        from bottega.drawing.copies import Index
        from bottega.engines.likeness import Likeness

        return Artist(
            self.load(folder, threads), Likeness(pair, threads), Index.read(folder / "training.index")
        )

    def outputs_for(self, params: Params) -> tuple[Port, ...]:
        """The PNG, and one SVG a variation."""
        count = params.count if isinstance(params, VariationParams) else 1
        drawings = (Port(name=f"svg{n}", media_types=("image/svg+xml",)) for n in range(1, count + 1))
        return (self.card.outputs[0], *drawings)

    def estimate(self, params: Params, input_bytes: int) -> Estimate:
        """Loading takes a second; a tenth of a second a picture that is drawn."""
        many = params.count * params.tries if isinstance(params, VariationParams) else 8
        return Estimate(seconds=1.0 + 0.1 * many)

    def close(self) -> None:
        """Give the memory back."""
        self._loaded = None


def best(found: Sequence[Sketch], count: int, *, refuse: bool) -> list[Sketch]:
    """The different drawings that fit the words best, those that copy nothing first.

    Raises:
        EngineFailed: too few came, or only with near copies, and these are to be refused.
    """
    different = {each.ink.tobytes(): each for each in reversed(found)}  # of equal ones the first
    kept = sorted(different.values(), key=lambda each: (each.copied, -each.likeness))[:count]
    if len(kept) < count:
        raise EngineFailed(
            f"{len(kept)} different drawings came, and {count} are asked for",
            where="prompt",
            remedy="try another seed, or more `tries`",
        )
    if refuse and kept[-1].copied:
        raise EngineFailed(
            f"it is a near copy of {kept[-1].origin.icon} by {kept[-1].origin.author}",
            where="prompt",
            remedy="try another seed, other words or more `tries`, or let it be attributed",
        )
    return kept


def _document(
    marks: Sequence[str], columns: int, size: tuple[float, float], side: float, fill: float, ink: str
) -> str:
    """Drawings in rows, each in the middle of its place; ``{}`` stands where title and ground belong."""
    width, height = size
    place = width / columns, height / math.ceil(len(marks) / columns)
    scale = fill * min(place) / side
    placed = "".join(
        f'<g transform="translate({(n % columns + 0.5) * place[0] - scale * side / 2:.2f} '
        f'{(n // columns + 0.5) * place[1] - scale * side / 2:.2f}) scale({scale:.4f})">{mark}</g>'
        for n, mark in enumerate(marks)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" role="img" color="{ink}">'
        f"{{}}{placed}</svg>\n"
    )


def told(prompt: str, kept: Sequence[Sketch]) -> str:
    """What the file says about itself."""
    origins = "; ".join(
        f"{each.origin.icon} by {each.origin.author} ({each.origin.licence})" for each in kept if each.copied
    )
    near = f", nearly the same as {origins}" if origins else ""
    title = "".join(sign for sign in prompt if sign.isprintable())
    return f"<title>{escape(title)}</title><desc>Drawn by a model{escape(near)}.</desc>"


def inked(shapes: str) -> NDArray[np.float32]:
    """The ink of black shapes on a square of 32 units: [32, 32], 0..1."""
    import numpy as np
    from PIL import Image

    svg = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {INK} {INK}"><rect width="100%" height="100%" fill="#fff"/>{shapes}</svg>'
    with Image.open(io.BytesIO(rasterise(svg, INK, INK))) as picture:
        return np.float32(1) - np.asarray(picture.convert("L"), np.float32) / np.float32(255)
