"""SVG into shapes: what icon sets are written in, and nothing else. What is not covered is refused with its name."""

import math
import re
from collections.abc import Iterator
from typing import cast
from xml.etree import ElementTree

from bottega.core.errors import InvalidValue
from bottega.drawing.shapes import (
    SIDE,
    Arc,
    Circle,
    Curve,
    Drawing,
    Element,
    Line,
    Mode,
    Path,
    Point,
    Rectangle,
    Segment,
    Shape,
)

NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")
SPACE = re.compile(r"[\s,]*")
TAKES = {"M": 2, "L": 2, "H": 1, "V": 1, "C": 6, "S": 4, "Q": 4, "T": 2, "A": 7, "Z": 0}
PLAIN = {
    "fill",
    "stroke",
    "stroke-width",
    "stroke-linecap",
    "stroke-linejoin",
    "stroke-miterlimit",
    "fill-rule",
    "clip-rule",
}
SHAPES = {
    "path": {"d"},
    "circle": {"cx", "cy", "r"},
    "ellipse": {"cx", "cy", "rx", "ry"},
    "rect": {"x", "y", "width", "height", "rx", "ry"},
    "line": {"x1", "y1", "x2", "y2"},
    "polyline": {"points"},
    "polygon": {"points"},
    "g": set[str](),
}
QUARTER = 0.5522847498  # a quarter of a circle as a cubic curve


def read(body: str, side: float) -> tuple[Drawing, float]:
    """What stands inside an ``<svg>`` whose view box is ``side`` by ``side``, scaled to 24 units, and its stroke width.

    Covered: paths with all commands, circles, ellipses, rectangles, lines, polylines, polygons and groups, in one colour.

    Raises:
        InvalidValue: not XML, or it has something else in it (a transform, a mask, an opacity, a second colour ...).
    """
    if "<!" in body or "<?" in body:
        raise _refuse("a declaration")
    try:
        root = ElementTree.fromstring(f"<g>{body}</g>")
    except ElementTree.ParseError as error:
        raise InvalidValue(f"not XML: {error}", where="svg", remedy="give the inside of an SVG") from error
    widths: list[float] = []
    elements = tuple(_elements(root, {}, SIDE / side, widths))
    return elements, max(widths, default=0.0)


def _refuse(what: str) -> InvalidValue:
    return InvalidValue(f"{what} is not covered", where="svg", remedy="only plain shapes in one colour are")


def _elements(
    node: ElementTree.Element, given: dict[str, str], scale: float, widths: list[float]
) -> Iterator[Element]:
    tag = node.tag.rpartition("}")[2]
    if tag not in SHAPES:
        raise _refuse(f"<{tag}>")
    odd = [name for name in node.attrib if name not in PLAIN and name not in SHAPES[tag]]
    if odd:
        raise _refuse(f"the attribute '{odd[0]}'")
    style = {**given, **{name: value for name, value in node.attrib.items() if name in PLAIN}}
    if tag == "g":
        for child in node:
            yield from _elements(child, style, scale, widths)
        return
    if len(node):
        raise _refuse(f"an element inside <{tag}>")
    fill, stroke = style.get("fill", "currentColor"), style.get("stroke", "none")
    if {fill, stroke} - {"currentColor", "none"}:
        raise _refuse("a second colour")
    shapes = tuple(_shapes(tag, node.attrib, scale))
    if not shapes:
        return
    if fill != "none":
        yield Element("fill", shapes)
    if stroke != "none":
        width = _float(style.get("stroke-width", "1")) * scale
        widths.append(width)
        if fill == "none":
            yield from (Element(cast(Mode, "stroke"), (shape,)) for shape in shapes)


def _shapes(tag: str, attributes: dict[str, str], scale: float) -> Iterator[Shape]:
    def number(name: str, other: str = "0") -> float:
        return _float(attributes.get(name, other)) * scale

    if tag == "path":
        yield from subpaths(attributes.get("d", ""), scale)
    elif tag == "circle":
        yield Circle((number("cx"), number("cy")), number("r"))
    elif tag == "ellipse":
        yield _ellipse(number("cx"), number("cy"), number("rx"), number("ry"))
    elif tag == "rect":
        x, y = number("x"), number("y")
        radius = max(number("rx", attributes.get("ry", "0")), number("ry", attributes.get("rx", "0")))
        wide, high = number("width"), number("height")
        yield Rectangle((x, y), (x + wide, y + high), min(radius, wide / 2, high / 2))
    elif tag == "line":
        yield Path((number("x1"), number("y1")), (Line((number("x2"), number("y2"))),))
    else:
        values = [float(text) * scale for text in NUMBER.findall(attributes.get("points", ""))]
        points = list(zip(values[::2], values[1::2], strict=False))
        if len(points) > 1:
            yield Path(points[0], tuple(Line(point) for point in points[1:]), closed=tag == "polygon")


