"""What a composition works with: copy, palette, type, icons, chance, and the scene it fills."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from bottega.core.errors import InvalidValue
from bottega.engines.iconography import Icons
from bottega.engines.layout.art import Region
from bottega.engines.layout.colour import Palette
from bottega.engines.layout.scene import Placed, Scene
from bottega.engines.layout.typography import Block, Face, Typesetter

SMALLEST = 0.3  # of the wanted sizes
Kind = Literal["hero", "banner", "social", "slide", "title_card", "closing"]


@dataclass(frozen=True)
class Copy:
    """The words and the pictures to set. ``icon`` is a Lucide name, ``picture`` a data URL; either may be empty."""

    title: str
    subtitle: str = ""
    kicker: str = ""
    bullets: tuple[str, ...] = ()
    brand: str = ""
    icon: str = ""
    picture: str = ""


@dataclass(frozen=True)
class Line:
    """One text of a stack: how large it wants to be (pixels), in how many lines at most, with what space above."""

    role: str
    text: str
    face: Face
    size: float
    colour: str
    lines: int = 3
    space: float = 0.0
    capitals: bool = False


@dataclass
class Studio:
    """Draws into a scene. ``unit`` is a pixel of a 1600 by 900 picture, scaled to this one's area.

    ``foot`` is the share of the height, at the foot, that stays free for captions.
    """

    scene: Scene
    copy: Copy
    palette: Palette
    typesetter: Typesetter
    icons: Icons
    rng: random.Random
    foot: float = 0.0
    unit: float = field(init=False)

    def __post_init__(self) -> None:
        """Fix the unit."""
        self.unit = (self.scene.width * self.scene.height) ** 0.5 / 1200

    @property
    def wide(self) -> bool:
        """Whether text and art stand side by side."""
        return self.scene.width >= 1.25 * self.scene.height

    @property
    def live(self) -> float:
        """The height that texts and icons may use."""
        return self.scene.height * (1 - self.foot)

    @property
    def whole(self) -> Region:
        """The whole picture."""
        return Region(0, 0, self.scene.width, self.scene.height)

    def draw(self, *elements: str) -> None:
        """Paint SVG elements over what is there."""
        self.scene.ground.extend(elements)

    def icon(self, cx: float, cy: float, size: float, colour: str, stroke: float = 1.6) -> None:
        """The copy's icon, centred at a point."""
        if self.copy.icon:
            self.draw(self.icons.draw(self.copy.icon, cx - size / 2, cy - size / 2, size, colour, stroke))

    def picture(self, region: Region, name: str = "photo", radius: float = 0.0) -> bool:
        """The copy's picture, covering a region; False when there is none."""
        if not self.copy.picture:
            return False
        image = (
            f'<image x="{region.x:.1f}" y="{region.y:.1f}" width="{region.w:.1f}" height="{region.h:.1f}" '
            f'preserveAspectRatio="xMidYMid slice" xlink:href="{self.copy.picture}"/>'
        )
        self.draw(region.clip(name, image, radius))
        return True

    def stack(
        self,
        lines: Sequence[Line],
        region: Region,
        *,
        at: Literal["top", "middle", "bottom"],
        centred: bool = False,
    ) -> Region:
        """Set texts under each other in a region, all shrunk by one factor until they fit; returns what they cover.

        Raises:
            InvalidValue: when they do not fit at the smallest scale.
        """
        wanted = [line for line in lines if line.text.strip()]
        if not wanted:
            return Region(region.x, region.y, region.w, 0)
        blocks, height = self._shrunk(wanted, region)
        top = region.y + {"top": 0.0, "middle": 0.5, "bottom": 1.0}[at] * (region.h - height)
        start = top
        x = region.x + region.w / 2 if centred else region.x
        for index, (line, block) in enumerate(zip(wanted, blocks, strict=True)):
            top += line.space if index else 0
            self.scene.texts.append(Placed(line.role, block, x, top, line.colour, centred))
            top += block.height
        return Region(region.x, start, region.w, height)

    def kicker(self, small: Line, numeral: Face) -> Line:
        """The line above the headline; a bare number is set large, in the headline's face."""
        if not small.text.isdigit():
            return small
        return replace(small, face=numeral, size=3 * small.size)

    def headline(self, size: float) -> float:
        """A headline's size: short ones are set larger."""
        count = len(self.copy.title)
        return size * (1.3 if count <= 16 else 1.16 if count <= 26 else 1.0)

    def even(self, texts: Sequence[str], face: Face, size: float, width: float, height: float) -> float:
        """The largest size up to ``size`` at which each text fits its box in at most two lines."""
        return min(
            self.typesetter.fit(
                text,
                face,
                size=size,
                floor=size * SMALLEST,
                width=width,
                height=height,
                lines=2,
                name="bullet",
            ).size
            for text in texts
        )

    def label(
        self, role: str, text: str, face: Face, size: float, colour: str, x: float, top: float, width: float
    ) -> float:
        """One line at a place, shrunk to a width; returns the width it took."""
        if not text.strip():
            return 0.0
        block = self.typesetter.fit(
            text, face, size=size, floor=size * 0.5, width=width, height=size * 2, lines=1, name=role
        )
        self.scene.texts.append(Placed(role, block, x, top, colour))
        return block.width

    def _shrunk(self, lines: Sequence[Line], region: Region) -> tuple[list[Block], float]:
        scale, failure = 1.0, InvalidValue("the texts do not fit the picture", remedy="shorten them")
        while scale >= SMALLEST:
            try:
                blocks = [
                    # Small texts shrink less than the headline, so that they stay readable.
                    self.typesetter.fit(
                        line.text.upper() if line.capitals else line.text,
                        line.face,
                        size=(size := line.size * (scale if line.role == "title" else scale**0.5)),
                        floor=size * 0.94,
                        width=region.w,
                        height=region.h,
                        lines=line.lines,
                        name=line.role,
                    )
                    for line in lines
                ]
            except InvalidValue as error:
                failure = error
            else:
                height = sum(block.height for block in blocks) + sum(line.space for line in lines[1:])
                if height <= region.h:
                    return blocks, height
            scale -= 0.04
        raise failure
