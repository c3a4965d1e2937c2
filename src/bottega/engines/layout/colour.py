"""Colour: OKLCH arithmetic, WCAG contrast, and a palette with roles derived from brand colours or a seed.

Sources: Björn Ottosson, "A perceptual color space for image processing" (OKLab); WCAG 2.2, contrast (minimum).
"""

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass

# Curated triples (dominant, accent, second accent), used when a brief names no colours.
SCHEMES: tuple[tuple[str, str, str], ...] = (
    ("#1f4d4a", "#f0a04b", "#e9dcc3"),
    ("#27346f", "#ff7a59", "#f6cf6b"),
    ("#5b2a4f", "#f2a65a", "#9fd0c7"),
    ("#12476b", "#f4b942", "#8fd3e8"),
    ("#7a2e1d", "#e8a33d", "#7fb7a3"),
    ("#30502f", "#e7795b", "#d9cf8a"),
    ("#3b2f7a", "#f28ba8", "#7ed0d6"),
    ("#0f5257", "#f26b5e", "#f3d9a4"),
)

Lch = tuple[float, float, float]


def rgb(colour: str) -> tuple[int, int, int]:
    """``#rrggbb`` as three bytes."""
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


def to_oklch(colour: str) -> Lch:
    """Lightness 0 to 1, chroma 0 to about 0.37, hue in degrees."""
    red, green, blue = (_linear(channel / 255) for channel in rgb(colour))
    l = (0.4122214708 * red + 0.5363325363 * green + 0.0514459929 * blue) ** (1 / 3)
    m = (0.2119034982 * red + 0.6806995451 * green + 0.1073969566 * blue) ** (1 / 3)
    s = (0.0883024619 * red + 0.2817188376 * green + 0.6299787005 * blue) ** (1 / 3)
    a = 1.9779984951 * l - 2.4285922050 * m + 0.4505937099 * s
    b = 0.0259040371 * l + 0.7827717662 * m - 0.8086757660 * s
    lightness = 0.2104542553 * l + 0.7936177850 * m - 0.0040720468 * s
    return lightness, math.hypot(a, b), math.degrees(math.atan2(b, a)) % 360


def from_oklch(lightness: float, chroma: float, hue: float) -> str:
    """The nearest ``#rrggbb`` of the same lightness and hue: chroma shrinks until the colour is in sRGB."""
    lightness = min(max(lightness, 0.0), 1.0)
    while True:
        channels = _channels(lightness, chroma, hue)
        if chroma < 0.004 or all(-0.0005 <= channel <= 1.0005 for channel in channels):
            break
        chroma -= 0.004
    return "#" + "".join(f"{round(255 * _encoded(min(max(channel, 0.0), 1.0))):02x}" for channel in channels)


def shade(colour: str, lightness: float, chroma: float | None = None, turn: float = 0.0) -> str:
    """The colour at another lightness; chroma is kept, or capped at ``chroma``; hue turned by degrees."""
    _, own, hue = to_oklch(colour)
    return from_oklch(lightness, own if chroma is None else min(own, chroma), (hue + turn) % 360)


def mix(first: str, second: str, share: float) -> str:
    """Between two colours in OKLab; ``share`` 0 is the first, 1 the second."""
    (l1, c1, h1), (l2, c2, h2) = to_oklch(first), to_oklch(second)
    a1, b1 = c1 * math.cos(math.radians(h1)), c1 * math.sin(math.radians(h1))
    a2, b2 = c2 * math.cos(math.radians(h2)), c2 * math.sin(math.radians(h2))
    a, b = a1 + (a2 - a1) * share, b1 + (b2 - b1) * share
    return from_oklch(l1 + (l2 - l1) * share, math.hypot(a, b), math.degrees(math.atan2(b, a)) % 360)


def luminance(colour: str) -> float:
    """WCAG relative luminance, 0 to 1."""
    red, green, blue = (_linear(channel / 255) for channel in rgb(colour))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(first: str, second: str) -> float:
    """WCAG contrast ratio, 1 to 21."""
    high, low = sorted((luminance(first), luminance(second)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def readable(colour: str, ground: str, ratio: float = 4.6) -> str:
    """The colour, made lighter or darker until its contrast with the ground reaches ``ratio``."""
    lightness, chroma, hue = to_oklch(colour)
    step = 0.02 if luminance(ground) < 0.18 else -0.02
    while contrast(colour, ground) < ratio and 0 < lightness < 1:
        lightness += step
        colour = from_oklch(lightness, chroma, hue)
    return colour


@dataclass(frozen=True)
class Palette:
    """Colours by role: ``paper`` and ``ink`` for reading, ``night`` and ``deep`` for dark grounds, the rest for art."""

    primary: str
    accent: str
    second: str
    paper: str
    tint: str
    ink: str
    muted: str
    deep: str
    night: str

    @property
    def art(self) -> tuple[str, ...]:
        """The colours that pictures are built from, strongest first."""
        return (self.primary, self.accent, self.second, self.tint)


def derive(colours: Sequence[str], seed: int) -> Palette:
    """Give roles to brand colours; with none, a curated scheme is picked by the seed; missing accents are harmonised.

    The first colour dominates. Accents are taken as given; a single brand colour gets a split complement.
    """
    chosen = tuple(colours) or SCHEMES[random.Random(f"palette {seed}").randrange(len(SCHEMES))]
    primary = chosen[0]
    lightness, chroma, hue = to_oklch(primary)
    warm = random.Random(f"accent {seed}").choice((150.0, 180.0, 210.0))
    accent = chosen[1] if len(chosen) > 1 else from_oklch(0.76, max(chroma, 0.13), (hue + warm) % 360)
    second = chosen[2] if len(chosen) > 2 else from_oklch(0.86, max(chroma * 0.55, 0.06), (hue + 40) % 360)
    tinge = min(chroma, 0.05)
    return Palette(
        primary=primary if lightness < 0.72 else from_oklch(0.6, chroma, hue),
        accent=accent,
        second=second,
        paper=from_oklch(0.977, min(0.012, tinge), 85),
        tint=from_oklch(0.925, tinge * 0.75, hue),
        ink=from_oklch(0.23, tinge * 0.7, hue),
        muted=from_oklch(0.43, tinge * 0.6, hue),
        deep=from_oklch(0.34, min(chroma, 0.12), hue),
        night=from_oklch(0.225, min(chroma, 0.06), hue),
    )


def _channels(lightness: float, chroma: float, hue: float) -> tuple[float, float, float]:
    a, b = chroma * math.cos(math.radians(hue)), chroma * math.sin(math.radians(hue))
    l = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3
    m = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3
    s = (lightness - 0.0894841775 * a - 1.2914855480 * b) ** 3
    return (
        4.0767416621 * l - 3.3077115913 * m + 0.2309699292 * s,
        -1.2684380046 * l + 2.6097574011 * m - 0.3413193965 * s,
        -0.0041960863 * l - 0.7034186147 * m + 1.7076147010 * s,
    )


def _linear(channel: float) -> float:
    return channel / 12.92 if channel <= 0.04045 else ((channel + 0.055) / 1.055) ** 2.4


def _encoded(channel: float) -> float:
    return 12.92 * channel if channel <= 0.0031308 else 1.055 * channel ** (1 / 2.4) - 0.055
