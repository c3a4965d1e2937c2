"""Charts from tables: exactly the table's values, through Vega-Lite, set like a printed figure."""

import asyncio
import re
from collections.abc import AsyncIterator, Sequence
from typing import Any, ClassVar, Literal

from pydantic import Field

from bottega.core.errors import EngineFailed
from bottega.core.request import Finished, Output, Progress, Request
from bottega.core.value import JsonObject
from bottega.engines.base import Bench, Card, Engine, Estimate, Params, Port, parts_at, require
from bottega.engines.chart_data import Table, as_number, read_table
from bottega.engines.chart_spec import Drawing, Mark, series_colours, specification
from bottega.engines.layout.art import Region
from bottega.engines.layout.colour import contrast, derive
from bottega.engines.layout.outlines import outline
from bottega.engines.layout.scene import Placed, Scene, rasterise
from bottega.engines.layout.typography import LABEL, TEXT, Face, Typesetter

# Years, dates, quarters, weeks, and the names of months and weekdays in five languages: never sorted by value.
TIME = re.compile(
    r"(19|20)\d\d\b|\d{1,2}[./-]\d|(q|t|w|kw|week|day|year|month|jour|tag|semaine|woche)\s?\d"
    r"|jan|feb|fév|mar|mär|apr|avr|abr|may|mai|mag|jun|jui|giu|jul|lug|aug|aoû|ago|sep|set|oct|okt|ott|nov|dec|déc|dez|dic"
    r"|ene|gen|mon|tue|wed|thu|fri|sat|sun|lun|mer|jeu|ven|sam|dim|mit|don|fre|die|sonn|mié|jue|vie|sáb|dom"
)
HEADLINE = Face("Inter", 700, "Inter-Bold.ttf", leading=1.18, tracking=-0.012)


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


class Chart(Engine):
    """Draws the table's own values and says in the details which."""

    card: ClassVar[Card] = Card(
        id="chart",
        version="1",
        summary="Bar, line, point and area charts from a table, with a stated encoding",
        modality="image",
        inputs=(Port(name="table", media_types=("text/csv", "application/json")),),
        outputs=(
            Port(name="svg", media_types=("image/svg+xml",)),
            Port(name="png", media_types=("image/png",)),
        ),
        licence="Apache-2.0",
        extra="chart",
        models=("inter-fonts",),
        not_covered="does not aggregate: one row is one mark; use the table engine first",
    )
    params: ClassVar[type[Params]] = ChartParams

    async def generate(self, request: Request, bench: Bench) -> AsyncIterator[Output]:
        """Yield the SVG and its rendering at twice the size."""
        params = ChartParams.model_validate(request.params)
        parts = parts_at(request, "table")
        if not parts:
            raise EngineFailed("there is no table", where="table", remedy="connect a CSV or rows JSON file")
        media_type = parts[0].artifact.media_type if parts[0].artifact else "text/csv"
        table = read_table(bench.text(parts[0]), media_type)
        bench.check_cancelled()
        svg, details = await asyncio.to_thread(_draw, params, table, request.seed or 0, bench)
        yield Progress(fraction=0.7, note="drawn")
        bench.check_cancelled()
        png = await asyncio.to_thread(rasterise, svg, 2 * details["width"], 2 * details["height"])
        yield Finished(port="svg", media_type="image/svg+xml", data=svg.encode(), details=details)
        doubled = [{**text, "box": [2 * edge for edge in text["box"]]} for text in details["texts"]]
        twice = {"width": 2 * details["width"], "height": 2 * details["height"], "texts": doubled}
        yield Finished(port="png", media_type="image/png", data=png, details={**details, **twice})

    def estimate(self, params: Params, input_bytes: int) -> Estimate:
        """Three seconds, most of them to start the JavaScript engine."""
        return Estimate(seconds=3.0)


