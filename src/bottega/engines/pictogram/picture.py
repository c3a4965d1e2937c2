"""What was drawn: which of it is kept, and how it becomes SVG."""

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple
from xml.sax.saxutils import escape

import numpy as np
from numpy.typing import NDArray

from bottega.core.errors import EngineFailed
from bottega.core.value import JsonObject
from bottega.engines.pictogram.copies import NEAR, Origin
from bottega.engines.pictogram.model import SIDE, Pictures
from bottega.engines.pictogram.tracing import traced

BLANK = 0.01  # share of ink, or of paper, below which there is no picture
FILL = 0.78  # of the shorter side of its place that a drawing takes


class Drawn(NamedTuple):
    """One picture: its ink [32, 32], how well it fits the words, and the training icon nearest to it."""

    ink: NDArray[np.float32]
    likeness: float
    origin: Origin

    @property
    def copied(self) -> bool:
        """Whether it is a near copy."""
        return self.origin.overlap >= NEAR

    @property
    def facts(self) -> JsonObject:
        """For the record."""
        return {
            "likeness": round(self.likeness, 3),
            "near_copy": self.copied,
            "nearest": self.origin._asdict(),
        }


class Look(NamedTuple):
    """What the pictures are called, their style, and the colours of ink and paper."""

    title: str
    style: str
    ink: str
    paper: str


def drawn(
    model: Pictures, bag: NDArray[np.int64], seeds: Sequence[tuple[int, int]], steps: int, guidance: float
) -> list[Drawn]:
    """One picture a pair of seeds; 0 steps and guidance take the model's own."""
    inks = model.drawn(
        bag, seeds, steps or int(model.facts["steps"]), guidance or float(model.facts["guidance"])
    )
    fits = model.likeness(inks, bag)
    return [Drawn(ink, float(fit), model.index.nearest(ink)) for ink, fit in zip(inks, fits, strict=True)]


def best(found: Sequence[Drawn], count: int, *, refuse: bool) -> list[Drawn]:
    """The pictures that fit the words best, those that copy nothing first.

    Raises:
        EngineFailed: too little came, or only with near copies, and these are to be refused.
    """
    seen = [each for each in found if BLANK < each.ink.mean() < 1 - BLANK]
    kept = sorted(seen, key=lambda each: (each.copied, -each.likeness))[:count]
    if len(kept) < count:
        raise EngineFailed(
            "an empty picture came out", where="pictogram", remedy="try another seed, or more `tries`"
        )
    if refuse and kept[-1].copied:
        raise EngineFailed(
            f"it is a near copy of {kept[-1].origin.icon} by {kept[-1].origin.author}",
            where="pictogram",
            remedy="try another seed, other words or more `tries`, or let it be attributed",
        )
    return kept


def svg(kept: Sequence[Drawn], columns: int, size: tuple[int, int], look: Look) -> str:
    """The pictures in rows, each in the middle of its place; a drawing of its own size fills it."""
    width, height = size
    place = width / columns, height / math.ceil(len(kept) / columns)
    scale = 1.0 if size == (SIDE, SIDE) else FILL * min(place) / SIDE
    marks = [
        f'<g transform="translate({(n % columns + 0.5) * place[0] - scale * SIDE / 2:.2f} '
        f'{(n // columns + 0.5) * place[1] - scale * SIDE / 2:.2f}) scale({scale:.4f})">'
        f"{''.join(_paths(each.ink, look))}</g>"
        for n, each in enumerate(kept)
    ]
    origins = "; ".join(
        f"{each.origin.icon} by {each.origin.author} ({each.origin.licence})" for each in kept if each.copied
    )
    told = f"Drawn by a model, nearly the same as {origins}." if origins else "Drawn by a model."
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img">'
        f"<title>{escape(look.title)}</title><desc>{escape(told)}</desc>"
        f'<rect width="{width}" height="{height}" fill="{look.paper}"/>{"".join(marks)}</svg>'
    )


def _paths(ink: NDArray[np.float32], look: Look) -> Iterator[str]:
    """The ink; where the drawing is shaded, a third of it under the grey."""
    shaded = look.style == "shaded"
    if shaded:
        yield f'<path fill="{look.ink}" fill-opacity="0.35" fill-rule="evenodd" d="{traced(ink, 0.2)}"/>'
    yield f'<path fill="{look.ink}" fill-rule="evenodd" d="{traced(ink, 0.7 if shaded else 0.5)}"/>'
