"""Charts from tables: exactly the table's values, through Vega-Lite, set like a printed figure."""

import asyncio
import re
from collections.abc import AsyncIterator, Sequence
from typing import Any, ClassVar

from bottega.core.errors import EngineFailed
from bottega.core.request import Finished, Output, Progress, Request
from bottega.core.value import JsonObject
from bottega.engines.base import Bench, Card, Engine, Estimate, Params, Port, parts_at, require
from bottega.engines.chart_data import Table, read_table
from bottega.engines.chart_encoding import ChartParams, long_rows, ordered, with_unit, wrapped
from bottega.engines.chart_spec import Drawing, series_colours, specification
from bottega.engines.layout.art import Region
from bottega.engines.layout.colour import contrast, derive
from bottega.engines.layout.outlines import outline
from bottega.engines.layout.scene import Placed, Scene, rasterise
from bottega.engines.layout.typography import LABEL, TEXT, Face, Typesetter

HEADLINE = Face("Inter", 700, "Inter-Bold.ttf", leading=1.18, tracking=-0.012)


class Chart(Engine):
    """Draws the table's own values and says in the details which."""

    card: ClassVar[Card] = Card(
        id="chart",
        version="2",
        summary="Bar, line, point and area charts from a table, with a stated encoding",
        modality="image",
        inputs=(Port(name="table", media_types=("text/csv", "application/json")),),
        outputs=(
            Port(name="svg", media_types=("image/svg+xml",)),
            Port(name="png", media_types=("image/png",)),
        ),
        reads_names=False,
        licence="Apache-2.0",
        extra="chart",
        isolation="process",
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
    rows, series = long_rows(params, table)
    order = ordered(params, rows)
    longest = max(len(name) for name in order)
    horizontal = params.mark == "bar" and (
        params.orientation == "horizontal"
        or (params.orientation == "auto" and (longest > 14 or len(order) > 8))
    )
    names = {name: name if horizontal else wrapped(name) for name in order}
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
        numeric_x=bool(rows) and isinstance(rows[0]["x"], float), x_title=params.x, y_title=with_unit(params),
        highlight=names.get(params.highlight, ""), width=width - 2 * margin, height=height - top - foot,
    )  # fmt: skip
    converter.register_font_directory(str(fonts))
    plot: str = converter.vegalite_to_svg(
        specification(drawing, palette), vl_version="5.21", allowed_base_urls=[]
    )
    plot = outline(renumbered(plot), "Inter", (fonts,))
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


def renumbered(svg: str) -> str:
    """The SVG with its ids numbered from 1: the drawing library counts on from chart to chart."""
    names = dict.fromkeys(re.findall(r'\bid="([^"]+)"', svg))
    own = {name: f"d{number}" for number, name in enumerate(names, start=1)}
    svg = re.sub(r'\bid="([^"]+)"', lambda found: f'id="{own[found[1]]}"', svg)
    return re.sub(r'(url\(#|href="#)([^)"]+)', lambda found: found[1] + own.get(found[2], found[2]), svg)


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