def _draw(params: ChartParams, table: Table, seed: int, bench: Bench) -> tuple[str, JsonObject]:
    converter: Any = require("vl_convert", extra="chart")
    fonts = bench.weights("inter-fonts")
    palette = derive(params.palette, seed)
    rows, series = _rows(params, table)
    order = _order(params, rows)
    longest = max(len(name) for name in order)
    horizontal = params.mark == "bar" and (
        params.orientation == "horizontal"
        or (params.orientation == "auto" and (longest > 14 or len(order) > 8))
    )
    names = {name: name if horizontal else _wrapped(name) for name in order}
    for row in rows:
        if isinstance(row["x"], str):
            row["x"] = names[row["x"]]
    setter = Typesetter({"inter-fonts": fonts})
    margin, width = 56, params.width
    scene = Scene(width, 4096)
    top = _head(scene, setter, params, palette, series, margin)
    foot = 66 if params.source else 44
    bars = len(order) * max(len(series), 1)
    natural = max(260, bars * (46 if len(series) > 1 else 64) + 20) if horizontal else round(width * 0.44)
    height = params.height or min(2400, top + natural + foot)
    if height - top - foot < 120:
        raise EngineFailed(
            "the chart is too low for its title and data", where="height", remedy="set height to 0"
        )
    drawing = Drawing(
        mark=params.mark, rows=rows, order=[names[name] for name in order], series=series, horizontal=horizontal,
        numeric_x=bool(rows) and isinstance(rows[0]["x"], float), x_title=params.x, y_title=_with_unit(params),
        highlight=names.get(params.highlight, ""), width=width - 2 * margin, height=height - top - foot,
    )  # fmt: skip
    converter.register_font_directory(str(fonts))
    plot: str = converter.vegalite_to_svg(
        specification(drawing, palette), vl_version="5.21", allowed_base_urls=[]
    )
    plot = outline(plot, "Inter", (fonts,))
    plot = re.sub(r"<svg ", f'<svg x="{margin}" y="{top}" overflow="visible" ', plot, count=1)
    scene.height = height
    scene.ground.insert(0, scene_ground(width, height, palette.paper))
    scene.ground.append(plot)
    if params.source:
        block = setter.fit(
            params.source,
            TEXT,
            size=15,
            floor=10,
            width=width - 2 * margin,
            height=30,
            lines=1,
            name="source",
        )
        scene.texts.append(Placed("source", block, margin, height - 42, palette.muted))
    texts = scene.described()
    for text in texts:
        text |= {"ground": palette.paper, "contrast": round(contrast(text["colour"], palette.paper), 2)}
    svg = scene.svg(
        scene.text_layer((fonts,)), params.title or f"{params.y[0]} by {params.x}", params.subtitle
    )
    shown = [{"x": row["name"], "series": row["series"], "y": row["y"]} for row in rows]
    return svg, {
        "width": width,
        "height": height,
        "mark": params.mark,
        "data": shown,
        "unit": params.unit,
        "texts": texts,
    }


def scene_ground(width: int, height: int, paper: str) -> str:
    """The paper."""
    return Region(0, 0, width, height).fill(paper)


def _head(
    scene: Scene, setter: Typesetter, params: ChartParams, palette: Any, series: Sequence[str], margin: int
) -> int:
    """Set title, subtitle and the key of the series; returns where the plot starts."""
    top, room = float(margin - 6), scene.width - 2 * margin
    for role, text, face, size, colour, lines in (
        ("title", params.title, HEADLINE, 34.0, palette.ink, 3),
        ("subtitle", params.subtitle, TEXT, 19.0, palette.muted, 3),
    ):
        if text.strip():
            block = setter.fit(
                text, face, size=size, floor=size * 0.6, width=room, height=200, lines=lines, name=role
            )
            scene.texts.append(Placed(role, block, margin, top, colour))
            top += block.height + (12 if role == "title" else 8)
    if len(series) > 1:
        top += 14
        x = float(margin)
        for name, colour in zip(series, series_colours(palette, len(series), palette.paper), strict=True):
            block = setter.fit(
                name, LABEL, size=17, floor=11, width=room / 2, height=40, lines=1, name="series"
            )
            if x + block.width + 26 > scene.width - margin:
                x, top = float(margin), top + 30
            scene.ground.append(
                f'<rect x="{x:.1f}" y="{top + 1:.1f}" width="16" height="16" rx="4" fill="{colour}"/>'
            )
            scene.texts.append(Placed("series", block, x + 25, top, palette.ink))
            x += block.width + 25 + 32
        top += 22
    return round(top + 26)


def _rows(params: ChartParams, table: Table) -> tuple[list[JsonObject], list[str]]:
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


def _order(params: ChartParams, rows: Sequence[JsonObject]) -> list[str]:
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


def _with_unit(params: ChartParams) -> str:
    return f"{params.y[0]} ({params.unit})" if params.unit else params.y[0]


def _wrapped(name: str) -> str:
    """Break a category at spaces into lines of about 12 characters."""
    lines = [""]
    for word in name.split():
        if lines[-1] and len(lines[-1]) + 1 + len(word) > 12:
            lines.append(word)
        else:
            lines[-1] = f"{lines[-1]} {word}".strip()
    return "\n".join(lines)
