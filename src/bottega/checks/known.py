"""Every number that the sources, the computed tables and the brief hold, to compare others with."""

import csv
import io
import json
import re
from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import Any, cast

from bottega.checks.quantities import Quantity, mentioned, quantities
from bottega.core.passage import Passage


class Known:
    """Every number of the sources, the computed tables and the brief."""

    def __init__(self, passages: Sequence[Passage], others: Sequence[str] = ()) -> None:
        """``others`` are texts that count too: what tools computed, what was asked."""
        self._by_dimension: dict[str, dict[Fraction, str]] = {}
        self._bare: dict[Fraction, set[str]] = {}  # value without unit to the dimensions its document names
        texts: dict[str, list[str]] = {}
        for passage in passages:
            texts.setdefault(passage.source, [passage.source]).extend([passage.heading, passage.text])
        for index, text in enumerate(others):
            texts[f"computed {index}"] = [text]
        self._text = "\n".join(part for parts in texts.values() for part in parts).casefold()
        for parts in texts.values():
            whole = "\n".join(parts)
            dimensions = mentioned(whole)
            for text in (cell for part in parts for cell in _cells(part)):
                for quantity in quantities(text):
                    self._add(quantity, dimensions)

    def _add(self, quantity: Quantity, dimensions: set[str]) -> None:
        seen = self._by_dimension.setdefault(quantity.dimension, {})
        for value in quantity.values:
            seen.setdefault(value, quantity.written)
            if quantity.dimension == "date":
                year, month = int(value) // 10000, int(value) // 100 % 100
                self._bare.setdefault(Fraction(year), set())
                seen.setdefault(Fraction(year * 10000 + month * 100), quantity.written)
                seen.setdefault(Fraction(int(value) % 10000), quantity.written)
            else:
                for bare in _bare_values(quantity):
                    self._bare.setdefault(bare, set()).update(dimensions if not quantity.dimension else ())

    def supports(self, quantity: Quantity) -> bool:
        """Whether some reading of it is known with this unit; without a unit, whether the value is known at all."""
        if quantity.dimension == "code":
            return quantity.written.casefold() in self._text
        if not quantity.dimension:
            return any(value in self._bare for value in quantity.values)
        if any(value in self._by_dimension.get(quantity.dimension, {}) for value in quantity.values):
            return True
        return any(quantity.dimension in self._bare.get(value, ()) for value in _bare_values(quantity))

    def nearest(self, quantity: Quantity) -> str:
        """The closest known number of the same kind, as the source writes it; "" when there is none."""
        if not quantity.values:
            return ""
        value = min(quantity.values)
        same = self._by_dimension.get(quantity.dimension, {})
        return same[min(same, key=lambda known: abs(known - value))] if same else ""


def _bare_values(quantity: Quantity) -> set[Fraction]:
    """The figure as written, whatever its unit."""
    figure = re.sub(r"[^\d.,\u00a0\u202f' ’]", " ", quantity.written).strip(" .,'’\u00a0\u202f")
    return {value for bare in quantities(figure) for value in bare.values} or set(quantity.values)


def _cells(text: str) -> Iterator[str]:
    """Values one by one, so that a comma between two cells is not read as part of a number."""
    stripped = text.strip()
    if stripped[:1] in "[{" and stripped[-1:] in "]}":
        try:
            yield from _scalars(json.loads(stripped))
            return
        except ValueError:
            pass
    lines = stripped.splitlines()
    if len(lines) > 1 and all(
        line.count(",") == lines[0].count(",") > 0 and ", " not in line for line in lines
    ):
        for row in csv.reader(io.StringIO(stripped)):
            yield from row
        return
    yield text


def _scalars(value: Any) -> Iterator[str]:
    match value:
        case dict():
            for key, item in cast(dict[str, Any], value).items():
                yield key
                yield from _scalars(item)
        case list():
            for item in cast(list[Any], value):
                yield from _scalars(item)
        case _:
            yield value if isinstance(value, str) else json.dumps(value)
