"""The house model `icon-svg`: rows of tokens from words, as drawings."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bottega.drawing import weights
from bottega.drawing.alphabet import decode
from bottega.drawing.raster import raster
from bottega.drawing.sampler import How, Network, sample
from bottega.drawing.shapes import Drawing


class Drawings:
    """The network of a folder of the catalog, with its labels."""

    def __init__(self, folder: Path) -> None:
        facts: dict[str, Any] = json.loads((folder / "model.json").read_bytes())
        self.labels: list[str] = facts["labels"]
        self.guidance: float = facts["guidance"]
        self._network = Network(weights.read(folder / "model.safetensors"), facts["heads"])

    def drawn(
        self,
        prompt: Sequence[int],
        temperature: float,
        guidance: float,
        seeds: Sequence[Sequence[int]],
        check: Callable[[], None] = lambda: None,
    ) -> tuple[NDArray[np.float32], list[Drawing]]:
        """One drawing a seed, and its ink [N, 32, 32]; guidance 0 takes the model's own."""
        how = How(temperature=temperature, guidance=guidance or self.guidance)
        made = sample(self._network, [prompt] * len(seeds), how, seeds, check)
        drawings = [decode(each.tokens) for each in made]
        inks = np.stack([raster(drawing) for drawing in drawings])
        return np.divide(inks, 255, dtype=np.float32), drawings
