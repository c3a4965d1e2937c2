"""Sheets of icons: the labelled tiles, and the variations that each was chosen from."""

from collections.abc import Sequence
from typing import NamedTuple

from bottega.core.value import JsonObject
from bottega.engines import iconography
from bottega.engines.icon_drawings import SHOWN, STROKE, Drawn
from bottega.engines.layout.art import Region
from bottega.engines.layout.colour import Palette, mix
from bottega.engines.layout.scene import Placed, Scene, rasterise
from bottega.engines.layout.typography import LABEL, Typesetter

SIDE = 256.0  # pixels of one icon
CELL, LEFT, MARGIN = 132.0, 300.0, 48.0  # pixels: a variation, the column of labels, the border


class Icon(NamedTuple):
    """What stands for an entry: what was found for it, and what was drawn of that."""

    match: iconography.Match
    drawn: Drawn
    library: iconography.Icons

    def at(self, x: float, y: float, size: float, colour: str) -> str:
        """A house model's drawing; Lucide's where none passed; nothing where nothing was found."""
        if self.drawn.chosen is not None:
            return self.drawn.chosen.at(x, y, size, colour)
        return self.library.draw(self.match.name, x, y, size, colour, STROKE) if self.match.name else ""


class Sheet:
    """The labelled sheet: tiles in rows on paper."""

    def __init__(self, palette: Palette, setter: Typesetter, labels: Sequence[str]) -> None:
        self.setter = setter
        count = len(labels)
        self.columns = count if count <= 4 else -(-count // 2) if count <= 8 else 4
        rows = -(-count // self.columns)
        self.margin, self.gap = 72, 56
        blocks = [
            setter.fit(label, LABEL, size=27, floor=15, width=SIDE + 36, height=74, lines=2, name="label")
            for label in labels
        ]
        under = 24 + round(max(block.height for block in blocks))
        self.row = round(SIDE) + under + 44
        width = 2 * self.margin + self.columns * round(SIDE) + (self.columns - 1) * self.gap
        self.scene = Scene(width, 2 * self.margin + rows * self.row - 44)
        self.scene.ground.append(Region(0, 0, self.scene.width, self.scene.height).fill(palette.paper))
        for index, label in enumerate(labels):
            x, y = self.place(index)
            block = setter.fit(
                label, LABEL, size=27, floor=15, width=SIDE + 36, height=74, lines=2, name="label"
            )
            self.scene.texts.append(
                Placed("label", block, x + SIDE / 2, y + SIDE + 24, palette.ink, centred=True)
            )

    def place(self, index: int) -> tuple[float, float]:
        """The top left corner of a tile."""
        return (
            self.margin + (index % self.columns) * (SIDE + self.gap),
            self.margin + (index // self.columns) * self.row,
        )


def variations(palette: Palette, setter: Typesetter, labels: Sequence[str], icons: Sequence[Icon]) -> Scene:
    """A row an entry: on a tinted place the icon that is used, then the other drawings, grey where they did not pass."""
    scene = Scene(round(LEFT + CELL * (1 + SHOWN) + 2 * MARGIN), round(CELL * len(icons) + 2 * MARGIN))
    scene.ground.append(Region(0, 0, scene.width, scene.height).fill(palette.paper))
    size, inset = CELL * 0.62, CELL * 0.19
    for row, (label, icon) in enumerate(zip(labels, icons, strict=True)):
        y = MARGIN + row * CELL
        by = f"drawn, {len(icon.drawn.trials)} tries" if icon.drawn.chosen else "from Lucide"
        for text, top, big, colour in (
            (label, y + 34, 22, palette.ink),
            (by, y + 66, 15, mix(palette.ink, palette.paper, 0.35)),
        ):
            block = setter.fit(
                text, LABEL, size=big, floor=11, width=LEFT - 24, height=60, lines=2, name="label"
            )
            scene.texts.append(Placed("label", block, MARGIN, top, colour))
        x = MARGIN + LEFT
        chosen = Region(x + 6, y + 6, CELL - 12, CELL - 12)
        scene.ground.append(chosen.clip(f"row{row}", chosen.fill(palette.tint), 20))
        scene.ground.append(icon.at(x + inset, y + inset, size, palette.primary))
        others = [trial for trial in icon.drawn.trials if trial is not icon.drawn.chosen]
        for column, trial in enumerate(others[:SHOWN], 1):
            colour = palette.ink if trial.passes else mix(palette.ink, palette.paper, 0.6)
            scene.ground.append(trial.at(x + column * CELL + inset, y + inset, size, colour))
    return scene


def rendered(scene: Scene, setter: Typesetter) -> tuple[bytes, list[JsonObject]]:
    """The PNG, and its labels."""
    layer = scene.text_layer(tuple(setter.folders.values()))
    png = rasterise(scene.svg(layer), scene.width, scene.height)
    return png, [text for text in scene.described() if text["role"] == "label"]
