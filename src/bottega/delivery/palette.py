"""Accent colours from a brand, kept readable."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

PAPER, NIGHT = "#fbf9f5", "#191714"  # the page's backgrounds, light and dark
CONTRAST = 4.6  # WCAG 2.2 AA asks for 4.5
_DEFAULT = "#9a4528"
_COLOR = re.compile(r"#[0-9a-fA-F]{6}")


@dataclass(frozen=True)
class Palette:
    """Accents for text and lines on the light and the dark page, and the brand's own colours for the band."""

    light: str
    dark: str
    band: tuple[str, ...]


def palette(colors: Sequence[str]) -> Palette:
    """The first usable brand colour, darkened or lightened until text in it can be read; else our own."""
    usable = tuple(color.lower() for color in colors if _COLOR.fullmatch(color))[:6]
    lively = [color for color in usable if max(_channels(color)) - min(_channels(color)) > 40]
    accent = (lively or usable or (_DEFAULT,))[0]
    band = usable or (_DEFAULT,)
    return Palette(_towards(accent, PAPER, "#000000"), _towards(accent, NIGHT, "#ffffff"), band)


def contrast(left: str, right: str) -> float:
    """WCAG contrast ratio of two colours, 1 to 21."""
    brighter, darker = sorted((_luminance(left), _luminance(right)), reverse=True)
    return (brighter + 0.05) / (darker + 0.05)


def _towards(color: str, ground: str, pole: str) -> str:
    for step in range(21):
        mixed = _mix(color, pole, step / 20)
        if contrast(mixed, ground) >= CONTRAST:
            return mixed
    return pole


def _mix(color: str, other: str, share: float) -> str:
    pairs = zip(_channels(color), _channels(other), strict=True)
    return "#" + "".join(f"{round(a + (b - a) * share):02x}" for a, b in pairs)


def _channels(color: str) -> tuple[int, int, int]:
    return int(color[1:3], 16), int(color[3:5], 16), int(color[5:7], 16)


def _luminance(color: str) -> float:
    linear = [c / 255 / 12.92 if c / 255 <= 0.04045 else ((c / 255 + 0.055) / 1.055) ** 2.4
              for c in _channels(color)]  # fmt: skip
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
