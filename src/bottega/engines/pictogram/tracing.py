"""Outlines of a small grey picture as SVG paths: marching squares (Lorensen 1987), straightened (Douglas 1973), rounded."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Point = tuple[float, float]
Edge = tuple[int, int, int]
"""Row, column, and 0 for the side to the next column, 1 for the side to the next row."""

SMALLEST = 0.6  # square pixels: less is a speck
STRAIGHT = 0.12  # pixels that a corner may lie off a line and still be left out
ROUND = 0.8  # pixels on each side of a corner that the curve takes


def traced(ink: NDArray[np.float32], level: float = 0.5) -> str:
    """The SVG path data (fill rule evenodd) of what lies above ``level`` in ``ink`` [H, W], 0..1; one unit a pixel."""
    return "".join(_path(_straightened(loop)) for loop in outlines(ink, level) if abs(area(loop)) >= SMALLEST)


def outlines(ink: NDArray[np.float32], level: float) -> list[list[Point]]:
    """Closed loops around the ink, in pixels from the top left corner; the values stand in the middles of pixels."""
    field = np.pad(ink, 1)
    inside = field > level
    following: dict[Edge, Edge] = {}
    rows, columns = field.shape
    for r in range(rows - 1):
        for c in range(columns - 1):
            corners = [
                bool(inside[r, c]),
                bool(inside[r, c + 1]),
                bool(inside[r + 1, c + 1]),
                bool(inside[r + 1, c]),
            ]
            if all(corners) or not any(corners):
                continue
            edges = [(r, c, 0), (r, c + 1, 1), (r + 1, c, 0), (r, c, 1)]  # clockwise, each after its corner
            joined = float(field[r : r + 2, c : c + 2].mean()) > level
            for i in range(4):
                if corners[i] and not corners[(i + 1) % 4]:  # here the ink ends
                    turn = range(1, 4) if joined else range(3, 0, -1)
                    other = next(
                        (i + k) % 4 for k in turn if not corners[(i + k) % 4] and corners[(i + k + 1) % 4]
                    )
                    following[edges[i]] = edges[other]
    loops: list[list[Point]] = []
    while following:
        edge = next(iter(following))
        loop: list[Point] = []
        while edge in following:
            r, c, down = edge
            a, b = float(field[r, c]), float(field[r + down, c + 1 - down])
            along = (level - a) / (b - a)
            loop.append((c + along * (1 - down) - 0.5, r + along * down - 0.5))
            edge = following.pop(edge)
        loops.append(loop)
    return loops


def area(loop: Sequence[Point]) -> float:
    """Signed area of a closed loop."""
    return sum(x * b - a * y for (x, y), (a, b) in zip(loop, [*loop[1:], loop[0]], strict=True)) / 2


def _straightened(loop: list[Point]) -> list[Point]:
    """Without the corners that hardly stand out; cut in two at the corner farthest from the first."""
    far = max(range(len(loop)), key=lambda i: math.dist(loop[0], loop[i]))
    return [*kept(loop[: far + 1])[:-1], *kept([*loop[far:], loop[0]])[:-1]]


def kept(line: list[Point], off_by: float = STRAIGHT) -> list[Point]:
    """The points of a line without those that lie no more than so many pixels off it (Douglas 1973)."""
    if len(line) < 3:
        return line
    (x, y), (a, b) = line[0], line[-1]
    length = math.hypot(a - x, b - y) or 1e-9
    off = [abs((a - x) * (y - q) - (x - p) * (b - y)) / length for p, q in line[1:-1]]
    worst = max(range(len(off)), key=off.__getitem__)
    if off[worst] <= off_by:
        return [line[0], line[-1]]
    return [*kept(line[: worst + 2], off_by)[:-1], *kept(line[worst + 1 :], off_by)]


def _path(corners: list[Point]) -> str:
    """Straight lines, joined by a quadratic curve at every corner."""
    if len(corners) < 3:
        return ""
    said: list[str] = []
    for before, corner, after in zip(
        [corners[-1], *corners[:-1]], corners, [*corners[1:], corners[0]], strict=True
    ):
        begin, end = _towards(corner, before), _towards(corner, after)
        said.append(f"{'L' if said else 'M'}{at(begin)}Q{at(corner)} {at(end)}")
    return "".join(said) + "Z"


def _towards(corner: Point, other: Point) -> Point:
    share = min(0.5, ROUND / max(math.dist(corner, other), 1e-9))
    return corner[0] + share * (other[0] - corner[0]), corner[1] + share * (other[1] - corner[1])


def at(point: Point) -> str:
    """A point in path data."""
    return f"{point[0]:.2f} {point[1]:.2f}"
