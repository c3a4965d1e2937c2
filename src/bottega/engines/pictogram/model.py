"""The house model on ONNX Runtime: words to 32 by 32 pictures by flow matching, ranked by the contrastive pair."""

import json
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bottega.core.errors import EngineFailed
from bottega.engines.pictogram.copies import Index
from bottega.training.data.icon_words import WORDS, asked

SIDE = 32  # pixels
Inks = NDArray[np.float32]
"""[N, 32, 32], 0 paper to 1 ink."""


class Pictures:
    """The networks of a folder of the catalog; each is read when it is first used."""

    def __init__(self, folder: Path, threads: int) -> None:
        self._folder, self._threads = folder, threads

    def bag(self, prompt: str, style: str) -> NDArray[np.int64]:
        """Style and words of a prompt as numbers, [7].

        Raises:
            EngineFailed: nothing in it can be drawn.
        """
        number, words = asked(f"{prompt} {style}", self.facts["labels"])
        words = [word for word in words if word in self.facts["drawn"]]
        if not words:
            raise EngineFailed(
                f"'{prompt[:80]}' names nothing that this model can draw",
                where="prompt",
                remedy=f"a thing, such as {', '.join(self.facts['labels'][i - 1] for i in self.facts['drawn'][::25])}",
            )
        return np.array([number, *words, *[0] * (WORDS - len(words))], np.int64)

    def words(self, bag: NDArray[np.int64]) -> list[str]:
        """What of the prompt was understood, the style first."""
        return [self.facts["labels"][i - 1].removeprefix("style:") for i in bag.tolist() if i]

    def drawn(
        self, bag: NDArray[np.int64], seeds: Sequence[tuple[int, int]], steps: int, guidance: float
    ) -> Inks:
        """A picture for each pair of seeds: Euler's method from noise to ink, with classifier-free guidance (Ho 2022)."""
        noise = [np.random.Generator(np.random.Philox(key=np.array(seed, np.uint64))) for seed in seeds]
        x = np.stack([each.standard_normal((1, SIDE, SIDE), np.float32) for each in noise])
        bags = np.repeat(bag[None], len(x), 0)
        if guidance != 1:
            bags = np.concatenate((bags, np.zeros_like(bags)))
        for step in range(steps):
            t = np.full(len(bags), step / steps, np.float32)
            v: Any = self._velocity.run(
                None, self._fed(self._velocity, np.resize(x, (len(bags), *x.shape[1:])), t, bags)
            )[0]
            if guidance != 1:
                told, free = np.split(v, 2)
                v = free + guidance * (told - free)
            x = x + v / steps
        return np.clip((1 - x[:, 0]) / 2, 0, 1)

    def likeness(self, inks: Inks, bag: NDArray[np.int64]) -> NDArray[np.float32]:
        """How well each picture fits the words, -1..1: [N]."""
        words = bag[None] * (bag[None] > self.facts["styles"])
        (picture,) = self._picture.run(None, self._fed(self._picture, (1 - 2 * inks)[:, None]))
        (text,) = self._text.run(None, self._fed(self._text, words))
        return picture @ text[0]

    @cached_property
    def facts(self) -> dict[str, Any]:
        """``labels``, how many of them are ``styles``, which can be ``drawn``, ``steps`` and ``guidance``."""
        return json.loads((self._folder / "model.json").read_bytes())

    @cached_property
    def index(self) -> Index:
        """The training icons."""
        return Index.read(self._folder / "training.index")

    @cached_property
    def _velocity(self) -> Any:
        return self._session("velocity.onnx")

    @cached_property
    def _picture(self) -> Any:
        return self._session("picture.onnx")

    @cached_property
    def _text(self) -> Any:
        return self._session("text.onnx")

    def _session(self, name: str) -> Any:
        import onnxruntime

        library: Any = onnxruntime
        options = library.SessionOptions()
        options.intra_op_num_threads = self._threads
        options.inter_op_num_threads = 1
        return library.InferenceSession(str(self._folder / name), options, providers=["CPUExecutionProvider"])

    @staticmethod
    def _fed(session: Any, *inputs: NDArray[Any]) -> dict[str, NDArray[Any]]:
        return dict(zip((each.name for each in session.get_inputs()), inputs, strict=True))
