"""The house model `text-icon` on ONNX Runtime: words to pictures of 32 by 32 by flow matching."""

import json
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from bottega.drawing.words import MOST
from bottega.engines.likeness import Inks, run, session

SIDE = 32  # pixels


class Pictures:
    """The network of a folder of the catalog, with its labels and those of them that it can draw."""

    def __init__(self, folder: Path, threads: int) -> None:
        self._folder, self._threads = folder, threads
        self.facts: dict[str, Any] = json.loads((folder / "model.json").read_bytes())
        self.labels: list[str] = self.facts["labels"]
        self.words: frozenset[int] = frozenset(self.facts["drawn"])

    def drawn(
        self, bag: Sequence[int], seeds: Sequence[tuple[int, int]], steps: int = 0, guidance: float = 0.0
    ) -> Inks:
        """A picture for each pair of seeds: Euler's method from noise to ink, with classifier-free guidance (Ho 2022).

        0 steps and guidance take the model's own.
        """
        steps, guidance = steps or int(self.facts["steps"]), guidance or float(self.facts["guidance"])
        noise = [np.random.Generator(np.random.Philox(key=np.array(seed, np.uint64))) for seed in seeds]
        x = np.stack([each.standard_normal((1, SIDE, SIDE), np.float32) for each in noise])
        row = np.array([*bag, *[0] * (1 + MOST - len(bag))], np.int64)
        bags = np.repeat(row[None], len(x), 0)
        if guidance != 1:
            bags = np.concatenate((bags, np.zeros_like(bags)))
        for step in range(steps):
            t = np.full(len(bags), step / steps, np.float32)
            v = run(self._velocity, np.resize(x, (len(bags), *x.shape[1:])), t, bags)
            if guidance != 1:
                told, free = np.split(v, 2)
                v = free + guidance * (told - free)
            x = x + v / steps
        return np.clip((1 - x[:, 0]) / 2, 0, 1).astype(np.float32)

    @cached_property
    def _velocity(self) -> Any:
        return session(self._folder / "velocity.onnx", self._threads)
