"""The table of a card: what the model reached, between a floor that nothing can beat and what is cheap to reach."""

import math
from collections.abc import Iterator

from pydantic import Field

from bottega.core.value import Value

FLOOR, TRIVIAL, CLASSICAL, MODEL = "real against real", "trivial", "classical", "model"


class Row(Value, frozen=True):
    """One thing measured. ``what`` says what exactly stands behind the kind; a measure that it lacks is left out.

    ``spread`` is half the range between seeds, where there were several.
    """

    kind: str
    what: str
    values: dict[str, float]
    spread: dict[str, float] = Field(default_factory=dict)

    def cell(self, name: str) -> str:
        """The value of a measure, with its spread."""
        value = number(self.values.get(name, math.nan))
        return f"{value} ± {number(self.spread[name])}" if self.spread.get(name) else value


class Table(Value, frozen=True):
    """Rows in the order floor, trivial, classical, model. ``measures`` gives each column its meaning."""

    measures: dict[str, str]
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()

    def of(self, kind: str) -> dict[str, float]:
        """The values of the last row of a kind, which is the run's own."""
        return [row.values for row in self.rows if row.kind == kind][-1]

    def cells(self) -> Iterator[list[str]]:
        """Each row as text, its kind and what it is first."""
        for row in self.rows:
            yield [row.kind, row.what, *map(row.cell, self.measures)]

    def markdown(self) -> str:
        """A table, and under it what the columns mean."""
        head = ["row", "what", *self.measures]
        lines = [head, ["---"] * len(head), *self.cells()]
        drawn = "\n".join(f"| {' | '.join(line)} |" for line in lines)
        meanings = [f"- {name}: {meaning}" for name, meaning in self.measures.items()]
        return "\n".join([drawn, "", *meanings, *(f"- {note}" for note in self.notes)])


def number(value: float) -> str:
    """Three significant digits; a dash for what was not measured."""
    if math.isnan(value):
        return "–"
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"
