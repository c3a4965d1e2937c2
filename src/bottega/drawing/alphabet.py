"""A drawing as a row of tokens on a grid of half units, and the grammar that such rows obey.

One token a point, as in IconShop (Wu 2023); circles, rectangles and arcs are kept as such, so that they stay editable.
Words and styles of the prompt come after these tokens, in the same numbering.
"""

import math
from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bottega.core.errors import InvalidValue
from bottega.drawing.shapes import (
    SIDE,
    Arc,
    Circle,
    Curve,
    Drawing,
    Element,
    Line,
    Path,
    Point,
    Rectangle,
    Segment,
    Shape,
)

STEPS = 2  # of the grid, in a unit
CELLS = SIDE * STEPS + 1  # positions on one axis
PAD, END, BEGIN, STROKE, FILL, MOVE, CURVE, CLOSE, CIRCLE, BOX = range(10)
RADIUS = 10  # 0 to 12 units
RADII = SIDE // 2 * STEPS + 1
ARC = RADIUS + RADII  # of each radius from one step on: neither, sweep, large, both
POINT = ARC + 4 * (RADII - 1)
SIZE = POINT + CELLS * CELLS
"""How many tokens drawings are written in."""

# Kinds of token, and the states of the grammar: what may stand next.
KINDS = ("end", "mode", "move", "curve", "close", "circle", "box", "radius", "arc", "point")
GRAMMAR: dict[str, dict[str, str]] = {
    "begin": {"mode": "opened"},
    "opened": {"move": "moved", "circle": "round", "box": "corner"},
    "moved": {"point": "started"},
    "started": {"point": "going", "curve": "bend1", "arc": "swing"},
    "going": {
        "point": "going",
        "curve": "bend1",
        "arc": "swing",
        "close": "done",
        "move": "moved",
        "circle": "round",
        "box": "corner",
        "mode": "opened",
        "end": "ended",
    },
    "bend1": {"point": "bend2"},
    "bend2": {"point": "bend3"},
    "bend3": {"point": "going"},
    "swing": {"point": "going"},
    "round": {"point": "sized"},
    "corner": {"point": "corner2"},
    "corner2": {"point": "sized"},
    "sized": {"radius": "done"},
    "done": {"move": "moved", "circle": "round", "box": "corner", "mode": "opened", "end": "ended"},
    "ended": {},
}
STATES = tuple(GRAMMAR)


class Grammar(NamedTuple):
    """``after[state, token]`` is the next state or -1; ``left[state]`` the fewest tokens that end a drawing from there."""

    after: NDArray[np.int8]
    left: NDArray[np.int64]


@cache
def grammar() -> Grammar:
    """The grammar as tables."""
    kinds = np.full(SIZE, -1)
    for kind, tokens in (
        ("end", [END]),
        ("mode", [STROKE, FILL]),
        ("move", [MOVE]),
        ("curve", [CURVE]),
        ("close", [CLOSE]),
        ("circle", [CIRCLE]),
        ("box", [BOX]),
        ("radius", range(RADIUS, ARC)),
        ("arc", range(ARC, POINT)),
        ("point", range(POINT, SIZE)),
    ):
        kinds[list(tokens)] = KINDS.index(kind)
    after = np.full((len(STATES), SIZE), -1, np.int8)
    for state, ways in GRAMMAR.items():
        for kind, following in ways.items():
            after[STATES.index(state), kinds == KINDS.index(kind)] = STATES.index(following)
    left = np.full(len(STATES), 99)
    left[STATES.index("ended")] = 0
    for _ in STATES:
        for state, ways in GRAMMAR.items():
            ends = [left[STATES.index(following)] + 1 for following in ways.values()]
            left[STATES.index(state)] = min([left[STATES.index(state)], *ends])
    return Grammar(after, left)


def encode(drawing: Drawing) -> list[int]:
    """Tokens, the last one being ``END``. Everything is moved to the nearest place on the grid; what vanishes is left out.

    Raises:
        InvalidValue: it reaches out of the square by more than half a unit, or nothing is left of it.
    """
    tokens: list[int] = []
    mode = 0
    for element in drawing:
        now = FILL if element.mode == "fill" else STROKE
        said = [token for shape in element.shapes for token in _shape(shape)]
        if said:
            tokens += ([now] if now == FILL or now != mode else []) + said
            mode = now
    if not tokens:
        raise InvalidValue("nothing is left of it on the grid", where="drawing", remedy="draw it larger")
    return [*tokens, END]


def decode(tokens: Sequence[int]) -> Drawing:
    """The drawing that tokens say.

    Raises:
        InvalidValue: they break the grammar: says where.
    """
    table, state = grammar(), STATES.index("begin")
    for place, token in enumerate(tokens):
        following = int(table.after[state, token]) if 0 <= token < SIZE else -1
        if following < 0:
            raise InvalidValue(
                f"token {token} cannot stand in state '{STATES[state]}'",
                where=f"tokens[{place}]",
                remedy="sample under the grammar",
            )
        state = following
    if STATES[state] != "ended":
        raise InvalidValue("the drawing has no end", where="tokens", remedy="sample more tokens")
    return _read(list(tokens))


