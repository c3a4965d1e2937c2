"""Simple illustrations from a prompt, drawn by a small model that ships with Bottega; nothing is fetched from a hub."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from bottega.drawing.words import needed
from bottega.engines.base import GENERATED, Card, Params, Port, require
from bottega.engines.variations import PAIR, VariationParams, VariationsEngine, Wanted, inked

if TYPE_CHECKING:  # NumPy is loaded with the model
    import numpy as np
    from numpy.typing import NDArray

MODEL = "text-icon"
WIDTHS = {"thin": 1.4, "regular": 2.2, "bold": 3.2}  # pixels of a stroke; the other styles are surfaces


class PictogramParams(VariationParams, frozen=True):
    """Variations, their style, and the steps of the sampler."""

    style: Literal["", "thin", "regular", "bold", "solid", "shaded"] = Field(
        default="", description="of the drawing; default what the prompt says, else regular lines"
    )
    steps: int = Field(default=0, ge=0, le=100, description="of the sampler; 0 takes the model's own")


class Pictogram(VariationsEngine):
    """Samples pictures of 32 by 32 pixels; draws their lines as strokes, or their surfaces by their outlines."""

    card: ClassVar[Card] = Card(
        id="pictogram",
        version="3",
        summary="A simple illustration or icon from words, as PNG and SVG, with variations",
        modality="image",
        outputs=(
            Port(name="png", media_types=("image/png",), note="the picture, or the contact sheet"),
            Port(name="svg1", media_types=("image/svg+xml",)),
        ),
        reads_names=False,
        licence="Apache-2.0",
        determinism="seeded",
        isolation="process",
        models=(MODEL, PAIR),
        source_type=GENERATED,
        not_covered="sentences, scenes, persons, lettering, colour; words that it does not know are passed over",
    )
    params: ClassVar[type[Params]] = PictogramParams
    side = 32.0

    def load(self, folder: Path, threads: int) -> Any:
        """The velocity network."""
        module: Any = require("bottega.engines.pictogram.model", extra="all")
        return module.Pictures(folder, threads)

    def wanted(self, model: Any, params: PictogramParams) -> Wanted:
        """Words that the model can draw, and the style."""
        asked = needed(f"{params.prompt} {params.style}".strip(), model.labels, model.words)
        style, *words = (model.labels[label - 1].removeprefix("style:") for label in asked.prompt)
        return Wanted(tuple(asked.prompt), style, tuple(words), asked.unknown)

    def drawn(
        self,
        model: Any,
        wanted: Wanted,
        params: PictogramParams,
        seeds: Sequence[tuple[int, int]],
        check: Callable[[], None],
    ) -> tuple[NDArray[np.float32], Sequence[Any]]:
        """One picture a seed. Of lines, the strokes: their ink is what is judged."""
        inks = model.drawn(wanted.bag, seeds, params.steps, params.guidance)
        if wanted.style not in WIDTHS:
            return inks, inks
        import numpy as np

        from bottega.engines.pictogram.strokes import stroked

        said = f'fill="none" stroke="currentColor" stroke-width="{WIDTHS[wanted.style]}" stroke-linecap="round" stroke-linejoin="round"'
        strokes = [f'<path {said} d="{stroked(ink)}"/>' for ink in inks]
        return np.stack([inked(each) for each in strokes]), strokes

    def shapes(self, form: Any, wanted: Wanted, params: PictogramParams) -> str:
        """Strokes as they are; else outlines of the ink, and where the drawing is shaded, a third of it under the grey."""
        if isinstance(form, str):
            return form
        from bottega.engines.pictogram.tracing import traced

        shaded, paths = wanted.style == "shaded", ""
        if shaded:
            paths = (
                f'<path fill="currentColor" fill-opacity="0.35" fill-rule="evenodd" d="{traced(form, 0.2)}"/>'
            )
        level = 0.7 if shaded else 0.5
        return paths + f'<path fill="currentColor" fill-rule="evenodd" d="{traced(form, level)}"/>'
