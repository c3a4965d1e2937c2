"""Generative backgrounds, each a function from a region, a palette and a random source to SVG."""

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass

from bottega.engines.layout.colour import Palette, mix, shade


@dataclass(frozen=True)
class Region:
    """A rectangle, in pixels."""

    x: float
    y: float
    w: float
    h: float

    def clip(self, name: str, inner: str, radius: float = 0.0) -> str:
        """The drawing, cut at the region's edge."""
        return (
            f'<clipPath id="{name}"><rect x="{self.x:.1f}" y="{self.y:.1f}" width="{self.w:.1f}" height="{self.h:.1f}" '
            f'rx="{radius:.1f}"/></clipPath><g clip-path="url(#{name})">{inner}</g>'
        )

    def fill(self, paint: str, radius: float = 0.0, opacity: float = 1.0) -> str:
        """The region as one flat area."""
        return (
            f'<rect x="{self.x:.1f}" y="{self.y:.1f}" width="{self.w:.1f}" height="{self.h:.1f}" rx="{radius:.1f}" '
            f'fill="{paint}"' + (f' fill-opacity="{opacity:g}"/>' if opacity < 1 else "/>")
        )


def strata(region: Region, palette: Palette, rng: random.Random) -> str:
    """Layers of hills under a low sun, from haze to night."""
    sky_top, sky_low = mix(palette.accent, palette.paper, 0.62), mix(palette.accent, palette.paper, 0.12)
    sky = (
        f'<linearGradient id="sky" x1="0" y1="0" x2="0" y2="1"><stop offset="0" stop-color="{sky_top}"/>'
        f'<stop offset="0.7" stop-color="{sky_low}"/></linearGradient>'
    )
    parts = [sky, region.fill("url(#sky)")]
    span = min(region.w, region.h)
    sun_x, sun_y = (
        region.x + region.w * rng.uniform(0.42, 0.66),
        region.y + region.h * rng.uniform(0.26, 0.34),
    )
    radius = span * rng.uniform(0.15, 0.2)
    parts.append(
        f'<circle cx="{sun_x:.1f}" cy="{sun_y:.1f}" r="{radius * 1.75:.1f}" fill="{palette.paper}" fill-opacity="0.22"/>'
        f'<circle cx="{sun_x:.1f}" cy="{sun_y:.1f}" r="{radius:.1f}" fill="{mix(palette.paper, palette.second, 0.35)}"/>'
    )
    layers = 6
    for layer in range(layers):
        share = layer / (layers - 1)
        base = region.y + region.h * (0.42 + 0.46 * share)
        swell = region.h * (0.075 - 0.02 * share)
        waves = [
            (rng.uniform(0.5, 1.0), rng.uniform(0, math.tau), 1.0),
            (rng.uniform(1.2, 2.2), rng.uniform(0, math.tau), 0.45),
            (rng.uniform(3.0, 4.2), rng.uniform(0, math.tau), 0.12),
        ]
        line: list[str] = []
        for step in range(61):
            t = step / 60
            lift = sum(depth * math.sin(math.tau * turns * t + phase) for turns, phase, depth in waves)
            line.append(f"{region.x + region.w * t:.1f} {base + swell * lift:.1f}")
        low = region.y + region.h
        near = mix(palette.primary, palette.night, max(0.0, share * 2 - 1))
        tone = mix(mix(palette.accent, palette.primary, 0.35), near, min(1.0, share * 1.5))
        parts.append(
            f'<path d="M{"L".join(line)}L{region.x + region.w:.1f} {low:.1f}L{region.x:.1f} {low:.1f}Z" fill="{tone}"/>'
        )
    return region.clip("strata", "".join(parts))


def contours(
    region: Region, palette: Palette, rng: random.Random, *, ground: str, line: str, opacity: float = 0.8
) -> str:
    """Contour lines of a smooth landscape, every fifth one strong, one band filled with the accent."""
    span = max(region.w, region.h)
    cell = span / 84
    columns, rows = int(region.w / cell) + 2, int(region.h / cell) + 2
    hills = [
        (
            rng.uniform(-0.1, 1.1) * region.w,
            rng.uniform(-0.1, 1.1) * region.h,
            rng.uniform(0.14, 0.34) * span,
            rng.uniform(0.5, 1.0),
        )
        for _ in range(7)
    ]
    field = [
        [
            sum(
                peak * math.exp(-((c * cell - x) ** 2 + (r * cell - y) ** 2) / (2 * wide**2))
                for x, y, wide, peak in hills
            )
            for c in range(columns)
        ]
        for r in range(rows)
    ]
    high = max(max(row) for row in field)
    thin, bold = span * 0.0011, span * 0.0024
    parts = [region.fill(ground)]
    for level in range(1, 22):
        path = _isoline(field, high * level / 22, cell, region)
        strong = level % 5 == 0
        colour = palette.accent if level in (15, 20) else line
        parts.append(
            f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="{bold if strong else thin:.2f}" '
            f'stroke-opacity="{opacity if strong else opacity * 0.62:.2f}" stroke-linecap="round"/>'
        )
    return region.clip("contours", "".join(parts))


