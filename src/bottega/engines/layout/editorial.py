"""Editorial: paper, serif headlines, hairlines, one deep panel of landscape or contours."""

from bottega.engines.layout.art import Region, contours, strata
from bottega.engines.layout.colour import mix, readable
from bottega.engines.layout.studio import Kind, Line, Studio
from bottega.engines.layout.typography import FRAUNCES, FRAUNCES_ITALIC, KICKER, LABEL, TEXT, TEXT_MEDIUM


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
        _spread(studio)


def _spread(s: Studio) -> None:
    """Text on paper, art beside it or above it."""
    p, u, w, h = s.palette, s.unit, s.scene.width, s.scene.height
    s.draw(s.whole.fill(p.paper))
    margin = 84 * u
    if s.wide:
        panel = Region(w * 0.575, 0, w * 0.425, h)
        column = Region(margin, margin + 60 * u, w * 0.575 - margin * 1.9, h - 2 * margin - 120 * u)
    else:
        panel = Region(0, 0, w, h * 0.46)
        column = Region(margin, h * 0.46 + 96 * u, w - 2 * margin, h * 0.54 - 96 * u - margin - 66 * u)
    _panel(s, panel)
    _seal(s, panel.x if s.wide else margin + 62 * u, h - margin - 62 * u if s.wide else panel.h)
    accent = readable(p.accent, p.paper)
    s.stack(
        [
            Line("kicker", s.copy.kicker, KICKER, (19 if s.wide else 21) * u, accent, lines=2, capitals=True),
            Line(
                "title",
                s.copy.title,
                FRAUNCES,
                s.headline(98 if s.wide else 104) * u,
                p.ink,
                lines=4,
                space=30 * u,
            ),
            Line(
                "subtitle", s.copy.subtitle, TEXT, (30 if s.wide else 34) * u, p.muted, lines=5, space=36 * u
            ),
        ],
        column,
        at="middle" if s.wide else "top",
    )
    if s.wide:
        _brand(s, margin, margin * 0.82, column.w, p.ink)
        s.draw(_rule(margin, h - margin, margin + 96 * u, 3 * u, accent))
    else:
        _brand(s, margin, h - margin - 22 * u, column.w, p.ink)


def _banner(s: Studio) -> None:
    _panel(s, s.whole, calm=bool(s.copy.icon))
    _seal(s, s.scene.width / 2, s.scene.height / 2, s.scene.height * 0.24)


def _scene(s: Studio) -> None:
    """A headline beside a landscape, the icon large on a disc over it."""
    p, u, w = s.palette, s.unit, s.scene.width
    s.draw(s.whole.fill(p.paper))
    margin = 88 * u
    panel = Region(w * 0.57, 0, w * 0.43, s.live)
    _panel(s, panel, calm=bool(s.copy.icon))
    _seal(s, panel.x + panel.w / 2, s.live / 2, s.live * 0.29)
    accent = readable(p.accent, p.paper)
    _brand(s, margin, margin * 0.8, panel.x - 2 * margin, p.ink)
    s.stack(
        [
            s.kicker(
                Line("kicker", s.copy.kicker, KICKER, 20 * u, accent, lines=1, capitals=True), FRAUNCES_ITALIC
            ),
            Line("title", s.copy.title, FRAUNCES, s.headline(108) * u, p.ink, lines=4, space=24 * u),
            Line("subtitle", s.copy.subtitle, TEXT, 31 * u, p.muted, lines=4, space=28 * u),
        ],
        Region(margin, margin * 0.8 + 80 * u, panel.x - margin * 1.7, s.live - margin * 1.2 - 80 * u),
        at="middle",
    )


def _slide(s: Studio) -> None:
    p, u, w, h = s.palette, s.unit, s.scene.width, s.scene.height
    s.draw(s.whole.fill(p.paper))
    margin = 96 * u
    panel = Region(w * 0.72, 0, w * 0.28, h) if s.wide else Region(0, 0, w, h * 0.2)
    _panel(s, panel)
    width = (panel.x if s.wide else w) - 2 * margin
    top = margin * 0.8 if s.wide else panel.h + margin
    if s.wide:
        _seal(s, panel.x, h - margin - 52 * u, 76 * u)
    accent = readable(p.accent, p.paper)
    _brand(s, margin, top, width, p.ink)
    body = Region(margin, top + 104 * u, width, h - top - 104 * u - margin * 0.8)
    head = [
        Line("kicker", s.copy.kicker, KICKER, 19 * u, accent, lines=1, capitals=True),
        Line(
            "title", s.copy.title, FRAUNCES, (74 if s.copy.bullets else 92) * u, p.ink, lines=4, space=20 * u
        ),
        Line("subtitle", s.copy.subtitle, TEXT, 30 * u, p.muted, lines=4, space=28 * u),
    ]
    if not s.copy.bullets:
        s.stack(head, body, at="middle")
        return
    share = min(0.52, 0.34 + 0.06 * bool(s.copy.subtitle) + 0.04 * (len(s.copy.title) > 34))
    covered = s.stack(head, Region(body.x, body.y, body.w, body.h * share), at="top")
    start = covered.y + covered.h + 46 * u
    row = min((body.y + body.h - start) / len(s.copy.bullets), 128 * u)
    size = s.even(s.copy.bullets, TEXT_MEDIUM, 34 * u, body.w - 84 * u, row - 22 * u)
    for index, bullet in enumerate(s.copy.bullets):
        y = start + index * row
        s.draw(_rule(body.x, y, body.x + body.w, 1.4 * u, mix(p.ink, p.paper, 0.78)))
        number = Region(body.x, y, 60 * u, row)
        s.stack(
            [Line("number", str(index + 1), FRAUNCES_ITALIC, 44 * u, accent, lines=1)], number, at="middle"
        )
        words = Region(body.x + 84 * u, y + 8 * u, body.w - 84 * u, row - 16 * u)
        s.stack([Line("bullet", bullet, TEXT_MEDIUM, size, p.ink, lines=2)], words, at="middle")


