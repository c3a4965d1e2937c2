"""Bar charts drawn by a rule, with questions and their answers: what a picture says and no text can tell."""

from pathlib import Path

import numpy as np
import torch

from bottega.training.data.base import Data, Watch
from bottega.training.data.records import packed

HIGH, WIDE = 32, 48
COUNT = {"train": 20_000, "test": 1_000}
STEP = 3  # pixels of one unit; bars stand for 0 to 9
QUESTIONS = ("values", "count", "highest", "bar")


def prepare(home: Path, watch: Watch) -> Data:
    """Draw both splits from fixed seeds."""
    del home, watch

    def split(name: str) -> dict[str, torch.Tensor]:
        draw = np.random.default_rng(0 if name == "train" else 1)
        charts = [chart(draw) for _ in range(COUNT[name])]
        asked = [question(draw, values) for _, values in charts]
        images = torch.from_numpy(np.stack([pixels for pixels, _ in charts]))[:, None]
        prompts, answers = ([pair[side].encode() for pair in asked] for side in (0, 1))
        return {"images": images, **packed(prompts, "prompts"), **packed(answers, "answers")}

    return Data(
        name="charts",
        licence="CC0-1.0",
        attribution="drawn by a rule, in Bottega",
        train=split("train"),
        test=split("test"),
        shape={"channels": 1, "high": HIGH, "wide": WIDE},
    )


def chart(draw: np.random.Generator) -> tuple[np.ndarray, list[int]]:
    """Pixels uint8 [32, 48] and the values of 2 to 5 bars, of which one is the highest.

    Ground, bars and lines have random shades; width, gaps and margin of the bars are random; there is noise.
    """
    count = int(draw.integers(2, 6))
    values = draw.integers(0, 10, count)
    while (values == values.max()).sum() > 1:
        values = draw.integers(0, 10, count)
    ground, ink = draw.integers(0, 80), draw.integers(140, 240)
    pixels = np.full((HIGH, WIDE), ground, np.float32)
    if draw.integers(2):
        pixels[HIGH - 2 - STEP * 5 :: -STEP * 5] += 25  # lines at 5, 10
    pitch = int(draw.integers(7, WIDE // count + 1)) if WIDE // count > 7 else 7
    thick = int(draw.integers(3, pitch - 1))
    left = int(draw.integers(0, WIDE - pitch * count + 1)) + 1
    for i, value in enumerate(values):
        start = left + i * pitch
        pixels[HIGH - 2 - STEP * value : HIGH, start : start + thick] = ink  # a foot of 2 pixels stands for 0
    if draw.integers(2):
        pixels = 255 - pixels
    pixels += draw.normal(0, 6, pixels.shape)
    return pixels.clip(0, 255).astype(np.uint8), [int(value) for value in values]


def question(draw: np.random.Generator, values: list[int]) -> tuple[str, str]:
    """A question about the values, and the answer; half of all ask for every value."""
    kind = QUESTIONS[max(0, int(draw.integers(-2, 4)))]
    if kind == "values":
        return kind, " ".join(map(str, values))
    if kind == "count":
        return kind, str(len(values))
    if kind == "highest":
        return kind, str(values.index(max(values)) + 1)
    place = int(draw.integers(len(values)))
    return f"bar {place + 1}", str(values[place])
