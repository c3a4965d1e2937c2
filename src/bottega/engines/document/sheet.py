"""What a document is made of, before any writer: words, pictures, palette, language."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from bottega.engines.document.markup import Markup
from bottega.engines.layout.colour import Palette, contrast, readable

TemplateName = Literal["one_pager", "page", "data_sheet"]


@dataclass(frozen=True)
class Picture:
    """An image of the document. ``names`` are what the text may call it."""

    file: str
    media_type: str
    data: bytes
    names: tuple[str, ...]
    alt: str


@dataclass(frozen=True)
class Sheet:
    """One document. ``headline`` wins over the first heading of the text; ``hero`` and ``gallery`` are not in the text."""

    template: TemplateName
    title: str
    headline: str
    subtitle: str
    kicker: str
    brand: str
    language: str
    palette: Palette
    markup: Markup
    pictures: tuple[Picture, ...]
    hero: Picture | None
    gallery: tuple[Picture, ...]
    icons: tuple[Picture, ...] = ()  # of the cards, in their order

    @property
    def by_name(self) -> Mapping[str, Picture]:
        """Every name of every picture."""
        return {name: picture for picture in reversed(self.pictures) for name in picture.names}


def colours(palette: Palette) -> dict[str, str]:
    """Colours by their use in a document; text colours reach a contrast of 4.6 on their ground."""
    on_primary = max((palette.paper, palette.ink), key=lambda colour: contrast(colour, palette.primary))
    return {
        "primary": palette.primary,
        "on_primary": readable(on_primary, palette.primary),
        "accent": palette.accent,
        "accent_text": readable(palette.accent, palette.paper, 5.0),
        "paper": palette.paper,
        "tint": mixed(mixed(palette.tint, palette.paper), palette.paper),
        "line": palette.tint,
        "ink": palette.ink,
        "muted": palette.muted,
    }


def mixed(first: str, second: str) -> str:
    """Halfway between two colours."""
    pairs = zip(_channels(first), _channels(second), strict=True)
    return "#" + "".join(f"{(a + b) // 2:02x}" for a, b in pairs)


def _channels(colour: str) -> Sequence[int]:
    return [int(colour[index : index + 2], 16) for index in (1, 3, 5)]