def _cover(s: Studio, *, closing: bool) -> None:
    p, u, w, h = s.palette, s.unit, s.scene.width, s.scene.height
    if s.picture(s.whole):
        s.draw(s.whole.fill(p.night, opacity=0.86))
    else:
        line = mix(p.deep, p.second, 0.62)
        s.draw(contours(s.whole, p, s.rng, ground=p.deep, line=line, opacity=0.34))
    s.draw(
        f'<radialGradient id="calm" cx="0.5" cy="0.5" r="0.62"><stop offset="0.25" stop-color="{p.deep}" stop-opacity="0.96"/>'
        f'<stop offset="1" stop-color="{p.deep}" stop-opacity="0"/></radialGradient>',
        s.whole.fill("url(#calm)"),
    )
    frame = 40 * u
    light = mix(p.second, p.paper, 0.4)
    s.draw(
        f'<rect x="{frame:.1f}" y="{frame:.1f}" width="{w - 2 * frame:.1f}" height="{h - 2 * frame:.1f}" fill="none" '
        f'stroke="{light}" stroke-opacity="0.55" stroke-width="{1.6 * u:.2f}"/>'
    )
    accent = readable(p.accent, p.deep)
    low = s.live if s.foot else h * 0.93
    signed = 84 * u if s.copy.brand else 30 * u
    region = Region(w * 0.13, h * 0.27, w * 0.74, low - h * 0.27 - signed)
    s.icon(w / 2, h * 0.17, 96 * u, accent, 1.3)
    s.stack(
        [
            Line("kicker", s.copy.kicker, KICKER, 21 * u, accent, lines=1, capitals=True),
            Line(
                "title",
                s.copy.title,
                FRAUNCES,
                s.headline(108 if closing else 120) * u,
                p.paper,
                lines=3,
                space=34 * u,
            ),
            Line(
                "subtitle",
                s.copy.subtitle,
                FRAUNCES_ITALIC,
                38 * u,
                readable(light, p.deep, 7),
                lines=3,
                space=38 * u,
            ),
        ],
        region,
        at="middle",
        centred=True,
    )
    s.stack(
        [Line("brand", s.copy.brand, LABEL, (44 if closing else 27) * u, p.paper, lines=1)],
        Region(w * 0.2, low - 66 * u, w * 0.6, 56 * u),
        at="middle",
        centred=True,
    )


def _panel(s: Studio, panel: Region, *, calm: bool = False) -> None:
    """The picture, a landscape, or contours; the calm one has no sun beside the icon's disc."""
    if s.picture(panel):
        return
    if s.rng.random() < 0.6 and not calm:
        s.draw(strata(panel, s.palette, s.rng))
    else:
        line = mix(s.palette.second, s.palette.paper, 0.2)
        s.draw(contours(panel, s.palette, s.rng, ground=s.palette.deep, line=line))


def _seal(s: Studio, cx: float, cy: float, size: float = 62.0) -> None:
    """The icon on a disc of paper that bridges text and art."""
    if not s.copy.icon:
        return
    radius = max(size, 62 * s.unit)
    s.draw(
        f'<circle cx="{cx:.1f}" cy="{cy:.1f}" r="{radius:.1f}" fill="{s.palette.paper}"/>'
        f'<circle cx="{cx:.1f}" cy="{cy:.1f}" r="{radius * 0.86:.1f}" fill="none" '
        f'stroke="{readable(s.palette.accent, s.palette.paper)}" stroke-width="{1.8 * s.unit:.2f}"/>'
    )
    s.icon(cx, cy, radius * 0.86, s.palette.deep, 1.5)


def _brand(s: Studio, x: float, top: float, width: float, colour: str) -> None:
    if not s.copy.brand:
        return
    u = s.unit
    s.draw(
        f'<circle cx="{x + 8 * u:.1f}" cy="{top + 14 * u:.1f}" r="{8 * u:.1f}" fill="{s.palette.accent}"/>'
    )
    s.label("brand", s.copy.brand, LABEL, 25 * u, colour, x + 30 * u, top, width - 30 * u)


def _rule(x1: float, y: float, x2: float, thick: float, colour: str) -> str:
    return f'<rect x="{x1:.1f}" y="{y:.1f}" width="{x2 - x1:.1f}" height="{thick:.2f}" fill="{colour}"/>'
