"""Frames of a narrated video: slow motion over still pictures, crossfades, captions.

Each frame is resampled from a rectangle with fractional edges, so the motion is smooth below a pixel.
"""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bottega.core.errors import EngineFailed
from bottega.engines.base import require
from bottega.engines.video_captions import Cue

_ZOOM = 0.05  # how much closer the camera comes during a scene
_ASPECT = 0.12  # pictures this close to the frame's proportions are cropped, others get a blurred surround
_BOX = (10, 14, 22, 240)  # RGBA, behind captions: over 10:1 contrast with white on any picture


class Frames:
    """Draws frame after frame. ``starts`` are the scenes' first seconds; all times in seconds, sizes in pixels."""

    def __init__(
        self,
        pictures: Sequence[bytes],
        starts: Sequence[float],
        duration: float,
        size: tuple[int, int],
        fade: float,
    ) -> None:
        """Decode and scale the pictures.

        Raises:
            EngineFailed: a picture cannot be decoded.
        """
        self._size = size
        self._starts = list(starts)
        self._ends = [*self._starts[1:], duration]
        shortest = min(end - start for start, end in zip(self._starts, self._ends, strict=True))
        self._fade = min(fade, shortest / 2)
        self._canvas = (size[0] * 5 // 4, size[1] * 5 // 4)
        self._pictures = [_fill(data, self._canvas, index) for index, data in enumerate(pictures)]

    def at(self, time: float) -> Any:
        """The RGB picture at ``time``, without captions."""
        image: Any = require("PIL.Image", extra="video")
        scene = max(index for index, start in enumerate(self._starts) if start <= time or index == 0)
        picture = self._still(scene, time)
        half = self._fade / 2
        if scene + 1 < len(self._starts) and self._ends[scene] - time < half:
            share = (time - self._ends[scene] + half) / self._fade
            return image.blend(picture, self._still(scene + 1, time), share)
        if scene and time - self._starts[scene] < half:
            share = 0.5 + (time - self._starts[scene]) / self._fade
            return image.blend(self._still(scene - 1, time), picture, share)
        return picture

    def _still(self, scene: int, time: float) -> Any:
        """One scene's picture through the moving camera: even scenes come closer, odd ones draw back."""
        image: Any = require("PIL.Image", extra="video")
        half = self._fade / 2
        start, end = self._starts[scene] - half, self._ends[scene] + half
        part = min(1.0, max(0.0, (time - start) / (end - start)))
        near = part if scene % 2 == 0 else 1 - part
        width, height = (edge / (1 + _ZOOM * near) for edge in self._canvas)
        left = (self._canvas[0] - width) * (0.5 + 0.25 * (-1) ** (scene // 2))
        top = (self._canvas[1] - height) / 2
        box = (left, top, left + width, top + height)
        return self._pictures[scene].resize(self._size, image.Resampling.BICUBIC, box=box)


class Captions:
    """Draws captions into frames: at most two lines, inside the title-safe area, on a dark box."""

    def __init__(self, cues: Sequence[Cue], size: tuple[int, int], font: Path) -> None:
        """Draw every cue once."""
        fonts: Any = require("PIL.ImageFont", extra="video")
        self._cues = list(cues)
        self._face: Any = fonts.truetype(str(font), round(size[1] * 0.042), layout_engine=fonts.Layout.BASIC)
        self._plates = [self._plate(cue, size) for cue in self._cues]
        self._size = size

    def draw(self, frame: Any, time: float) -> None:
        """Put the cue of ``time``, if there is one, into the frame."""
        for cue, plate in zip(self._cues, self._plates, strict=True):
            if cue.start <= time < cue.end:
                left = (self._size[0] - plate.width) // 2
                frame.paste(plate, (left, round(self._size[1] * 0.94) - plate.height), plate)
                return

    def _plate(self, cue: Cue, size: tuple[int, int]) -> Any:
        image: Any = require("PIL.Image", extra="video")
        drawing: Any = require("PIL.ImageDraw", extra="video")
        unit = size[1] / 720
        face, pad, step = self._face, round(16 * unit), round(size[1] * 0.054)
        widths = [face.getlength(line) for line in cue.lines]
        plate = image.new("RGBA", (round(max(widths)) + 2 * pad, step * len(cue.lines) + pad), (0, 0, 0, 0))
        draw = drawing.Draw(plate)
        draw.rounded_rectangle((0, 0, plate.width - 1, plate.height - 1), round(8 * unit), fill=_BOX)
        for index, (line, width) in enumerate(zip(cue.lines, widths, strict=True)):
            middle = pad / 2 + step * (index + 0.5)
            draw.text(
                ((plate.width - width) / 2, middle), line, font=face, fill=(255, 255, 255, 255), anchor="lm"
            )
        return plate


def _fill(data: bytes, size: tuple[int, int], index: int) -> Any:
    """An RGB picture of exactly this size."""
    image: Any = require("PIL.Image", extra="video")
    operations: Any = require("PIL.ImageOps", extra="video")
    filters: Any = require("PIL.ImageFilter", extra="video")
    try:
        picture = image.open(io.BytesIO(data))
        picture.load()
    except (OSError, ValueError, image.DecompressionBombError) as error:
        raise EngineFailed(f"scene {index + 1} is not a readable picture", remedy="send PNG files") from error
    if picture.mode in ("RGBA", "LA", "P"):
        picture = image.alpha_composite(image.new("RGBA", picture.size, "white"), picture.convert("RGBA"))
    picture = picture.convert("RGB")
    lanczos = image.Resampling.LANCZOS
    covering = operations.fit(picture, size, lanczos)
    if abs(picture.width / picture.height / (size[0] / size[1]) - 1) <= _ASPECT:
        return covering
    surround = covering.filter(filters.GaussianBlur(size[1] / 24)).point(
        [value * 3 // 5 for value in range(256)] * 3
    )
    inside = operations.contain(picture, (size[0] * 9 // 10, size[1] * 9 // 10), lanczos)
    surround.paste(inside, ((size[0] - inside.width) // 2, (size[1] - inside.height) // 2))
    return surround