def _read(tokens: list[int]) -> Drawing:
    """Tokens that obey the grammar."""
    elements: list[Element] = []
    shapes: list[Shape] = []
    fill, at = False, 0

    def flush() -> None:
        if fill and shapes:
            elements.append(Element("fill", tuple(shapes)))
        elif shapes:
            elements.extend(Element("stroke", (shape,)) for shape in shapes)
        shapes.clear()

    while tokens[at] != END:
        token = tokens[at]
        if token in (STROKE, FILL):
            flush()
            fill, at = token == FILL, at + 1
        elif token == CIRCLE:
            shapes.append(Circle(_place(tokens[at + 1]), (tokens[at + 2] - RADIUS) / STEPS))
            at += 3
        elif token == BOX:
            near, far = _place(tokens[at + 1]), _place(tokens[at + 2])
            corners = ((min(near[i], far[i]), max(near[i], far[i])) for i in (0, 1))
            (left, right), (top, bottom) = corners
            shapes.append(Rectangle((left, top), (right, bottom), (tokens[at + 3] - RADIUS) / STEPS))
            at += 4
        else:
            path, at = _path(tokens, at + 1)
            shapes.append(path)
    flush()
    return tuple(elements)


def _path(tokens: list[int], at: int) -> tuple[Path, int]:
    start, segments = _place(tokens[at]), list[Segment]()
    at += 1
    while True:
        token = tokens[at]
        if token >= POINT:
            segments.append(Line(_place(token)))
            at += 1
        elif token == CURVE:
            first, second, end = (_place(each) for each in tokens[at + 1 : at + 4])
            segments.append(Curve(first, second, end))
            at += 4
        elif token >= ARC:
            radius, flags = divmod(token - ARC, 4)
            segments.append(Arc((radius + 1) / STEPS, flags >= 2, flags % 2 == 1, _place(tokens[at + 1])))
            at += 2
        else:
            closed = token == CLOSE
            return Path(start, tuple(segments), closed), at + closed


def _place(token: int) -> Point:
    y, x = divmod(token - POINT, CELLS)
    return x / STEPS, y / STEPS


def _cell(point: Point) -> int:
    x, y = (_near(value) for value in point)
    return POINT + y * CELLS + x


def _near(value: float) -> int:
    if not -0.5 <= value <= SIDE + 0.5:
        raise InvalidValue(
            f"{value:.4g} lies outside of 0 to {SIDE}", where="drawing", remedy="scale it to the square"
        )
    return min(CELLS - 1, max(0, math.floor(value * STEPS + 0.5)))


def _shape(shape: Shape) -> list[int]:
    match shape:
        case Circle(centre, radius):
            steps = math.floor(radius * STEPS + 0.5)
            return [CIRCLE, _cell(centre), RADIUS + steps] if 0 < steps < RADII else []
        case Rectangle(near, far, radius):
            first, second = _cell(near), _cell(far)
            if first == second:
                return []
            return [BOX, first, second, RADIUS + min(RADII - 1, math.floor(radius * STEPS + 0.5))]
        case Path():
            return _strokes(shape)


def _strokes(path: Path) -> list[int]:
    start = here = _cell(path.start)
    tokens: list[int] = []
    straight = False  # whether the last token is a line
    for segment in path.segments:
        end = _cell(segment.end)
        match segment:
            case Line():
                if end == here:
                    continue
                tokens, straight = [*tokens, end], True
            case Curve(first, second):
                one, two = _curl(first), _curl(second)
                if {here, one, two, end} == {here}:
                    continue
                straight = end != here and _straight(here, one, two, end)
                tokens += [end] if straight else [CURVE, one, two, end]
            case Arc(radius, large, sweep):
                steps = math.floor(radius * STEPS + 0.5)
                if end == here:
                    continue
                straight = not 1 <= steps < RADII  # so large or small a circle is a line
                tokens += [end] if straight else [ARC + 4 * (steps - 1) + 2 * large + sweep, end]
        here = end
    if not tokens:
        return [MOVE, start, start]  # a dot
    if path.closed and straight and len(tokens) > 1 and tokens[-1] == start:
        tokens.pop()  # the last line is what closing draws
    return [MOVE, start, *tokens, *([CLOSE] if path.closed else [])]


def _curl(point: Point) -> int:
    """Control points may lie outside of the square, where the curve does not go."""
    return _cell((min(max(point[0], 0.0), SIDE), min(max(point[1], 0.0), SIDE)))


def _straight(*cells: int) -> bool:
    points = [_place(cell) for cell in cells]
    (ax, ay), (bx, by) = points[0], points[-1]
    length = math.hypot(bx - ax, by - ay)
    if not length:
        return False
    return all(
        abs((bx - ax) * (y - ay) - (by - ay) * (x - ax)) / length < 0.26
        and -0.01 <= ((x - ax) * (bx - ax) + (y - ay) * (by - ay)) / length**2 <= 1.01
        for x, y in points[1:-1]
    )


def snapped(drawing: Drawing) -> float:
    """How far its points move to the grid, in units, on average."""
    moved: list[float] = []

    def move(*points: Point) -> None:
        moved.extend(
            math.hypot(*(v - math.floor(v * STEPS + 0.5) / STEPS for v in point)) for point in points
        )

    for element in drawing:
        for shape in element.shapes:
            match shape:
                case Circle(centre, radius):
                    move(centre, (radius, 0.0))
                case Rectangle(near, far, radius):
                    move(near, far, (radius, 0.0))
                case Path():
                    move(shape.start, *(segment.end for segment in shape.segments))
    return sum(moved) / len(moved)