def _float(text: str) -> float:
    try:
        return float(text.removesuffix("px"))
    except ValueError as error:
        raise _refuse(f"the number '{text}'") from error


def _ellipse(x: float, y: float, rx: float, ry: float) -> Path:
    a, b = rx * QUARTER, ry * QUARTER
    return Path(
        (x + rx, y),
        (
            Curve((x + rx, y + b), (x + a, y + ry), (x, y + ry)),
            Curve((x - a, y + ry), (x - rx, y + b), (x - rx, y)),
            Curve((x - rx, y - b), (x - a, y - ry), (x, y - ry)),
            Curve((x + a, y - ry), (x + rx, y - b), (x + rx, y)),
        ),
        closed=True,
    )


def commands(d: str) -> Iterator[tuple[str, list[float]]]:
    """The commands of path data with their numbers, repeated ones written out; the two flags of an arc may touch.

    Raises:
        InvalidValue: no path data.
    """
    at, command = SPACE.match(d).end() if d else 0, ""  # type: ignore[union-attr]
    while at < len(d):
        if d[at].isalpha():
            command, at = d[at], at + 1
            if command.upper() not in TAKES or command in "eE":
                raise _refuse(f"the path command '{command}'")
        elif not command or command in "Zz":
            raise _refuse(f"'{d[at]}' in path data")
        numbers: list[float] = []
        for place in range(TAKES[command.upper()]):
            at = SPACE.match(d, at).end()  # type: ignore[union-attr]
            if command in "Aa" and place in (3, 4):
                if d[at : at + 1] not in ("0", "1"):
                    raise _refuse("an arc flag that is not 0 or 1")
                numbers.append(float(d[at]))
                at += 1
                continue
            found = NUMBER.match(d, at)
            if not found:
                raise _refuse(f"'{d[at : at + 1]}' in path data")
            numbers.append(float(found[0]))
            at = found.end()
        yield command, numbers
        command = {"M": "L", "m": "l"}.get(command, command)
        at = SPACE.match(d, at).end()  # type: ignore[union-attr]


def subpaths(d: str, scale: float) -> Iterator[Shape]:
    """The parts of path data between two moves; two arcs that make a circle become one."""
    here: Point = (0.0, 0.0)
    start, segments, bent, kind = here, list[Segment](), here, ""
    for command, numbers in commands(d):
        name = command.upper()
        base = here if command.islower() else (0.0, 0.0)
        if name == "A":
            values = [abs(numbers[0]) * scale, abs(numbers[1]) * scale, *numbers[2:5]]
            values += [numbers[5] * scale + base[0], numbers[6] * scale + base[1]]
        else:
            values = [value * scale for value in numbers]
            if name in "HV":
                values[0] += base[0] if name == "H" else base[1]
            else:
                values = [value + base[place % 2] for place, value in enumerate(values)]
        if name == "M":
            if segments:
                yield _whole(Path(start, tuple(segments)))
            here = start = (values[0], values[1])
            segments = []
        elif name == "Z":
            if segments:
                yield _whole(Path(start, tuple(segments), closed=True))
            here, segments = start, []
        else:
            made, bent = _made(name, values, here, bent if kind in _SMOOTH.get(name, "") else here)
            segments += made
            here = made[-1].end if made else here
        kind = name
    if segments:
        yield _whole(Path(start, tuple(segments)))


_SMOOTH = {"S": "CS", "T": "QT"}


