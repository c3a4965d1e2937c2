"""What a drawing is made of: shapes on a square of 24 by 24 units, and how they are written as SVG."""

from dataclasses import dataclass
from typing import Literal
from xml.sax.saxutils import escape

SIDE = 24
"""Units of a drawing's side."""

Point = tuple[float, float]
Mode = Literal["stroke", "fill"]


@dataclass(frozen=True)
class Line:
    """A straight line to ``end``."""

    end: Point


@dataclass(frozen=True)
class Curve:
    """A cubic Bezier curve to ``end``."""

    first: Point
    second: Point
    end: Point


@dataclass(frozen=True)
class Arc:
    """An arc of a circle to ``end``, as SVG means it: ``large`` is the longer way round, ``sweep`` clockwise."""

    radius: float
    large: bool
    sweep: bool
    end: Point


Segment = Line | Curve | Arc


@dataclass(frozen=True)
class Path:
    """Segments from ``start`` on; ``closed`` goes back there."""

    start: Point
    segments: tuple[Segment, ...]
    closed: bool = False


@dataclass(frozen=True)
class Circle:
    """A whole circle."""

    centre: Point
    radius: float


@dataclass(frozen=True)
class Rectangle:
    """Two opposite corners, and how round the corners are."""

    near: Point
    far: Point
    radius: float


Shape = Path | Circle | Rectangle


@dataclass(frozen=True)
class Element:
    """A stroke along one shape, or a filled area whose shapes cut holes into each other (even-odd)."""

    mode: Mode
    shapes: tuple[Shape, ...]


Drawing = tuple[Element, ...]


def svg(drawing: Drawing, *, title: str = "", told: str = "", width: float = 2.0) -> str:
    """The drawing as an SVG document that takes the colour of the text around it.

    There is nothing in it but a title and the shapes: no script, no style, no reference to anything outside.

    Args:
        drawing: shapes on the square of 24 units.
        title: what is read out in place of the picture.
        told: where it comes from.
        width: of the strokes, in units.
    """
    name = f"<title>{_text(title)}</title>" if title else ""
    name += f"<desc>{_text(told)}</desc>" if told else ""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{SIDE}" height="{SIDE}" viewBox="0 0 {SIDE} {SIDE}">'
        f"{name}{elements(drawing, width=width)}</svg>\n"
    )


def elements(drawing: Drawing, *, width: float = 2.0) -> str:
    """The shapes alone, in ``currentColor``; strokes are ``width`` units wide."""
    parts = "".join(_element(element) for element in drawing)
    strokes = f'stroke="currentColor" stroke-width="{_number(width)}" stroke-linecap="round" stroke-linejoin="round"'
    return f'<g fill="none" {strokes}>{parts}</g>'


def _text(text: str) -> str:
    """Escaped, without what XML cannot hold."""
    return escape("".join(sign for sign in text if sign.isprintable()))


def _element(element: Element) -> str:
    if element.mode == "stroke":
        return "".join(_stroke(shape) for shape in element.shapes)
    d = "".join(path_data(shape) for shape in element.shapes)
    return f'<path fill="currentColor" fill-rule="evenodd" stroke="none" d="{d}"/>'


def _stroke(shape: Shape) -> str:
    match shape:
        case Circle((x, y), radius):
            return f'<circle cx="{_number(x)}" cy="{_number(y)}" r="{_number(radius)}"/>'
        case Rectangle((x, y), (right, bottom), radius):
            size = f'width="{_number(right - x)}" height="{_number(bottom - y)}"'
            rounded = f' rx="{_number(radius)}"' if radius else ""
            return f'<rect x="{_number(x)}" y="{_number(y)}" {size}{rounded}/>'
        case Path():
            return f'<path d="{path_data(shape)}"/>'


def path_data(shape: Shape) -> str:
    """A shape as the ``d`` of an SVG path, in absolute commands."""
    match shape:
        case Circle((x, y), r):
            n = _number
            return f"M{n(x - r)} {n(y)}A{n(r)} {n(r)} 0 1 0 {n(x + r)} {n(y)}A{n(r)} {n(r)} 0 1 0 {n(x - r)} {n(y)}Z"
        case Rectangle():
            return path_data(outline(shape))
        case Path():
            here, parts = shape.start, [f"M{_point(shape.start)}"]
            for segment in shape.segments:
                parts.append(_segment(segment, here))
                here = segment.end
            return "".join(parts) + ("Z" if shape.closed else "")


def outline(box: Rectangle) -> Path:
    """A rectangle as a path, clockwise from the left end of its upper edge."""
    (x, y), (right, bottom) = box.near, box.far
    r = min(box.radius, (right - x) / 2, (bottom - y) / 2)
    if r <= 0:
        return Path((x, y), (Line((right, y)), Line((right, bottom)), Line((x, bottom))), closed=True)
    return Path(
        (x + r, y),
        (
            Line((right - r, y)),
            Arc(r, False, True, (right, y + r)),
            Line((right, bottom - r)),
            Arc(r, False, True, (right - r, bottom)),
            Line((x + r, bottom)),
            Arc(r, False, True, (x, bottom - r)),
            Line((x, y + r)),
            Arc(r, False, True, (x + r, y)),
        ),
        closed=True,
    )


def _segment(segment: Segment, here: Point) -> str:
    match segment:
        case Line(end):
            if end == here:  # a dot: some viewers draw no cap on a line without length
                return "h.01"
            return f"L{_point(end)}"
        case Curve(first, second, end):
            return f"C{_point(first)} {_point(second)} {_point(end)}"
        case Arc(radius, large, sweep, end):
            return f"A{_number(radius)} {_number(radius)} 0 {large:d} {sweep:d} {_point(end)}"


def _point(point: Point) -> str:
    return f"{_number(point[0])} {_number(point[1])}"


def _number(value: float) -> str:
    return f"{value:.3f}".rstrip("0").rstrip(".")
