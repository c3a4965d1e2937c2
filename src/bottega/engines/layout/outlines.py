"""Turn the ``<text>`` elements of an SVG into outlines, so that it looks the same on every machine."""

import json
import re
from collections.abc import Sequence
from html import unescape
from pathlib import Path

from bottega.engines.base import require
from bottega.engines.layout.scene import typeset_pages

TEXT = re.compile(r"<text\b([^>]*)>(.*?)</text>", re.DOTALL)
SPAN = re.compile(r"<tspan\b([^>]*)>(.*?)</tspan>", re.DOTALL)
NAMED = {"normal": 400, "bold": 700, "": 400}
ASCENT, TALL = 3.0, 4.0  # in em: the baseline and the height of the page a word is set on


def outline(svg: str, family: str, fonts: Sequence[Path]) -> str:
    """Replace every text by its glyphs in ``family``; size, weight, fill, anchor and place are kept."""
    require("typst", extra="all")
    svg = re.sub(r"<text\b[^>]*/>", "", svg)  # empty labels
    found = [(match, dict(re.findall(r'([\w-]+)="([^"]*)"', match.group(1)))) for match in TEXT.finditer(svg)]
    runs: list[tuple[dict[str, str], str, float, float]] = []  # attributes, words, dx, dy
    for match, attributes in found:
        spans = SPAN.findall(match.group(2))
        if not spans:
            runs.append((attributes, unescape(match.group(2)), 0.0, 0.0))
        dy = 0.0
        for fields, words in spans:
            own = dict(re.findall(r'([\w-]+)="([^"]*)"', fields))
            dy += float(own.get("dy", "0"))
            runs.append((attributes, unescape(words), float(own.get("x", "0")), dy))
    if not runs:
        return svg
    pages: list[str] = []
    for attributes, words, _, _ in runs:
        size = float(attributes.get("font-size", "11px").removesuffix("px"))
        weight = attributes.get("font-weight", "")
        style = (
            f"font: {json.dumps(family)}, size: {size}pt, weight: {NAMED.get(weight) or int(weight)}, "
            f'fill: rgb("{attributes.get("fill", "#000000")}")'
        )
        pages.append(
            f"#page(width: auto, height: {size * TALL}pt)[#v({size * ASCENT}pt)#text({style}, "
            f"{json.dumps(words, ensure_ascii=False)})]"
        )
    head = (
        "#set page(margin: 0pt, fill: none)\n#set par(spacing: 0pt)\n"
        '#set text(hyphenate: false, top-edge: "baseline", bottom-edge: "baseline")\n'
    )
    drawn = typeset_pages(head + "".join(pages), "svg", fonts)
    glyphs = iter([_nested(page.decode(), run) for page, run in zip(drawn, runs, strict=True)])

    def swap(match: re.Match[str]) -> str:
        attributes = dict(re.findall(r'([\w-]+)="([^"]*)"', match.group(1)))
        count = max(1, len(SPAN.findall(match.group(2))))
        place = attributes.get("transform", "")
        opacity = attributes.get("opacity", "1")
        return f'<g transform="{place}" opacity="{opacity}">{"".join(next(glyphs) for _ in range(count))}</g>'

    return TEXT.sub(swap, svg)


def _nested(page: str, run: tuple[dict[str, str], str, float, float]) -> str:
    attributes, _, dx, dy = run
    page = re.sub(r"<\?xml[^>]*\?>", "", page)
    size = float(attributes.get("font-size", "11px").removesuffix("px"))
    box = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', page)
    width, height = (float(box.group(1)), float(box.group(2))) if box else (0.0, 0.0)
    x = dx - {"middle": width / 2, "end": width}.get(attributes.get("text-anchor", ""), 0.0)
    return re.sub(
        r'width="[\d.]+pt" height="[\d.]+pt"',
        f'x="{x:.2f}" y="{dy - size * ASCENT:.2f}" width="{width:.2f}" height="{height:.2f}" overflow="visible"',
        page,
        count=1,
    )
