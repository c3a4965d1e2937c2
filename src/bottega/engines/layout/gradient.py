"""Gradient: a night ground, a mesh of light, a ribbon of strands, and a heavy grotesque."""

from bottega.engines.layout.art import Region, mesh, ribbon
from bottega.engines.layout.colour import mix, readable
from bottega.engines.layout.studio import Kind, Line, Studio
from bottega.engines.layout.typography import BRICOLAGE, KICKER, LABEL, TEXT, TEXT_MEDIUM

WHITE = "#ffffff"


def compose(studio: Studio, kind: Kind) -> None:
    """Fill the scene."""
    _light(studio, quiet=kind == "slide" and bool(studio.copy.bullets), shaded=kind != "banner")
    if kind == "banner":
        _glass(studio, studio.scene.width / 2, studio.scene.height / 2, studio.scene.height * 0.5)
    elif kind == "slide":
        _slide(studio)
    elif kind in ("title_card", "closing"):
        _cover(studio, closing=kind == "closing")
    else:
        _glow(studio)


def _glow(s: Studio) -> None:
    p, u, w, h = s.palette, s.unit, s.scene.width, s.scene.height
    margin = 88 * u
    if s.wide:
        column = Region(margin, margin + 70 * u, w * 0.52, h - 2 * margin - 70 * u)
        _glass(s, w * 0.785, h * 0.5, 250 * u)
    else:
        column = Region(margin, h * 0.44, w - 2 * margin, h * 0.56 - margin)
        _glass(s, w - margin - 125 * u, margin + 125 * u, 250 * u)
    _brand(s, margin, margin, column.w)
    s.stack(
        [
            Line(
                "kicker",
                s.copy.kicker,
                KICKER,
                (19 if s.wide else 21) * u,
                readable(p.accent, p.deep, 5.5),
                lines=2,
                capitals=True,
            ),
            Line(
                "title",
                s.copy.title,
                BRICOLAGE,
                s.headline(98 if s.wide else 108) * u,
                WHITE,
                lines=4,
                space=26 * u,
            ),
            Line(
                "subtitle",
                s.copy.subtitle,
                TEXT,
                (31 if s.wide else 35) * u,
                readable(p.tint, p.deep, 8),
                lines=4,
                space=34 * u,
            ),
        ],
        column,
        at="bottom",
    )


