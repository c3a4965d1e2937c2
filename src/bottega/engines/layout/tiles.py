"""A grid of geometric tiles."""

import random
from collections.abc import Sequence

from bottega.engines.layout.art import Region
from bottega.engines.layout.colour import Palette, shade, to_oklch


def tiles(
    region: Region, palette: Palette, rng: random.Random, columns: int, rows: int, spare: Sequence[int] = ()
) -> str:
    """A grid of circles, quarter discs, arcs, half discs, stripes and triangles; tiles in ``spare`` stay a flat ground.

    Neighbouring tiles never share a ground, nor a motif.
    """
    side = region.w / columns
    grounds = (
        palette.primary,
        palette.accent,
        palette.second,
        palette.tint,
        palette.deep,
        shade(palette.primary, 0.62),
    )
    used: dict[tuple[int, int], tuple[str, int]] = {}
    parts: list[str] = []
    for row in range(rows):
        for column in range(columns):
            near = [
                used[at] for at in ((row - 1, column), (row, column - 1), (row - 1, column - 1)) if at in used
            ]
            ground = rng.choice([g for g in grounds if g not in [paint for paint, _ in near[:2]]])
            motif = rng.choice([m for m in range(len(MOTIFS)) if m not in [kind for _, kind in near]])
            used[row, column] = (ground, motif)
            fronts = [g for g in grounds if g != ground and abs(to_oklch(g)[0] - to_oklch(ground)[0]) > 0.2]
            first, other = rng.sample(fronts, 2) if len(fronts) > 1 else (fronts[0], fronts[0])
            x, y = region.x + column * side, region.y + row * side
            turn = rng.choice((0, 90, 180, 270))
            cell = Region(0, 0, side + 0.6, side + 0.6).fill(ground)
            if row * columns + column not in spare:
                cell += f'<g transform="rotate({turn} {side / 2:.2f} {side / 2:.2f})">{MOTIFS[motif](side, first, other)}</g>'
            parts.append(f'<g transform="translate({x:.2f} {y:.2f})">{cell}</g>')
    return region.clip("tiles", "".join(parts))


def _quarter(s: float, a: str, b: str) -> str:
    return f'<path d="M0 0H{s:.1f}A{s:.1f} {s:.1f} 0 0 1 0 {s:.1f}Z" fill="{a}"/>'


def _quarter_ring(s: float, a: str, b: str) -> str:
    h = s / 2
    return _quarter(s, a, b) + f'<path d="M0 0H{h:.1f}A{h:.1f} {h:.1f} 0 0 1 0 {h:.1f}Z" fill="{b}"/>'


def _disc(s: float, a: str, b: str) -> str:
    return f'<circle cx="{s / 2:.1f}" cy="{s / 2:.1f}" r="{s * 0.36:.1f}" fill="{a}"/>'


def _target(s: float, a: str, b: str) -> str:
    return _disc(s, a, b) + f'<circle cx="{s / 2:.1f}" cy="{s / 2:.1f}" r="{s * 0.16:.1f}" fill="{b}"/>'


def _halves(s: float, a: str, b: str) -> str:
    h = s / 2
    return (
        f'<path d="M0 {h:.1f}A{h:.1f} {h:.1f} 0 0 1 {s:.1f} {h:.1f}Z" fill="{a}"/>'
        f'<path d="M0 {s:.1f}A{h:.1f} {h:.1f} 0 0 1 {s:.1f} {s:.1f}Z" fill="{b}"/>'
    )


def _triangle(s: float, a: str, b: str) -> str:
    return f'<path d="M0 {s:.1f}L{s:.1f} 0V{s:.1f}Z" fill="{a}"/>'


def _leaf(s: float, a: str, b: str) -> str:
    return f'<path d="M0 0A{s:.1f} {s:.1f} 0 0 1 {s:.1f} {s:.1f}A{s:.1f} {s:.1f} 0 0 1 0 0Z" fill="{a}"/>'


def _stripes(s: float, a: str, b: str) -> str:
    band = s / 8
    return "".join(
        f'<rect x="0" y="{band * (2 * i + 0.5):.1f}" width="{s:.1f}" height="{band:.1f}" fill="{a}"/>'
        for i in range(4)
    )


def _dots(s: float, a: str, b: str) -> str:
    return "".join(
        f'<circle cx="{s * (i + 0.5) / 4:.1f}" cy="{s * (j + 0.5) / 4:.1f}" r="{s * 0.06:.1f}" fill="{a}"/>'
        for i in range(4)
        for j in range(4)
    )


def _arcs(s: float, a: str, b: str) -> str:
    return "".join(
        f'<path d="M0 {s * r:.1f}A{s * r:.1f} {s * r:.1f} 0 0 0 {s * r:.1f} 0" fill="none" stroke="{a}" stroke-width="{s * 0.09:.1f}"/>'
        for r in (0.25, 0.5, 0.75)
    )


MOTIFS = (_quarter, _quarter_ring, _disc, _target, _halves, _triangle, _leaf, _stripes, _dots, _arcs)
