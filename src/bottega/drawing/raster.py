"""Drawings as small pictures, with Pillow alone: good enough to compare and to judge them, not to show them."""

import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageDraw

from bottega.drawing.shapes import (
    SIDE,
    Arc,
    Circle,
    Curve,
    Drawing,
    Line,
    Path,
    Point,
    Rectangle,
    Shape,
    outline,
)

FINE = 3  # pixels drawn for one of the picture's, each way


def raster(drawing: Drawing, side: int = 32, width: float = 2.0) -> NDArray[np.uint8]:
    """How much ink is in each pixel: uint8 [side, side], 0 to 255. Strokes are ``width`` units with round ends."""
    scale = side * FINE / SIDE
    size = (side * FINE, side * FINE)
    ink = Image.new("1", size)
    for element in drawing:
        if element.mode == "stroke":
            for shape in element.shapes:
                _stroke(ImageDraw.Draw(ink), polyline(shape), scale, width)
            continue
        area = Image.new("1", size)
        for shape in element.shapes:
            points = [(x * scale, y * scale) for x, y in polyline(shape)]
            if len(points) > 2:
                part = Image.new("1", size)
                ImageDraw.Draw(part).polygon(points, fill=1)
                area = ImageChops.logical_xor(area, part)
        ink = ImageChops.logical_or(ink, area)
    pixels: NDArray[np.float32] = (
        np.asarray(ink, np.float32).reshape(side, FINE, side, FINE).mean(axis=(1, 3))
    )
    return np.round(pixels * 255).astype(np.uint8)


def _stroke(pen: ImageDraw.ImageDraw, points: list[Point], scale: float, width: float) -> None:
    radius = width * scale / 2
    for x, y in points:
        x, y = x * scale, y * scale
        pen.ellipse((x - radius, y - radius, x + radius - 1, y + radius - 1), fill=1)
    if len(points) > 1:
        pen.line([(x * scale - 0.5, y * scale - 0.5) for x, y in points], fill=1, width=round(2 * radius))


def polyline(shape: Shape) -> list[Point]:
    """Points along a shape, about a unit apart on bends."""
    match shape:
        case Circle((x, y), radius):
            return [
                (x + radius * math.cos(turn * math.pi / 12), y + radius * math.sin(turn * math.pi / 12))
                for turn in range(25)
            ]
        case Rectangle():
            return polyline(outline(shape))
        case Path():
            points = [shape.start]
            for segment in shape.segments:
                match segment:
                    case Line(end):
                        points.append(end)
                    case Curve(first, second, end):
                        points += _curve(points[-1], first, second, end)
                    case Arc():
                        points += _arc(points[-1], segment)
            return [*points, shape.start] if shape.closed else points


def _curve(start: Point, first: Point, second: Point, end: Point) -> list[Point]:
    steps = [place / 8 for place in range(1, 9)]
    return [
        (
            (1 - t) ** 3 * start[0] + 3 * (1 - t) ** 2 * t * first[0] + 3 * (1 - t) * t * t * second[0] + t**3 * end[0],
            (1 - t) ** 3 * start[1] + 3 * (1 - t) ** 2 * t * first[1] + 3 * (1 - t) * t * t * second[1] + t**3 * end[1],
        )
        for t in steps
    ]  # fmt: skip


def _arc(start: Point, arc: Arc) -> list[Point]:
    """Points of an arc after its start (SVG 1.1, F.6.5, for circles)."""
    chord = math.dist(start, arc.end)
    if not chord:
        return [arc.end]
    radius = max(arc.radius, chord / 2)
    height = math.sqrt(max(0.0, radius**2 - (chord / 2) ** 2)) * (1 if arc.large != arc.sweep else -1)
    ux, uy = (arc.end[0] - start[0]) / chord, (arc.end[1] - start[1]) / chord
    cx, cy = (start[0] + arc.end[0]) / 2 - uy * height, (start[1] + arc.end[1]) / 2 + ux * height
    first = math.atan2(start[1] - cy, start[0] - cx)
    turn = (math.atan2(arc.end[1] - cy, arc.end[0] - cx) - first) % (2 * math.pi)
    turn -= 0 if arc.sweep else 2 * math.pi
    pieces = max(2, math.ceil(abs(turn) / (math.pi / 8)))
    inner = [
        (cx + radius * math.cos(first + turn * i / pieces), cy + radius * math.sin(first + turn * i / pieces))
        for i in range(1, pieces)
    ]
    return [*inner, arc.end]
