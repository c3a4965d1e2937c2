"""Geometric: a grotesque on flat colour, and a grid of circles, arcs and triangles."""

from bottega.engines.layout.art import Region
from bottega.engines.layout.colour import readable
from bottega.engines.layout.studio import Kind, Line, Studio
from bottega.engines.layout.tiles import tiles
from bottega.engines.layout.typography import GROTESK, KICKER, LABEL, TEXT, TEXT_MEDIUM


def compose(studio: Studio, kind: Kind) -> None:
    """Fill the scene."""
    if kind == "banner":
        _banner(studio)
    elif kind == "slide" and studio.wide and not studio.copy.bullets:
        _scene(studio)
    elif kind == "slide":
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


def _banner(s: Studio) -> None:
    rows = 2 if s.wide else 4
    columns = max(2, round(s.scene.width * rows / s.scene.height))
    _grid(s, s.whole, columns, -(-s.scene.height * columns // s.scene.width))


def _scene(s: Studio) -> None:
    """A headline beside a square of tiles, the icon on four of them."""
    p, u, w = s.palette, s.unit, s.scene.width
    s.draw(s.whole.fill(p.paper))
    text, quiet, accent = _inks(s, p.paper)
    margin = 84 * u
    side = s.live / (3 if s.foot else 4)
    grid = Region(w - 3 * side, 0, 3 * side, s.live)
    _grid(s, grid, 3, 3 if s.foot else 4, block=2)
    _brand(s, margin, margin * 0.8, grid.x - 2 * margin, text)
    s.stack(
        [
            s.kicker(Line("kicker", s.copy.kicker, KICKER, 20 * u, accent, lines=1, capitals=True), GROTESK),
            Line("title", s.copy.title, GROTESK, s.headline(112) * u, text, lines=4, space=22 * u),
            Line("subtitle", s.copy.subtitle, TEXT, 31 * u, quiet, lines=4, space=28 * u),
        ],
        Region(margin, margin * 0.8 + 80 * u, grid.x - margin * 1.6, s.live - margin * 0.8 - 100 * u),
        at="middle" if s.foot else "bottom",
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
    low = s.live
    if s.wide:  # a frieze at the head, or at the foot: never where captions stand
        side = w / 8
        grid = Region(0, 0 if s.foot or closing else h - side, w, side)
        top, end = (side, low) if grid.y == 0 else (0.0, grid.y)
        _grid(s, grid, 8, 1)
    else:
        side = w / 5
        grid = Region(0, h - 2 * side, w, 2 * side)
        top, end = 0.0, min(low, grid.y)
        _grid(s, grid, 5, 2)
    room = Region(margin, top + margin * 0.7, w - 2 * margin, end - top - margin * 1.2)
    if closing and s.copy.brand:
        _brand(s, room.x, room.y, room.w, text, scale=1.9)
        taken = 80 * u
    else:
        _brand(s, room.x, room.y, room.w, text)
        taken = 56 * u
    s.stack(
        [
            Line("kicker", s.copy.kicker, KICKER, 21 * u, accent, lines=1, capitals=True),
            Line(
                "title",
                s.copy.title,
                GROTESK,
                s.headline(108 if closing else 128) * u,
                text,
                lines=3,
                space=22 * u,
            ),
            Line("subtitle", s.copy.subtitle, TEXT, 34 * u, quiet, lines=2, space=28 * u),
        ],
        Region(room.x, room.y + taken, room.w * 0.92, room.h - taken),
        at="middle" if s.foot else "bottom",
    )


def _grid(s: Studio, grid: Region, columns: int, rows: int, block: int = 1) -> None:
    """The tiles, with the icon on ``block`` by ``block`` flat ones near the middle; or the picture."""
    if s.picture(grid):
        return
    p = s.palette
    row, column = (rows - block) // 2, (columns - block) // 2 + (columns > 2 and block == 1)
    column = min(column, columns - 1)
    s.draw(tiles(grid, p, s.rng, columns, rows, (row * columns + column,) if s.copy.icon else ()))
    if s.copy.icon:
        side = grid.w / columns
        cell = Region(grid.x + column * side, grid.y + row * side, side * block + 0.6, side * block + 0.6)
        ground = p.paper if block == 1 else readable(p.primary, "#ffffff", 5.5)
        s.draw(cell.fill(ground))
        middle = side * block / 2
        s.icon(
            cell.x + middle,
            cell.y + middle,
            side * block * 0.54,
            readable(p.primary, p.paper) if block == 1 else "#ffffff",
            1.5,
        )


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


def _brand(s: Studio, x: float, top: float, width: float, colour: str, scale: float = 1.0) -> None:
    if not s.copy.brand:
        return
    u = s.unit * scale
    s.draw(
        f'<rect x="{x:.1f}" y="{top + 2 * u:.1f}" width="{22 * u:.1f}" height="{22 * u:.1f}" fill="{s.palette.accent}"/>'
        f'<path d="M{x:.1f} {top + 24 * u:.1f}A{22 * u:.1f} {22 * u:.1f} 0 0 1 {x + 22 * u:.1f} {top + 2 * u:.1f}V{top + 24 * u:.1f}Z" '
        f'fill="{s.palette.primary if colour != "#ffffff" else s.palette.second}"/>'
    )
    s.label("brand", s.copy.brand, LABEL, 26 * u, colour, x + 38 * u, top, width - 38 * u)
