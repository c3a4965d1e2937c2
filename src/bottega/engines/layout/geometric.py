"""Geometric: a grotesque on flat colour, and a grid of circles, arcs and triangles."""

from bottega.engines.layout.art import Region
from bottega.engines.layout.colour import readable
from bottega.engines.layout.studio import Kind, Line, Studio
from bottega.engines.layout.tiles import tiles
from bottega.engines.layout.typography import GROTESK, KICKER, LABEL, TEXT, TEXT_MEDIUM


def compose(studio: Studio, kind: Kind) -> None:
    """Fill the scene."""
    if kind == "slide":
        _slide(studio)
    elif kind in ("title_card", "closing"):
        _cover(studio, closing=kind == "closing")
    else:
        _poster(studio)


def _poster(s: Studio) -> None:
    p, u, w, h = s.palette, s.unit, s.scene.width, s.scene.height
    ground = p.night if s.rng.random() < 0.5 else p.paper
    s.draw(s.whole.fill(ground))
    text, quiet, accent = _inks(s, ground)
    margin = 80 * u
    if s.wide:
        side = h / 4
        columns = max(2, round(w * 0.42 / side))
        grid = Region(w - columns * side, 0, columns * side, h)
        rows = 4
        column = Region(margin, margin + 70 * u, grid.x - margin * 1.8, h - 2 * margin - 70 * u)
    else:
        columns = 5
        side = w / columns
        rows = max(2, int(h * 0.4 / side))
        grid = Region(0, h - rows * side, w, rows * side)
        column = Region(margin, margin + 80 * u, w - 2 * margin, grid.y - margin * 1.6 - 80 * u)
    _grid(s, grid, columns, rows)
    _brand(s, margin, margin, column.w, text)
    s.stack(
        [
            Line("kicker", s.copy.kicker, KICKER, (19 if s.wide else 21) * u, accent, lines=2, capitals=True),
            Line(
                "title",
                s.copy.title,
                GROTESK,
                s.headline(92 if s.wide else 100) * u,
                text,
                lines=4,
                space=28 * u,
            ),
            Line("subtitle", s.copy.subtitle, TEXT, (30 if s.wide else 34) * u, quiet, lines=5, space=34 * u),
        ],
        column,
        at="bottom" if s.wide else "middle",
    )


def _slide(s: Studio) -> None:
    p, u, w, h = s.palette, s.unit, s.scene.width, s.scene.height
    s.draw(s.whole.fill(p.paper))
    text, quiet, accent = _inks(s, p.paper)
    margin = 88 * u
    if s.wide:
        side = h / 4
        grid = Region(w - side, 0, side, h)
        _grid(s, grid, 1, 4)
        body = Region(margin, margin, grid.x - 2 * margin, h - 2 * margin)
    else:
        side = w / 5
        grid = Region(0, h - side, w, side)
        _grid(s, grid, 5, 1)
        body = Region(margin, margin, w - 2 * margin, grid.y - 2 * margin)
    _brand(s, body.x, body.y, body.w, text)
    head = [
        Line("kicker", s.copy.kicker, KICKER, 19 * u, accent, lines=1, capitals=True),
        Line("title", s.copy.title, GROTESK, (78 if s.copy.bullets else 96) * u, text, lines=4, space=20 * u),
        Line("subtitle", s.copy.subtitle, TEXT, 30 * u, quiet, lines=4, space=26 * u),
    ]
    body = Region(body.x, body.y + 100 * u, body.w, body.h - 116 * u)
    if not s.copy.bullets:
        s.stack(head, body, at="middle")
        return
    covered = s.stack(head, Region(body.x, body.y, body.w, body.h * 0.46), at="top")
    start = covered.y + covered.h + 44 * u
    row = min((body.y + body.h - start) / len(s.copy.bullets), 116 * u)
    marks = (p.accent, p.primary, p.accent, p.deep)
    size = s.even(s.copy.bullets, TEXT_MEDIUM, 35 * u, body.w - 72 * u, row - 18 * u)
    for index, bullet in enumerate(s.copy.bullets):
        y = start + index * row + row / 2
        s.draw(_mark(index, body.x + 19 * u, y, 19 * u, marks[index % 4]))
        words = Region(body.x + 72 * u, y - row / 2 + 6 * u, body.w - 72 * u, row - 12 * u)
        s.stack([Line("bullet", bullet, TEXT_MEDIUM, size, text, lines=2)], words, at="middle")


