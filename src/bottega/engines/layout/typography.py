"""Typography: faces, measured widths, balanced lines, and text that fits its box or fails with a reason."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from bottega.core.errors import EngineFailed, InvalidValue
from bottega.engines.base import require


@dataclass(frozen=True)
class Face:
    """A typeface as Typst names it, with the file it is measured from. ``tracking`` is in em."""

    family: str
    weight: int
    file: str
    italic: bool = False
    leading: float = 1.4
    tracking: float = 0.0


FRAUNCES = Face("Fraunces", 600, "Fraunces-SemiBold.ttf", leading=1.08, tracking=-0.012)
FRAUNCES_ITALIC = Face("Fraunces", 400, "Fraunces-RegularItalic.ttf", italic=True, leading=1.25)
GROTESK = Face("Space Grotesk", 700, "SpaceGrotesk-Bold.ttf", leading=1.06, tracking=-0.025)
BRICOLAGE = Face(
    "Bricolage Grotesque", 800, "BricolageGrotesque-ExtraBold.ttf", leading=1.04, tracking=-0.015
)
TEXT = Face("Inter", 400, "Inter-Regular.ttf", leading=1.45)
TEXT_MEDIUM = Face("Inter", 500, "Inter-Medium.ttf", leading=1.38)
LABEL = Face("Inter", 600, "Inter-SemiBold.ttf", leading=1.3)
KICKER = Face("Inter", 600, "Inter-SemiBold.ttf", leading=1.3, tracking=0.11)


@dataclass(frozen=True)
class Block:
    """Text set in lines at one size, in pixels."""

    lines: tuple[str, ...]
    widths: tuple[float, ...]
    size: float
    face: Face

    @property
    def height(self) -> float:
        """From the ascent of the first line to the descent of the last."""
        return self.size * (1.0 + self.face.leading * (len(self.lines) - 1))

    @property
    def width(self) -> float:
        """The widest line."""
        return max(self.widths, default=0.0)


class Typesetter:
    """Measures with the fonts of two folders and breaks lines."""

    def __init__(self, folders: Mapping[str, Path]) -> None:
        self.folders = dict(folders)
        self._advance: Callable[[str, str], float] = lru_cache(maxsize=8192)(self._measure)

    def width(self, text: str, face: Face, size: float) -> float:
        """Advance width in pixels, tracking included."""
        return self._advance(text, face.file) * size / 1000 + face.tracking * size * max(len(text) - 1, 0)

    def fit(
        self,
        text: str,
        face: Face,
        *,
        size: float,
        floor: float,
        width: float,
        height: float,
        lines: int,
        name: str,
    ) -> Block:
        """Set the text at the largest size between ``floor`` and ``size`` that fits; lines are balanced.

        Raises:
            InvalidValue: when it does not fit even at the smallest size; the message says by how much.
        """
        words = bind(text).split(" ")
        tried = size
        while True:
            block = self._set(words, face, tried, width, lines)
            if block is not None and block.height <= height:
                return block
            if tried <= floor:
                break
            tried = max(floor, tried * 0.96)
        longest = max(words, key=len)
        if self.width(longest, face, floor) > width:
            raise InvalidValue(
                f"the word '{longest}' of the {name} is too wide",
                where=name,
                remedy="part it, or use a shorter word",
            )
        room = max(1, int(min(lines, height / (floor * face.leading)) * width / (floor * 0.52)))
        raise InvalidValue(
            f"the {name} has {len(text)} characters and does not fit its place",
            where=name,
            remedy=f"shorten it to about {room} characters",
        )

    def _set(self, words: list[str], face: Face, size: float, width: float, most: int) -> Block | None:
        spans = [self.width(word, face, size) for word in words]
        if max(spans) > width:
            return None
        space = self.width(" ", face, size) + 2 * face.tracking * size
        lines = _greedy(spans, space, width)
        if lines > most:
            return None
        breaks = _balance(spans, space, width, lines)
        texts = tuple(" ".join(words[start:end]) for start, end in breaks)
        return Block(texts, tuple(self.width(line, face, size) for line in texts), size, face)

    def _measure(self, text: str, file: str) -> float:
        fonts: Any = require("PIL.ImageFont", extra="all")
        font: Any = self._font(fonts, file)
        return float(font.getlength(text))

    def _font(self, fonts: Any, file: str) -> Any:
        for folder in self.folders.values():
            if (folder / file).is_file():
                return fonts.truetype(str(folder / file), 1000, layout_engine=fonts.Layout.BASIC)
        raise EngineFailed(f"the font {file} is missing", remedy="bottega pull inter-fonts display-fonts")


def printable(text: str) -> str:
    """What can be set and may stand in an SVG: no control characters, white space collapsed."""
    return re.sub(r"\s+", " ", "".join(c if c.isprintable() or c.isspace() else "" for c in text)).strip()


def bind(text: str) -> str:
    """Tie what must not be parted at a line end: French punctuation, a number and its unit; collapse white space."""
    text = re.sub(r" ([:;!?»%–])", "\u00a0\\1", printable(text))
    text = text.replace("« ", "«\u00a0")
    return re.sub(
        r"(\d) (?=(?:[kKMGcm]?[gmWAVhslLJ]|€|EUR|USD|\$|£|°C|min|kWh|Wh|GB|dB)\b)", "\\1\u00a0", text
    )


def _greedy(spans: list[float], space: float, width: float) -> int:
    lines, run = 1, -space
    for span in spans:
        if run + space + span > width:
            lines, run = lines + 1, span
        else:
            run += space + span
    return lines


def _balance(spans: list[float], space: float, width: float, lines: int) -> list[tuple[int, int]]:
    """Break into exactly ``lines`` lines so that their lengths differ least (dynamic programming)."""
    count = len(spans)
    target = (sum(spans) + space * (count - lines)) / lines
    best: list[dict[int, tuple[float, int]]] = [{} for _ in range(lines + 1)]
    best[0][0] = (0.0, 0)
    for line in range(1, lines + 1):
        for start, (cost, _) in best[line - 1].items():
            run = -space
            for end in range(start + 1, count + 1):
                run += space + spans[end - 1]
                if run > width:
                    break
                lone = 0.15 * target**2 if end - start == 1 and count > 3 and line == lines else 0.0
                total = cost + (run - target) ** 2 + lone
                if end not in best[line] or total < best[line][end][0]:
                    best[line][end] = (total, start)
    breaks: list[tuple[int, int]] = []
    end = count
    for line in range(lines, 0, -1):
        start = best[line][end][1]
        breaks.append((start, end))
        end = start
    return breaks[::-1]
