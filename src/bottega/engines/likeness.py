"""The house model `icon-pair` on ONNX Runtime: how well a picture fits words, by two towers trained by contrast."""

import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Inks = NDArray[np.float32]
"""[N, 32, 32], 0 paper to 1 ink."""


class Likeness:
    """Both towers of a folder of the catalog, each read when it is first used."""

    def __init__(self, folder: Path, threads: int) -> None:
        self._folder, self._threads = folder, threads

    def of(self, inks: Inks, words: Sequence[str]) -> NDArray[np.float32]:
        """How well each picture fits the words, -1..1: [N]; 0 for all where it knows none of the words."""
        known = [self._places[word] for word in words if word in self._places]
        if not known:
            return np.zeros(len(inks), np.float32)
        return self._pictured(inks) @ self._named([known])[0]

    def place(self, ink: NDArray[np.float32], words: Sequence[str]) -> int:
        """How many of all words it would rather name for a picture [32, 32] than these; -1 where it knows none of them."""
        known = [self._places[word] for word in words if word in self._places]
        if not known:
            return -1
        picture = self._pictured(ink[None])[0]
        return int((self._every @ picture > float(self._named([known])[0] @ picture) + 1e-6).sum())

    @property
    def words(self) -> int:
        """How many it knows."""
        return len(self._places)

    @cached_property
    def _places(self) -> Mapping[str, int]:
        facts: dict[str, Any] = json.loads((self._folder / "model.json").read_bytes())
        labels: list[str] = facts["labels"]
        return {label: place for place, label in enumerate(labels, 1) if not label.startswith("style:")}

    @cached_property
    def _every(self) -> NDArray[np.float32]:
        """Each word alone, [W, S]."""
        return self._named([[place] for place in self._places.values()])

    def _pictured(self, inks: Inks) -> NDArray[np.float32]:
        return run(self._picture, (1 - 2 * inks)[:, None])

    def _named(self, bags: Sequence[Sequence[int]]) -> NDArray[np.float32]:
        wide = 7  # a place for a style, and six words
        return run(self._text, np.array([[*bag[:wide], *[0] * (wide - len(bag))] for bag in bags], np.int64))

    @cached_property
    def _picture(self) -> Any:
        return session(self._folder / "picture.onnx", self._threads)

    @cached_property
    def _text(self) -> Any:
        return session(self._folder / "text.onnx", self._threads)


def session(path: Path, threads: int) -> Any:
    """A network of ONNX Runtime on the CPU."""
    import onnxruntime

    library: Any = onnxruntime
    options = library.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    return library.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def run(network: Any, *inputs: NDArray[Any]) -> NDArray[np.float32]:
    """Its first output."""
    fed = dict(zip((each.name for each in network.get_inputs()), inputs, strict=True))
    found: NDArray[np.float32] = network.run(None, fed)[0]
    return found