def _isoline(field: list[list[float]], level: float, cell: float, region: Region) -> str:
    """Marching squares: the segments where the field crosses a level."""
    out: list[str] = []

    def cut(ax: float, ay: float, a: float, bx: float, by: float, b: float) -> str:
        t = (level - a) / (b - a)
        return f"{region.x + (ax + (bx - ax) * t) * cell:.1f} {region.y + (ay + (by - ay) * t) * cell:.1f}"

    for r in range(len(field) - 1):
        above, below = field[r], field[r + 1]
        for c in range(len(above) - 1):
            corners = (
                (c, r, above[c]),
                (c + 1, r, above[c + 1]),
                (c + 1, r + 1, below[c + 1]),
                (c, r + 1, below[c]),
            )
            points = [
                cut(*corners[i], *corners[(i + 1) % 4])
                for i in range(4)
                if (corners[i][2] > level) != (corners[(i + 1) % 4][2] > level)
            ]
            if len(points) >= 2:
                out.append(f"M{points[0]}L{points[1]}")
            if len(points) == 4:
                out.append(f"M{points[2]}L{points[3]}")
    return "".join(out)


def mesh(region: Region, palette: Palette, rng: random.Random) -> str:
    """A soft mesh of light on a night ground, brightest away from the reading side (left)."""
    span = max(region.w, region.h)
    vivid = shade(palette.primary, 0.55)
    spots = (
        (palette.deep, 0.18, 0.1, 0.5, 0.9),
        (vivid, 0.78, 0.18, 0.46, 0.95),
        (shade(palette.primary, 0.5, turn=35), 0.62, 0.98, 0.42, 0.9),
        (palette.accent, 1.0, 0.72, 0.42, 0.95),
        (palette.second, 0.96, 0.28, 0.22, 0.7),
        (shade(palette.accent, 0.6, turn=-25), 0.72, 0.62, 0.26, 0.6),
        (palette.night, 0.1, 0.75, 0.45, 1.0),
    )
    parts = [region.fill(palette.night)]
    for index, (colour, x, y, size, opacity) in enumerate(spots):
        cx = region.x + region.w * (x + rng.uniform(-0.07, 0.07))
        cy = region.y + region.h * (y + rng.uniform(-0.1, 0.1))
        # Stops along a raised cosine: a light without an edge.
        stops = "".join(
            f'<stop offset="{step / 6:.3f}" stop-color="{colour}" '
            f'stop-opacity="{opacity * (0.5 + 0.5 * math.cos(math.pi * step / 6)):.3f}"/>'
            for step in range(7)
        )
        parts.append(
            f'<radialGradient id="light{index}">{stops}</radialGradient>'
            f'<ellipse cx="{cx:.1f}" cy="{cy:.1f}" rx="{span * size * rng.uniform(0.85, 1.1):.1f}" '
            f'ry="{span * size * rng.uniform(0.65, 0.85):.1f}" fill="url(#light{index})" '
            f'transform="rotate({rng.uniform(-40, 40):.0f} {cx:.1f} {cy:.1f})"/>'
        )
    return region.clip("mesh", "".join(parts))


def ribbon(region: Region, colour: str, fade: str, rng: random.Random, strands: int = 34) -> str:
    """A ribbon of fine strands drawn between two wandering curves."""
    ends = [
        [(t, rng.uniform(-0.05, 1.05)) for t in (-0.05, 0.22, 0.5, 0.78, 1.05)],
        [(t, rng.uniform(-0.05, 1.05)) for t in (-0.05, 0.22, 0.5, 0.78, 1.05)],
    ]
    strand_paint = (
        f'<linearGradient id="strand" gradientUnits="userSpaceOnUse" x1="{region.x:.0f}" y1="0" x2="{region.x + region.w:.0f}" y2="0">'
        f'<stop offset="0" stop-color="{fade}" stop-opacity="0"/><stop offset="0.45" stop-color="{fade}" stop-opacity="0.55"/>'
        f'<stop offset="1" stop-color="{colour}" stop-opacity="0.95"/></linearGradient>'
    )
    parts = [strand_paint]
    for strand in range(strands):
        share = strand / (strands - 1)
        points = [
            (region.x + region.w * t, region.y + region.h * (a + (b - a) * share))
            for (t, a), (_, b) in zip(ends[0], ends[1], strict=True)
        ]
        parts.append(
            f'<path d="{_smooth(points)}" fill="none" stroke="url(#strand)" stroke-width="{region.h * 0.0016:.2f}"/>'
        )
    return region.clip("ribbon", "".join(parts))


def _smooth(points: Sequence[tuple[float, float]]) -> str:
    """A Catmull-Rom spline through the points, as cubic Béziers."""
    padded = [points[0], *points, points[-1]]
    path = f"M{points[0][0]:.1f} {points[0][1]:.1f}"
    for (ax, ay), (bx, by), (cx, cy), (dx, dy) in zip(
        padded, padded[1:], padded[2:], padded[3:], strict=False
    ):
        path += f"C{bx + (cx - ax) / 6:.1f} {by + (cy - ay) / 6:.1f} {cx - (dx - bx) / 6:.1f} {cy - (dy - by) / 6:.1f} {cx:.1f} {cy:.1f}"
    return path
