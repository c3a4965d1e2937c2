"""Rows of the table engine as a Markdown table: readable column titles, numbers as the language writes them."""

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from bottega.engines.compose_filters import markdown_cell, records

# Last word of a column name, and how the unit is written.
UNITS = {
    "eur": "EUR", "usd": "USD", "gbp": "GBP", "chf": "CHF", "kg": "kg", "g": "g", "l": "l", "ml": "ml", "w": "W",
    "kw": "kW", "wh": "Wh", "kwh": "kWh", "v": "V", "a": "A", "db": "dB", "mm": "mm", "cm": "cm", "m": "m",
    "km": "km", "kmh": "km/h", "s": "s", "min": "min", "h": "h", "days": "days", "months": "months",
    "years": "years", "hz": "Hz", "gb": "GB", "tb": "TB", "percent": "%", "pct": "%", "c": "°C", "nm": "Nm",
}  # fmt: skip


def title_of(column: str) -> str:
    """``boil_half_litre_s`` is ``Boil half litre (s)``; names that hold capitals or spaces stay as they are."""
    if column != column.lower() or " " in column:
        return column
    words = column.replace("-", "_").split("_")
    unit = UNITS.get(words[-1]) if len(words) > 1 else None
    text = " ".join(words[:-1] if unit else words)
    return f"{text[:1].upper()}{text[1:]}" + (f" ({unit})" if unit else "")


def table_filter(number: Callable[..., str]) -> Callable[..., str]:
    """The filter ``markdown_table(labels={}, columns=[])`` for one language."""

    def write(
        rows: Mapping[str, Any] | Sequence[Mapping[str, Any]],
        labels: Mapping[str, str] | None = None,
        columns: Sequence[str] = (),
    ) -> str:
        """A Markdown table of the rows document or of a list of mappings; numbers stand right."""
        items = records(rows) if isinstance(rows, Mapping) else list(rows)
        names = list(columns) or (list(items[0]) if items else [])
        if not items or not names:
            raise ValueError("the table has no rows")
        numeric = {name for name in names if all(_is_number(item[name]) for item in items)}
        head = [markdown_cell((labels or {}).get(name) or title_of(name)) for name in names]
        lines = [head, ["---:" if name in numeric else "---" for name in names]]
        lines += [
            [number(item[name]) if _is_number(item[name]) and item[name] is not None else markdown_cell(item[name])
             for name in names]
            for item in items
        ]  # fmt: skip
        return "\n".join(f"| {' | '.join(line)} |" for line in lines)

    return write


def _is_number(value: object) -> bool:
    return value is None or (isinstance(value, int | float | Decimal) and not isinstance(value, bool))
