"""Lines of a small grey picture as strokes of one width: thinned (Zhang and Suen 1984), followed, smoothed, straightened."""

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bottega.engines.pictogram.tracing import Point, at, kept

FINE = 4  # lines are followed on so many pixels for one of the picture
SPUR = 2.5  # pixels: a shorter end that leaves a line is a wart of its outline
SPECK = 1.5  # pixels: a shorter line on its own is no line
STRAIGHT = 0.35  # pixels that a point may lie off a line and still be left out
SMOOTH = 6  # times that each point is moved half-way between its neighbours
AROUND = ((-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1), (-1, -1))  # clockwise from above

Pixel = tuple[int, int]
Line = list[Pixel]


def stroked(ink: NDArray[np.float32], level: float = 0.5) -> str:
    """SVG path data of the middles of the lines in ``ink`` [H, W], 0..1, to be stroked; one unit a pixel."""
    height, width = ink.shape
    fine = Image.fromarray(ink).resize((width * FINE, height * FINE), Image.Resampling.BICUBIC)
    thin = thinned(np.asarray(fine) > level)
    return "".join(_path(line) for line in lines(thin))


def thinned(inside: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """What is left of the shapes [H, W] when their rims are taken away as long as nothing breaks: lines one pixel wide."""
    field = np.pad(inside, 1)
    while True:
        before = int(field.sum())
        for first in (True, False):
            ring = [np.roll(field, (-r, -c), (0, 1)) for r, c in AROUND]
            count = np.sum(ring, 0)
            begins = np.sum([~a & b for a, b in zip(ring, [*ring[1:], ring[0]], strict=True)], 0)
            up, right, down, left = ring[0], ring[2], ring[4], ring[6]
            open_ = ~(right & down & (up | left)) if first else ~(up & left & (right | down))
            field = field & ~((count >= 2) & (count <= 6) & (begins == 1) & open_)
        if int(field.sum()) == before:
            return field[1:-1, 1:-1]


def lines(thin: NDArray[np.bool_]) -> list[Line]:
    """The lines between ends and crossings of a thinned picture, and its closed rings; without warts and specks."""
    pixels = {(int(r), int(c)) for r, c in np.argwhere(thin)}
    found = list(_followed(pixels))
    ends = {pixel for pixel in pixels if len(_near(pixel, pixels)) == 1}
    return [line for line in found if _length(line) >= FINE * _least(line, ends)]


def _least(line: Line, ends: set[Pixel]) -> float:
    loose = (line[0] in ends) + (line[-1] in ends)
    return SPECK if loose == 2 else SPUR if loose == 1 else 0.0


def _followed(pixels: set[Pixel]) -> Iterator[Line]:
    knots = {pixel for pixel in pixels if len(_near(pixel, pixels)) != 2}
    left = pixels - knots
    for knot in sorted(knots):
        for step in _near(knot, left):
            if step in left:
                yield _walk([knot, step], left, knots)
    joined: set[frozenset[Pixel]] = set()
    for knot in sorted(knots):
        for other in _near(knot, knots):
            if (pair := frozenset((knot, other))) not in joined:
                joined.add(pair)
                yield [knot, other]
    while left:
        start = min(left)
        ring = _walk([start], left, set())
        yield [*ring, start]


def _walk(line: Line, left: set[Pixel], knots: set[Pixel]) -> Line:
    left.discard(line[-1])
    while True:
        ahead = [pixel for pixel in _near(line[-1], knots) if pixel != line[-2]] if len(line) > 1 else []
        if ahead:
            return [*line, ahead[0]]
        following = _near(line[-1], left)
        if not following:
            return line
        line.append(following[0])
        left.discard(following[0])


def _near(pixel: Pixel, among: set[Pixel]) -> list[Pixel]:
    """Neighbours; one at a corner counts only where no side leads to it."""
    r, c = pixel
    sides = [(r + a, c + b) for a, b in AROUND[::2] if (r + a, c + b) in among]
    corners = [
        (r + a, c + b)
        for a, b in AROUND[1::2]
        if (r + a, c + b) in among and (r + a, c) not in among and (r, c + b) not in among
    ]
    return sides + corners


def _length(line: Sequence[Pixel]) -> float:
    return sum(math.dist(a, b) for a, b in pairwise(line))


def _path(line: Line) -> str:
    """A smooth curve through what is left of a line when it is straightened."""
    closed = len(line) > 3 and line[0] == line[-1]
    points = _smoothed(np.array(line, np.float64)[:, ::-1], closed=closed)
    fine = [(float(x), float(y)) for x, y in (points + 0.5) / FINE]
    far = max(range(len(fine)), key=lambda i: math.dist(fine[0], fine[i])) if closed else 0
    corners = [*kept(fine[: far + 1], STRAIGHT)[:-1], *kept(fine[far:], STRAIGHT)]
    if len(corners) == 2:
        return f"M{at(corners[0])}L{at(corners[1])}"
    return f"M{at(corners[0])}" + "".join(_curves(corners, closed=closed))


def _smoothed(points: NDArray[np.float64], *, closed: bool) -> NDArray[np.float64]:
    for _ in range(SMOOTH * FINE):
        if closed:
            ring = points[:-1]
            ring = (np.roll(ring, 1, 0) + 2 * ring + np.roll(ring, -1, 0)) / 4
            points = np.concatenate((ring, ring[:1]))
        elif len(points) > 2:
            points[1:-1] = (points[:-2] + 2 * points[1:-1] + points[2:]) / 4
    return points


def _curves(corners: Sequence[Point], *, closed: bool) -> Iterator[str]:
    """Cubic curves through all points with the tangents of Catmull and Rom (1974)."""
    before, after = (corners[-2], corners[1]) if closed else (corners[0], corners[-1])
    around = [before, *corners, after]
    for a, b, c, d in zip(around, around[1:], around[2:], around[3:], strict=False):
        one = (b[0] + (c[0] - a[0]) / 6, b[1] + (c[1] - a[1]) / 6)
        two = (c[0] - (d[0] - b[0]) / 6, c[1] - (d[1] - b[1]) / 6)
        yield f"C{at(one)} {at(two)} {at(c)}"
