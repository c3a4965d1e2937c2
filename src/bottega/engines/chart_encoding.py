"""The encoding of a chart, stated in parameters, applied to a table."""

import re
from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from bottega.core.errors import EngineFailed
from bottega.core.value import JsonObject
from bottega.engines.base import Params
from bottega.engines.chart_data import Table, as_number
from bottega.engines.chart_spec import Mark

# Years, dates, quarters, weeks, and the names of months and weekdays in five languages: never sorted by value.
TIME = re.compile(
    r"(19|20)\d\d\b|\d{1,2}[./-]\d|(q|t|w|kw|week|day|year|month|jour|tag|semaine|woche)\s?\d"
    r"|jan|feb|fév|mar|mär|apr|avr|abr|may|mai|mag|jun|jui|giu|jul|lug|aug|aoû|ago|sep|set|oct|okt|ott|nov|dec|déc|dez|dic"
    r"|ene|gen|mon|tue|wed|thu|fri|sat|sun|lun|mer|jeu|ven|sam|dim|mit|don|fre|die|sonn|mié|jue|vie|sáb|dom"
)


class ChartParams(Params, frozen=True):
    """The encoding. Columns are named as in the table."""

    mark: Mark = Field(default="bar", description="how values are shown")
    x: str = Field(min_length=1, description="column of categories, times or, for points, numbers")
    y: tuple[str, ...] = Field(min_length=1, max_length=5, description="one or more numeric columns")
    color: str = Field(
        default="", description="column that parts the rows into series; only with one y column"
    )
    label: str = Field(default="", description="points: column that names them")
    sort: Literal["auto", "ascending", "descending", "none"] = Field(
        default="auto",
        description="order of bars by value; auto: descending for categories, the table's order for times",
    )
    orientation: Literal["auto", "horizontal", "vertical"] = Field(
        default="auto", description="bars lie or stand"
    )
    highlight: str = Field(default="", description="the category to stress; the others turn grey")
    title: str = Field(default="", max_length=160, description="what the chart says")
    subtitle: str = Field(default="", max_length=240, description="what is measured, and the unit")
    source: str = Field(default="", max_length=200, description="where the numbers come from")
    unit: str = Field(default="", max_length=16, description="written after each value")
    palette: tuple[str, ...] = Field(
        default=(), max_length=5, description="brand colours, #rrggbb, dominant first"
    )
    width: int = Field(
        default=1120, ge=480, le=2400, description="pixels of the SVG; the PNG has twice as many"
    )
    height: int = Field(default=0, ge=0, le=2400, description="pixels; 0 takes what the data need")


def long_rows(params: ChartParams, table: Table) -> tuple[list[JsonObject], list[str]]:
    """Long rows of x, y, series, label; and the series in order."""
    xs = table.column(params.x, "x")
    if params.color and len(params.y) > 1:
        raise EngineFailed("give `color` or several columns in `y`, not both", where="color")
    kinds = table.column(params.color, "color") if params.color else []
    labels = table.column(params.label, "label") if params.label else []
    if params.mark == "point":
        table.numbers(params.x, "x")
    numeric = (
        params.mark != "bar"
        and all(as_number(x) is not None for x in xs)
        and not all(_is_year(x) for x in xs)
    )
    rows: list[JsonObject] = []
    for name in params.y:
        written = table.column(name, "y")
        for index, number in enumerate(table.numbers(name, "y")):
            value = f"{written[index].strip()}{_unit(params.unit)}"
            rows.append(
                {
                    "x": as_number(xs[index]) if numeric else xs[index],
                    "name": xs[index],
                    "y": number,
                    "series": kinds[index] if kinds else name,
                    "label": (labels[index] if labels else "") if params.mark == "point" else value,
                }
            )
    series = list(dict.fromkeys(str(row["series"]) for row in rows))
    for one in series:
        [row for row in rows if row["series"] == one][-1]["last"] = True
    return rows, series


def ordered(params: ChartParams, rows: Sequence[JsonObject]) -> list[str]:
    """The categories in the order they are drawn.

    Raises:
        EngineFailed: when the category to stress does not exist.
    """
    names = list(dict.fromkeys(str(row["x"]) for row in rows))
    if params.highlight and params.highlight not in names:
        raise EngineFailed(
            f"'{params.highlight}' is not in column '{params.x}'", where="highlight", remedy=", ".join(names)
        )
    times = all(TIME.match(name.casefold()) for name in names)
    if params.mark != "bar" or params.sort == "none" or (params.sort == "auto" and times):
        return names
    first = {name: next(float(row["y"]) for row in rows if str(row["x"]) == name) for name in names}
    return sorted(names, key=lambda name: first[name], reverse=params.sort != "ascending")


def _is_year(cell: str) -> bool:
    return cell.isdigit() and len(cell) == 4


def _unit(unit: str) -> str:
    return unit if unit in ("%", "°") else f"\u00a0{unit}" if unit else ""


def with_unit(params: ChartParams) -> str:
    """The first y column and its unit."""
    return f"{params.y[0]} ({params.unit})" if params.unit else params.y[0]


def wrapped(name: str) -> str:
    """Break a category at spaces into lines of about 12 characters."""
    lines = [""]
    for word in name.split():
        if lines[-1] and len(lines[-1]) + 1 + len(word) > 12:
            lines.append(word)
        else:
            lines[-1] = f"{lines[-1]} {word}".strip()
    return "\n".join(lines)
