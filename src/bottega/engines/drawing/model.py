"""The house model `icon-svg`: rows of tokens from words, as drawings that are compared with the training icons."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from bottega.drawing import weights
from bottega.drawing.alphabet import decode
from bottega.drawing.raster import raster
from bottega.drawing.sampler import How, Network, sample
from bottega.drawing.shapes import Drawing
from bottega.engines.pictogram.copies import NEAR, Index, Origin

INK = 0.004  # share of the pixels below which nothing is seen


class Drawn(NamedTuple):
    """One drawing, how well it fits the words, and the training icon nearest to it."""

    drawing: Drawing
    fit: float
    origin: Origin

    @property
    def copied(self) -> bool:
        """Whether it is a near copy."""
        return self.origin.overlap >= NEAR


class Drawings:
    """The network of a folder of the catalog, with its labels and the index of its training icons."""

    def __init__(self, folder: Path) -> None:
        facts: dict[str, Any] = json.loads((folder / "model.json").read_bytes())
        self.labels: list[str] = facts["labels"]
        self.guidance: float = facts["guidance"]
        self._network = Network(weights.read(folder / "model.safetensors"), facts["heads"])
        self._index = Index.read(folder / "training.index")

    def drawn(
        self,
        prompt: Sequence[int],
        temperature: float,
        guidance: float,
        seeds: Sequence[Sequence[int]],
        check: Callable[[], None],
    ) -> list[Drawn]:
        """One drawing a seed, the different ones that show something; those that copy nothing first, then by fit."""
        how = How(temperature=temperature, guidance=guidance or self.guidance)
        found: dict[Drawing, Drawn] = {}
        for made in sample(self._network, [prompt] * len(seeds), how, seeds, check):
            drawing = decode(made.tokens)
            ink = raster(drawing).astype(np.float32) / np.float32(255)
            if ink.mean() > INK:
                found.setdefault(drawing, Drawn(drawing, made.fit, self._index.nearest(ink)))
        return sorted(found.values(), key=lambda each: (each.copied, -each.fit))
