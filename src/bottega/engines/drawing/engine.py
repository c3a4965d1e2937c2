"""Editable SVG icons from words, written stroke by stroke by a small language model that ships with Bottega."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from bottega.drawing.shapes import elements
from bottega.drawing.words import needed
from bottega.engines.base import GENERATED, Card, Params, Port, require
from bottega.engines.variations import PAIR, VariationParams, VariationsEngine, Wanted

if TYPE_CHECKING:  # NumPy is loaded with the model
    import numpy as np
    from numpy.typing import NDArray

MODEL = "icon-svg"


class DrawingParams(VariationParams, frozen=True):
    """Variations, the style of their lines, and how freely tokens are drawn."""

    style: Literal["", "outline", "filled"] = Field(
        default="", description="strokes, or solid areas; default what the prompt says, else strokes"
    )
    temperature: float = Field(default=0.8, ge=0, le=2, description="0 takes the likeliest token every time")
    stroke: float = Field(default=2.0, ge=0.25, le=4, description="width of strokes, in units of 24")


class DrawingEngine(VariationsEngine):
    """Samples rows of tokens under the grammar of drawings, so that every one is an SVG of plain shapes."""

    card: ClassVar[Card] = Card(
        id="drawing",
        version="2",
        summary="An editable SVG icon from words, as plain paths, circles and rectangles",
        modality="image",
        outputs=(
            Port(name="png", media_types=("image/png",), note="the icon, or all variations"),
            Port(name="svg1", media_types=("image/svg+xml",)),
        ),
        reads_names=False,
        licence="Apache-2.0",
        determinism="seeded",
        isolation="process",
        models=(MODEL, PAIR),
        source_type=GENERATED,
        not_covered="scenes, text, colour, transparency, strokes of several widths; words it has not learnt are passed over",
    )
    params: ClassVar[type[Params]] = DrawingParams
    side = 24.0

    def load(self, folder: Path, threads: int) -> Any:
        """The decoder."""
        module: Any = require("bottega.engines.drawing.model", extra="all")
        return module.Drawings(folder)

    def wanted(self, model: Any, params: DrawingParams) -> Wanted:
        """Words of the model, the style first."""
        asked = needed(f"{params.style} {params.prompt}".strip(), model.labels)
        style, *words = (model.labels[label - 1] for label in asked.prompt)
        return Wanted(tuple(asked.prompt), style, tuple(words), asked.unknown)

    def drawn(
        self,
        model: Any,
        wanted: Wanted,
        params: DrawingParams,
        seeds: Sequence[tuple[int, int]],
        check: Callable[[], None],
    ) -> tuple[NDArray[np.float32], Sequence[Any]]:
        """One drawing a seed."""
        return model.drawn(wanted.bag, params.temperature, params.guidance, seeds, check)

    def shapes(self, form: Any, wanted: Wanted, params: DrawingParams) -> str:
        """Plain SVG elements."""
        return elements(form, width=params.stroke)
