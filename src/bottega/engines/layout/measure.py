"""Measure what lies under texts: the ground colour that gives each the least contrast."""

import io
from collections.abc import Sequence
from typing import Any

from bottega.core.value import JsonObject
from bottega.engines.base import require
from bottega.engines.layout.colour import contrast


def grounds(png: bytes, texts: Sequence[JsonObject]) -> list[str]:
    """For each text, the worst colour that covers at least 2 % of its box in a picture drawn without the texts."""
    images: Any = require("PIL.Image", extra="all")
    picture: Any = images.open(io.BytesIO(png)).convert("RGB")
    return [worst_ground(picture, text["box"], text["colour"]) for text in texts]


def worst_ground(picture: Any, box: Sequence[int], colour: str, share: float = 0.02) -> str:
    """Reduce a box to 16 levels a channel, and find the least contrasting colour that covers at least ``share`` of it."""
    left, top, right, bottom = box
    crop: Any = picture.crop((left, top, max(right, left + 1), max(bottom, top + 1)))
    crop.thumbnail((160, 160))
    counts: list[tuple[int, tuple[int, int, int]]] = crop.getcolors(160 * 160)
    bins: dict[tuple[int, int, int], list[tuple[int, tuple[int, int, int]]]] = {}
    for count, (red, green, blue) in counts:
        bins.setdefault((red >> 4, green >> 4, blue >> 4), []).append((count, (red, green, blue)))
    total = sum(count for count, _ in counts)
    common = [group for group in bins.values() if sum(count for count, _ in group) >= share * total]
    means = [_mean(group) for group in common] or [_mean(counts)]
    return min(means, key=lambda mean: contrast(mean, colour))


def _mean(group: Sequence[tuple[int, tuple[int, int, int]]]) -> str:
    total = sum(count for count, _ in group)
    return "#" + "".join(
        f"{round(sum(count * rgb[i] for count, rgb in group) / total):02x}" for i in range(3)
    )
