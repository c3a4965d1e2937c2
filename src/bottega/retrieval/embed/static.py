"""Potion base 8M: a static embedder, the mean of one row for each word piece; no network runs."""

import json
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from bottega.engines.base import require
from bottega.retrieval.embed import Vectors, unit


class Static:
    """A few hundred times faster than a network, and blind to the order of words.

    Source: van Dongen and Tulkens, Model2Vec, 2024 (github.com/MinishLab/model2vec).
    """

    id = "potion-base-8m"
    dimensions = 256

    def __init__(self, folder: Path, threads: int) -> None:
        self._folder = folder
        self._tokenizers: Any = require("tokenizers", extra="retrieve")

    def passages(self, texts: Sequence[str]) -> Vectors:
        """Shape (n, 256); a text of which no piece is known is all zero."""
        rows = np.zeros((len(texts), self.dimensions), dtype=np.float32)
        encodings: Any = self._tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)
        for row, encoding in zip(rows, encodings, strict=True):
            ids = [piece for piece in encoding.ids if piece != self._unknown]
            if ids:
                row[:] = self._table[ids].mean(axis=0)
        return unit(rows)

    def query(self, text: str) -> Vectors:
        """Shape (256,)."""
        return self.passages([text])[0]

    @cached_property
    def _tokenizer(self) -> Any:
        tokenizer: Any = self._tokenizers.Tokenizer.from_file(str(self._folder / "tokenizer.json"))
        tokenizer.no_padding()
        tokenizer.no_truncation()
        return tokenizer

    @cached_property
    def _unknown(self) -> int:
        found: int = self._tokenizer.token_to_id("[UNK]")
        return found

    @cached_property
    def _table(self) -> Vectors:
        """Rows of the word pieces, shape (29528, 256); a safetensors file is a JSON head and then the numbers."""
        path = self._folder / "model.safetensors"
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            tensor: dict[str, Any] = json.loads(file.read(length))["embeddings"]
        start = 8 + length + int(tensor["data_offsets"][0])
        return np.memmap(path, dtype="<f4", mode="r", offset=start, shape=tuple(tensor["shape"]))
