"""A scene: a drawn ground and texts placed on it, written as SVG with outlined glyphs and rendered by Typst."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bottega.core.canonical import digest_bytes
from bottega.core.value import JsonObject
from bottega.engines.base import require
from bottega.engines.layout.typography import Block

BREAKABLE = str.maketrans({"\u00a0": " "})


@dataclass(frozen=True)
class Placed:
    """A block of text at a place. ``x`` is the left edge or, centred, the middle; ``top`` the top of the first line."""

    role: str
    block: Block
    x: float
    top: float
    colour: str
    centred: bool = False

    def baseline(self, line: int) -> float:
        """The y of a line's baseline."""
        return self.top + self.block.size * (0.8 + line * self.block.face.leading)

    def left(self, line: int) -> float:
        """The x of a line's left edge."""
        return self.x - self.block.widths[line] / 2 if self.centred else self.x

    @property
    def box(self) -> list[int]:
        """Left, top, right, bottom in pixels."""
        lefts = [self.left(line) for line in range(len(self.block.lines))]
        rights = [left + width for left, width in zip(lefts, self.block.widths, strict=True)]
        return [round(min(lefts)), round(self.top), round(max(rights)), round(self.top + self.block.height)]


@dataclass
class Scene:
    """What is drawn. ``ground`` holds SVG elements in painting order; texts lie over them."""

    width: int
    height: int
    ground: list[str] = field(default_factory=list[str])
    texts: list[Placed] = field(default_factory=list[Placed])

    def svg(self, layer: str = "", title: str = "", about: str = "") -> str:
        """The picture as SVG; ``layer`` is the outlined text, ``title`` and ``about`` are for screen readers."""
        ground = "".join(self.ground)
        own = f"p{digest_bytes(ground.encode())[:6]}-"  # several pictures may be inlined in one page
        ground = re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{own}", ground)
        label = f"<title>{_escape(title)}</title>" if title else ""
        label += f"<desc>{_escape(about)}</desc>" if about else ""
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" role="img" '
            f'width="{self.width}" height="{self.height}" viewBox="0 0 {self.width} {self.height}">{label}'
            f"{ground}{layer}</svg>"
        )

    def text_layer(self, fonts: Sequence[Path]) -> str:
        """The texts as outlines: an SVG element to nest into the picture."""
        lines: list[str] = []
        for placed in self.texts:
            face = placed.block.face
            style = (
                f"font: {json.dumps(face.family)}, weight: {face.weight}, size: {placed.block.size:.2f}pt, "
                f'style: "{"italic" if face.italic else "normal"}", tracking: {face.tracking * placed.block.size:.3f}pt, '
                f'fill: rgb("{placed.colour}")'
            )
            for index, line in enumerate(placed.block.lines):
                words = f"text({style}, {json.dumps(line, ensure_ascii=False)})"
                if placed.centred:
                    words = f"box(width: 0pt, align(center, box(width: {self.width * 2}pt, align(center, {words}))))"
                lines.append(
                    f"#place(top + left, dx: {placed.x:.2f}pt, dy: {placed.baseline(index):.2f}pt, {words})"
                )
        source = _page(self.width, self.height) + "\n".join(lines)
        layer = typeset(source, "svg", fonts).decode()
        layer = re.sub(r"<\?xml[^>]*\?>", "", layer)
        return re.sub(
            r'width="[\d.]+pt" height="[\d.]+pt"',
            f'width="{self.width}" height="{self.height}"',
            layer,
            count=1,
        )

    def described(self) -> list[JsonObject]:
        """The texts as a check reads them back: words, box, colour, font, size."""
        return [
            {
                "role": placed.role,
                "text": " ".join(placed.block.lines).translate(BREAKABLE),
                "lines": [line.translate(BREAKABLE) for line in placed.block.lines],
                "box": placed.box,
                "colour": placed.colour,
                "font": f"{placed.block.face.family} {placed.block.face.weight}",
                "size": round(placed.block.size, 1),
            }
            for placed in self.texts
        ]


def rasterise(svg: str, width: int, height: int) -> bytes:
    """An SVG as PNG of exactly ``width`` by ``height`` pixels."""
    source = _page(width, height) + (
        f'#place(top + left, image(bytes(sys.inputs.svg), format: "svg", width: {width}pt, height: {height}pt))'
    )
    return typeset(source, "png", (), svg=svg)


def typeset(source: str, form: str, fonts: Sequence[Path], **inputs: str) -> bytes:
    """Typst markup as one page of SVG or PNG; one point is one pixel."""
    return typeset_pages(source, form, fonts, **inputs)[0]


def typeset_pages(source: str, form: str, fonts: Sequence[Path], **inputs: str) -> list[bytes]:
    """Typst markup as SVG or PNG, page by page."""
    typst: Any = require("typst", extra="all")
    pages: bytes | list[bytes] = typst.compile(
        source.encode(),
        format=form,
        ppi=72.0,
        font_paths=list(fonts),
        ignore_system_fonts=True,
        sys_inputs=inputs,
    )
    return [pages] if isinstance(pages, bytes) else pages


def _page(width: int, height: int) -> str:
    return (
        f"#set page(width: {width}pt, height: {height}pt, margin: 0pt, fill: none)\n"
        '#set text(hyphenate: false, top-edge: "baseline", bottom-edge: "baseline")\n'
    )


def _escape(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