def _cover(s: Studio, *, closing: bool) -> None:
    p, u, w, h = s.palette, s.unit, s.scene.width, s.scene.height
    ground = p.night if closing else readable(p.primary, "#ffffff", 5.5)
    s.draw(s.whole.fill(ground))
    text, quiet, accent = _inks(s, ground)
    margin = 88 * u
    columns = 8 if s.wide else 5
    side = w / columns
    rows = 2 if h > 2.8 * side * 2 else 1
    grid = Region(0, h - rows * side, w, rows * side)
    _grid(s, grid, columns, rows)
    _brand(s, margin, margin * 0.9, w - 2 * margin, text)
    s.stack(
        [
            Line("kicker", s.copy.kicker, KICKER, 21 * u, accent, lines=1, capitals=True),
            Line("title", s.copy.title, GROTESK, 108 * u, text, lines=3, space=26 * u),
            Line("subtitle", s.copy.subtitle, TEXT, 34 * u, quiet, lines=2, space=32 * u),
        ],
        Region(margin, margin + 80 * u, (w - 2 * margin) * 0.9, grid.y - margin * 1.7 - 80 * u),
        at="bottom",
    )


def _grid(s: Studio, grid: Region, columns: int, rows: int) -> None:
    """The tiles, with the icon on a flat one near the middle; or the picture."""
    if s.picture(grid):
        return
    p = s.palette
    row, column = (rows - 1) // 2, (columns - 1) // 2 + (columns > 2)
    column = min(column, columns - 1)
    s.draw(tiles(grid, p, s.rng, columns, rows, (row * columns + column,) if s.copy.icon else ()))
    if s.copy.icon:
        side = grid.w / columns
        cell = Region(grid.x + column * side, grid.y + row * side, side + 0.6, side + 0.6)
        s.draw(cell.fill(p.paper))
        s.icon(cell.x + side / 2, cell.y + side / 2, side * 0.52, readable(p.primary, p.paper), 1.5)


def _inks(s: Studio, ground: str) -> tuple[str, str, str]:
    """Text, quieter text, accent: all readable on the ground."""
    p = s.palette
    if ground == p.paper:
        return p.ink, p.muted, readable(p.accent, ground)
    return "#ffffff", readable(p.tint, ground, 7), readable(p.accent, ground)


def _mark(index: int, cx: float, cy: float, r: float, colour: str) -> str:
    if index % 4 == 0:
        return f'<circle cx="{cx:.1f}" cy="{cy:.1f}" r="{r:.1f}" fill="{colour}"/>'
    if index % 4 == 1:
        return f'<rect x="{cx - r * 0.9:.1f}" y="{cy - r * 0.9:.1f}" width="{r * 1.8:.1f}" height="{r * 1.8:.1f}" fill="{colour}"/>'
    if index % 4 == 2:
        return f'<path d="M{cx - r:.1f} {cy + r:.1f}A{2 * r:.1f} {2 * r:.1f} 0 0 1 {cx + r:.1f} {cy - r:.1f}V{cy + r:.1f}Z" fill="{colour}"/>'
    return (
        f'<path d="M{cx:.1f} {cy - r:.1f}L{cx + r:.1f} {cy + r * 0.85:.1f}H{cx - r:.1f}Z" fill="{colour}"/>'
    )


def _brand(s: Studio, x: float, top: float, width: float, colour: str) -> None:
    if not s.copy.brand:
        return
    u = s.unit
    s.draw(
        f'<rect x="{x:.1f}" y="{top + 2 * u:.1f}" width="{22 * u:.1f}" height="{22 * u:.1f}" fill="{s.palette.accent}"/>'
        f'<path d="M{x:.1f} {top + 24 * u:.1f}A{22 * u:.1f} {22 * u:.1f} 0 0 1 {x + 22 * u:.1f} {top + 2 * u:.1f}V{top + 24 * u:.1f}Z" '
        f'fill="{s.palette.primary if colour != "#ffffff" else s.palette.second}"/>'
    )
    s.label("brand", s.copy.brand, LABEL, 26 * u, colour, x + 38 * u, top, width - 38 * u)