def _slide(s: Studio) -> None:
    p, u, w, h = s.palette, s.unit, s.scene.width, s.scene.height
    margin = 92 * u
    _brand(s, margin, margin * 0.9, w * 0.5)
    if s.copy.icon and s.copy.bullets:
        _glass(s, w - margin - 62 * u, margin * 0.9 + 62 * u, 124 * u)
    head = [
        s.kicker(
            Line(
                "kicker",
                s.copy.kicker,
                KICKER,
                20 * u,
                readable(p.accent, p.deep, 5.5),
                lines=1,
                capitals=True,
            ),
            BRICOLAGE,
        ),
        Line(
            "title",
            s.copy.title,
            BRICOLAGE,
            72 * u if s.copy.bullets else s.headline(110) * u,
            WHITE,
            lines=3,
            space=20 * u,
        ),
        Line("subtitle", s.copy.subtitle, TEXT, 31 * u, readable(p.tint, p.deep, 8), lines=4, space=26 * u),
    ]
    low = s.live if s.foot else h - margin * 0.8
    if not s.copy.bullets:
        if s.wide:
            _glass(s, w * 0.785, low * 0.52, low * 0.6)
        share = 0.5 if s.wide and s.copy.icon else 0.74
        top = margin * 0.9 + 70 * u
        s.stack(head, Region(margin, top, w * share, low - top - 10 * u), at="bottom" if s.foot else "middle")
        return
    body = Region(margin, margin * 0.9 + 120 * u, w - 2 * margin, low - margin * 0.9 - 120 * u)
    covered = s.stack(head, Region(body.x, body.y, body.w - 170 * u, body.h * 0.46), at="top")
    start = covered.y + covered.h + 44 * u
    columns = 2 if s.wide and len(s.copy.bullets) > 3 else 1
    rows = -(-len(s.copy.bullets) // columns)
    gap = 18 * u
    row = min((body.y + body.h - start - gap * (rows - 1)) / rows, 124 * u)
    width = (body.w - gap * (columns - 1)) / columns
    size = s.even(s.copy.bullets, TEXT_MEDIUM, 34 * u, width - 112 * u, row - 30 * u)
    for index, bullet in enumerate(s.copy.bullets):
        card = Region(
            body.x + (index % columns) * (width + gap), start + (index // columns) * (row + gap), width, row
        )
        s.draw(
            card.fill(mix(p.night, p.deep, 0.55), radius=18 * u, opacity=0.82),
            _edge(card, 18 * u, p.tint, 0.2, u),
        )
        s.draw(
            s.icons.draw(
                "check", card.x + 28 * u, card.y + row / 2 - 17 * u, 34 * u, readable(p.accent, p.deep), 2.4
            )
        )
        words = Region(card.x + 84 * u, card.y + 6 * u, card.w - 110 * u, row - 12 * u)
        s.stack([Line("bullet", bullet, TEXT_MEDIUM, size, WHITE, lines=2)], words, at="middle")


def _cover(s: Studio, *, closing: bool) -> None:
    p, u, w, h = s.palette, s.unit, s.scene.width, s.scene.height
    low = s.live if s.foot else h * 0.94
    s.draw(
        f'<radialGradient id="calm" cx="0.5" cy="0.52" r="0.6"><stop offset="0.2" stop-color="{p.night}" stop-opacity="0.9"/>'
        f'<stop offset="1" stop-color="{p.night}" stop-opacity="0.1"/></radialGradient>',
        s.whole.fill("url(#calm)"),
    )
    if s.copy.icon:
        _glass(s, w / 2, h * 0.18, 170 * u)
    s.stack(
        [
            Line(
                "kicker",
                s.copy.kicker,
                KICKER,
                21 * u,
                readable(p.accent, p.deep, 5.5),
                lines=1,
                capitals=True,
            ),
            Line("title", s.copy.title, BRICOLAGE, s.headline(116) * u, WHITE, lines=3, space=30 * u),
            Line(
                "subtitle", s.copy.subtitle, TEXT, 35 * u, readable(p.tint, p.deep, 8), lines=3, space=36 * u
            ),
        ],
        Region(w * 0.12, h * 0.31, w * 0.76, low - h * 0.31 - 80 * u),
        at="middle",
        centred=True,
    )
    s.stack(
        [Line("brand", s.copy.brand, LABEL, (46 if closing else 28) * u, WHITE, lines=1)],
        Region(w * 0.2, low - 62 * u, w * 0.6, 56 * u),
        at="middle",
        centred=True,
    )


def _light(s: Studio, *, quiet: bool, shaded: bool = True) -> None:
    """The ground: a picture or a mesh with its ribbon, and shade under the reading side."""
    p, w, h = s.palette, s.scene.width, s.scene.height
    if not s.picture(s.whole):
        s.draw(mesh(s.whole, p, s.rng))
        s.draw(
            ribbon(Region(w * 0.3, h * 0.05, w * 0.72, h * 0.9), mix(p.second, WHITE, 0.5), p.accent, s.rng)
        )
    if not shaded:
        return
    upright = not s.wide
    ends = 'x1="0" y1="1" x2="0" y2="0"' if upright else 'x1="0" y1="0" x2="1" y2="0"'
    far = 0.8 if quiet else 0.0
    s.draw(
        f'<linearGradient id="shade" {ends}><stop offset="0" stop-color="{p.night}" stop-opacity="0.96"/>'
        f'<stop offset="0.42" stop-color="{p.night}" stop-opacity="0.86"/>'
        f'<stop offset="0.72" stop-color="{p.night}" stop-opacity="{max(far, 0.12)}"/>'
        f'<stop offset="1" stop-color="{p.night}" stop-opacity="{far * 0.7:.2f}"/></linearGradient>',
        s.whole.fill("url(#shade)"),
    )


def _glass(s: Studio, cx: float, cy: float, size: float) -> None:
    """The icon on a pane of frosted glass."""
    if not s.copy.icon:
        return
    pane = Region(cx - size / 2, cy - size / 2, size, size)
    radius = size * 0.26
    s.draw(
        '<linearGradient id="pane" x1="0" y1="0" x2="1" y2="1"><stop offset="0" stop-color="#ffffff" stop-opacity="0.34"/>'
        '<stop offset="1" stop-color="#ffffff" stop-opacity="0.1"/></linearGradient>',
        pane.fill("url(#pane)", radius=radius),
        _edge(pane, radius, WHITE, 0.5, s.unit),
    )
    s.icon(cx, cy, size * 0.5, WHITE, 1.5)


def _edge(region: Region, radius: float, colour: str, opacity: float, unit: float) -> str:
    return (
        f'<rect x="{region.x:.1f}" y="{region.y:.1f}" width="{region.w:.1f}" height="{region.h:.1f}" rx="{radius:.1f}" '
        f'fill="none" stroke="{colour}" stroke-opacity="{opacity:g}" stroke-width="{1.5 * unit:.2f}"/>'
    )


def _brand(s: Studio, x: float, top: float, width: float) -> None:
    if not s.copy.brand:
        return
    u = s.unit
    s.draw(
        f'<circle cx="{x + 11 * u:.1f}" cy="{top + 13 * u:.1f}" r="{8.5 * u:.1f}" fill="none" stroke="{s.palette.accent}" '
        f'stroke-width="{5 * u:.1f}"/>'
    )
    s.label("brand", s.copy.brand, LABEL, 26 * u, WHITE, x + 36 * u, top, width - 36 * u)