def _made(name: str, v: list[float], here: Point, bent: Point) -> tuple[list[Segment], Point]:
    """The segments of one command, and the control point that the next smooth one mirrors."""
    mirrored = (2 * here[0] - bent[0], 2 * here[1] - bent[1])
    if name == "L":
        return [Line((v[0], v[1]))], here
    if name in "HV":
        return [Line((v[0], here[1]) if name == "H" else (here[0], v[0]))], here
    if name == "C":
        return [Curve((v[0], v[1]), (v[2], v[3]), (v[4], v[5]))], (v[2], v[3])
    if name == "S":
        return [Curve(mirrored, (v[0], v[1]), (v[2], v[3]))], (v[0], v[1])
    if name in "QT":
        control = (v[0], v[1]) if name == "Q" else mirrored
        end = (v[-2], v[-1])
        first, second = (((p[0] + 2 * control[0]) / 3, (p[1] + 2 * control[1]) / 3) for p in (here, end))
        return [Curve(first, second, end)], control
    return list(_arcs(here, v)), here


def _arcs(here: Point, v: list[float]) -> Iterator[Segment]:
    """An elliptical arc: as it is where it is of a circle, otherwise as cubic curves (SVG 1.1, F.6)."""
    rx, ry, turn, large, sweep, x, y = v
    if (x, y) == here:
        return
    if min(rx, ry) < 1e-6:
        yield Line((x, y))
        return
    phi = math.radians(turn)
    dx, dy = (here[0] - x) / 2, (here[1] - y) / 2
    px, py = math.cos(phi) * dx + math.sin(phi) * dy, math.cos(phi) * dy - math.sin(phi) * dx
    grown = math.sqrt(max(1.0, (px / rx) ** 2 + (py / ry) ** 2))
    rx, ry = rx * grown, ry * grown
    if abs(rx - ry) < 1e-3 * rx:
        yield Arc(rx, bool(large), bool(sweep), (x, y))
        return
    root = (rx * ry) ** 2 - (rx * py) ** 2 - (ry * px) ** 2
    factor = math.sqrt(max(0.0, root / ((rx * py) ** 2 + (ry * px) ** 2))) * (1 if large != sweep else -1)
    cx, cy = factor * rx * py / ry, -factor * ry * px / rx
    middle = ((here[0] + x) / 2, (here[1] + y) / 2)
    first = math.atan2((py - cy) / ry, (px - cx) / rx)
    angle = (math.atan2((-py - cy) / ry, (-px - cx) / rx) - first) % (2 * math.pi)
    angle -= 0 if sweep else 2 * math.pi
    pieces = max(1, math.ceil(abs(angle) / (math.pi / 2) - 1e-6))
    step = angle / pieces
    reach = 4 / 3 * math.tan(step / 4)

    def at(ux: float, uy: float) -> Point:
        ux, uy = cx + rx * ux, cy + ry * uy
        return (
            math.cos(phi) * ux - math.sin(phi) * uy + middle[0],
            math.sin(phi) * ux + math.cos(phi) * uy + middle[1],
        )

    for piece in range(pieces):
        a, b = first + piece * step, first + (piece + 1) * step
        yield Curve(
            at(math.cos(a) - reach * math.sin(a), math.sin(a) + reach * math.cos(a)),
            at(math.cos(b) + reach * math.sin(b), math.sin(b) - reach * math.cos(b)),
            (x, y) if piece == pieces - 1 else at(math.cos(b), math.sin(b)),
        )


def _whole(path: Path) -> Shape:
    """Two or more arcs of one radius around one centre, back to the start, are a circle."""
    arcs = [segment for segment in path.segments if isinstance(segment, Arc)]
    if len(arcs) < 2 or len(arcs) != len(path.segments):
        return path
    radius = arcs[0].radius
    points = [path.start, *(arc.end for arc in arcs)]
    if math.dist(points[0], points[-1]) > 0.02 or len({arc.sweep for arc in arcs}) > 1:
        return path
    if any(abs(arc.radius - radius) > 0.02 for arc in arcs):
        return path
    if len(arcs) == 2 and abs(math.dist(points[0], points[1]) - 2 * radius) < 0.02:
        return Circle(((points[0][0] + points[1][0]) / 2, (points[0][1] + points[1][1]) / 2), radius)
    if len(arcs) == 4 and abs(math.dist(points[0], points[2]) - 2 * radius) < 0.02:
        return Circle(((points[0][0] + points[2][0]) / 2, (points[0][1] + points[2][1]) / 2), radius)
    return path
