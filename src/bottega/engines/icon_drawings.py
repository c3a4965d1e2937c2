"""Icons drawn for an entry by the house models, each checked by the contrastive pair before it may stand for its words."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from bottega.core.errors import InvalidValue
from bottega.core.value import JsonObject
from bottega.engines.base import Bench
from bottega.engines.drawing.engine import DrawingEngine, DrawingParams
from bottega.engines.pictogram.engine import Pictogram, PictogramParams
from bottega.engines.variations import Artist, Sketch, VariationParams, VariationsEngine, Wanted, inked

TRIES = 16  # drawings of each model an entry
SHOWN = 6  # of them on the sheet of variations
STROKE = 1.65  # units of 24
SEEN = 3  # places: a thing that is named this early is seen
NEARLY = 0.95  # of the likeness that the designed icon has to the same words


class Trial(NamedTuple):
    """A drawing, who made it, its shapes on a square of so many units, how many of all words rather name it, and the least likeness."""

    sketch: Sketch
    model: str
    shapes: str
    side: float
    place: int
    floor: float = -1.0

    @property
    def passes(self) -> bool:
        """Whether the pair sees in it what it was drawn for, nearly as well as in the designed icon, and it is no near copy."""
        seen = 0 <= self.place < SEEN and self.sketch.likeness >= self.floor
        return seen and not self.sketch.copied

    def at(self, x: float, y: float, size: float, colour: str) -> str:
        """SVG at a place, ``size`` pixels wide."""
        scale = size / self.side
        return (
            f'<g transform="translate({x:.2f} {y:.2f}) scale({scale:.4f})" color="{colour}">{self.shapes}</g>'
        )


class Drawn(NamedTuple):
    """What came for an entry: the drawings, those that pass first and the likeliest among them; or why there are none."""

    trials: tuple[Trial, ...] = ()
    why: str = ""

    @property
    def chosen(self) -> Trial | None:
        """The one to use."""
        return self.trials[0] if self.trials and self.trials[0].passes else None

    @property
    def facts(self) -> JsonObject:
        """For the record: which model drew it and what the check found, or why none did."""
        if (trial := self.chosen) is None:
            return {"drawn_by": "", "why": self.why}
        return {
            "drawn_by": trial.model,
            "tries": len(self.trials),
            **trial.sketch.facts,
            "named_before_it": trial.place,
            "least_likeness": round(trial.floor, 3),
        }


class House:
    """The models that draw, and their check, on the weights that a bench holds."""

    def __init__(self, bench: Bench) -> None:
        self._engines: list[tuple[VariationsEngine, Artist, type[VariationParams]]] = [
            (engine, engine.artist(engine.card.models[0], bench), params)
            for engine, params in ((Pictogram(), PictogramParams), (DrawingEngine(), DrawingParams))
        ]

    def draw(self, words: str, designed: str, seed: int, check: Callable[[], None]) -> Drawn:
        """Drawings of the words, by the models that know them all, held to a designed icon: SVG elements on a square of 32 units."""
        trials, standard = list[Trial](), inked(designed)
        seeds = [(seed, number) for number in range(TRIES)]
        for engine, artist, kind in self._engines:
            check()
            params = kind(prompt=words)
            if isinstance(params, DrawingParams):
                params = params.model_copy(update={"stroke": STROKE})
            wanted = _known(engine, artist, params)
            if wanted is None:
                continue
            floor = NEARLY * float(artist.likeness.of(standard[None], wanted.words)[0])
            for each in engine.sketched(artist, wanted, params, seeds, check):
                shapes = engine.shapes(each.form, wanted, params)
                place = artist.likeness.place(each.ink, wanted.words)
                trials.append(Trial(each, engine.card.models[0], shapes, engine.side, place, floor))
        if not trials:
            return Drawn(why=f"no house model knows what '{words}' is")
        trials.sort(key=lambda trial: (not trial.passes, -trial.sketch.likeness))
        return Drawn(tuple(trials), "" if trials[0].passes else "no drawing passed the check")


def _known(engine: VariationsEngine, artist: Artist, params: VariationParams) -> Wanted | None:
    """What is wanted, where the model knows all words of it."""
    try:
        wanted = engine.wanted(artist.model, params)
    except InvalidValue:
        return None
    return None if wanted.unknown else wanted
