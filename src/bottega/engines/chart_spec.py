"""The Vega-Lite specification of a chart: light grid, direct labels, sensible order."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from bottega.engines.layout.colour import Palette, mix, readable

Mark = Literal["bar", "line", "point", "area"]


@dataclass(frozen=True)
class Drawing:
    """What is drawn: rows with ``x``, ``y``, ``series`` and ``label``, in order."""

    mark: Mark
    rows: Sequence[Mapping[str, Any]]
    order: Sequence[str]
    series: Sequence[str]
    horizontal: bool
    numeric_x: bool
    x_title: str
    y_title: str
    highlight: str = ""
    width: int = 960
    height: int = 420

    @property
    def places(self) -> list[float]:
        """The numeric positions on the x axis."""
        return [float(row["x"]) for row in self.rows] if self.numeric_x else []


def specification(drawing: Drawing, palette: Palette) -> dict[str, Any]:
    """Vega-Lite 5 that fills ``width`` by ``height`` pixels exactly."""
    colours = series_colours(palette, len(drawing.series), on=palette.paper)
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
        "width": drawing.width,
        "height": drawing.height,
        "autosize": {"type": "fit", "contains": "padding"},
        "padding": 2,
        "background": "transparent",
        "data": {"values": [dict(row) for row in drawing.rows]},
        "layer": _bars(drawing, palette, colours)
        if drawing.mark == "bar"
        else _curves(drawing, palette, colours),
        "config": _theme(palette),
    }


def series_colours(palette: Palette, count: int, on: str) -> list[str]:
    """One colour a series, each at least 2:1 against the ground."""
    base = (
        palette.primary,
        palette.accent,
        mix(palette.primary, palette.second, 0.5),
        palette.second,
        palette.muted,
    )
    return [readable(base[index % len(base)], on, 2.0) for index in range(max(count, 1))]


def _colour(drawing: Drawing, colours: Sequence[str]) -> dict[str, Any]:
    return {
        "field": "series",
        "type": "nominal",
        "scale": {"domain": list(drawing.series), "range": list(colours)},
        "legend": None,
    }


def _bars(d: Drawing, p: Palette, colours: Sequence[str]) -> list[dict[str, Any]]:
    many = len(d.series) > 1
    ordinal: dict[str, Any] = {
        "field": "x",
        "type": "ordinal",
        "sort": list(d.order),
        "axis": {"title": None, "domain": not d.horizontal, "ticks": False, "labelAngle": 0, "labelPadding": 12,
                 "labelLimit": 0, "labelExpr": "split(datum.label, '\\n')", "labelFontSize": 18, "labelColor": p.ink},
        "scale": {"paddingInner": 0.28 if many else 0.42, "paddingOuter": 0.12},
    }  # fmt: skip
    low = min(0.0, *(float(row["y"]) for row in d.rows))
    high = max(0.0, *(float(row["y"]) for row in d.rows))
    room = (high - low or 1.0) * 0.1
    quantity: dict[str, Any] = {
        "field": "y",
        "type": "quantitative",
        "scale": {"domain": [low - (room if low < 0 else 0), high + room], "nice": False},
        "axis": None,
    }
    if many:
        tint: dict[str, Any] = _colour(d, colours)
    elif d.highlight:
        tint = {"condition": {"test": {"field": "x", "equal": d.highlight}, "value": colours[0]},
                "value": mix(p.muted, p.paper, 0.62)}  # fmt: skip
    else:
        tint = {"value": colours[0]}
    along, across = ("y", "x") if d.horizontal else ("x", "y")
    shared: dict[str, Any] = {along: ordinal, across: quantity}
    if many:
        shared[f"{along}Offset"] = {"field": "series", "sort": list(d.series)}
    text: dict[str, Any] = {"type": "text", "fontWeight": 600, "fontSize": 18, "fill": p.ink}
    text |= (
        {
            "align": {"expr": "datum.y < 0 ? 'right' : 'left'"},
            "dx": {"expr": "datum.y < 0 ? -8 : 8"},
            "baseline": "middle",
        }
        if d.horizontal
        else {"baseline": {"expr": "datum.y < 0 ? 'top' : 'bottom'"}, "dy": {"expr": "datum.y < 0 ? 8 : -8"}}
    )
    return [
        {"mark": {"type": "bar", "cornerRadiusEnd": 5}, "encoding": shared | {"color": tint}},
        {"mark": text, "encoding": shared | {"text": {"field": "label"}}},
    ]


def _curves(d: Drawing, p: Palette, colours: Sequence[str]) -> list[dict[str, Any]]:
    if d.numeric_x:
        across: dict[str, Any] = {
            "field": "x",
            "type": "quantitative",
            "scale": {"zero": False, "nice": True},
        }
    else:
        across = {
            "field": "x",
            "type": "ordinal",
            "sort": list(d.order),
            "scale": {"padding": 0.25, "type": "point"},
        }
    across["axis"] = {"title": d.x_title if d.mark == "point" else None, "labelAngle": 0, "grid": False, "tickCount": 8,
                      "labelLimit": 0, "labelOverlap": "greedy", "labelFlush": False, "labelPadding": 10,
                      "labelExpr": "split(datum.label, '\\n')"}  # fmt: skip
    values = [float(row["y"]) for row in d.rows]
    steep = d.mark == "area" or (min(values) >= 0 and min(values) < 0.5 * max(values))
    up: dict[str, Any] = {
        "field": "y",
        "type": "quantitative",
        "scale": {"zero": steep, "nice": True},
        "axis": {"title": d.y_title if d.mark == "point" else None, "tickCount": 5, "domain": False, "ticks": False,
                 "labelPadding": 12},
    }  # fmt: skip
    shared = {"x": across, "y": up, "color": _colour(d, colours)}
    last: dict[str, Any] = {
        "transform": [{"filter": "datum.last"}],
        "mark": {"type": "text", "align": "left", "dx": 14, "baseline": "middle", "fontWeight": 600, "fontSize": 18},
        "encoding": {"x": across, "y": up, "text": {"field": "label"},
                     "color": {"value": p.ink}},
    }  # fmt: skip
    if d.mark == "point":
        # Names stand on the side of the point where there is room.
        middle = (min(d.places) + max(d.places)) / 2 if d.places else 0.0
        named = {"type": "text", "align": {"expr": f"datum.x > {middle} ? 'right' : 'left'"}, "baseline": "middle",
                 "dx": {"expr": f"datum.x > {middle} ? -13 : 13"}, "fontSize": 16, "fontWeight": 500}  # fmt: skip
        return [
            {"mark": {"type": "circle", "size": 260, "opacity": 0.92}, "encoding": shared},
            {
                "mark": named,
                "encoding": {"x": across, "y": up, "text": {"field": "label"}, "color": {"value": p.ink}},
            },
        ]
    line: dict[str, Any] = {"mark": {"type": "line", "strokeWidth": 4, "interpolate": "monotone", "strokeCap": "round",
                                     "strokeJoin": "round"}, "encoding": shared}  # fmt: skip
    dots: dict[str, Any] = {"mark": {"type": "circle", "size": 110, "opacity": 1}, "encoding": shared}
    if d.mark == "line":
        return [line, dots, last]
    flat = shared | {"y": up | {"stack": None}}
    wash: dict[str, Any] = {
        "mark": {"type": "area", "opacity": 0.2, "interpolate": "monotone"},
        "encoding": flat,
    }
    return [wash, line, last]


def _theme(p: Palette) -> dict[str, Any]:
    axis = {
        "labelFont": "Inter", "titleFont": "Inter", "labelFontSize": 17, "titleFontSize": 16, "titleFontWeight": 500,
        "labelColor": p.muted, "titleColor": p.muted, "gridColor": mix(p.ink, p.paper, 0.88), "gridWidth": 1.2,
        "domainColor": mix(p.ink, p.paper, 0.6), "domainWidth": 1.4, "tickColor": mix(p.ink, p.paper, 0.6), "titlePadding": 14,
    }  # fmt: skip
    return {"view": {"stroke": None}, "axis": axis, "text": {"font": "Inter"}, "font": "Inter"}
