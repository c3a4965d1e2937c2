"""The embedding seam: texts become vectors whose dot product says how near they are in meaning."""

from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from bottega.catalog.catalog import Catalog
from bottega.core.errors import NotFound

Vectors = NDArray[np.float32]

EMBEDDERS: dict[str, tuple[str, str]] = {
    "arctic-embed-s": ("arctic", "Arctic"),
    "potion-base-8m": ("static", "Static"),
    "use-multilingual": ("use", "Use"),
}
"""Catalog model to the module in this folder and its class. The first is the default."""

DEFAULT = next(iter(EMBEDDERS))


class Embedder(Protocol):
    """One embedding model. A text's vector depends on that text alone, so that no other text shows through it."""

    id: str
    dimensions: int

    def passages(self, texts: Sequence[str]) -> Vectors:
        """Vectors of what is searched, shape (n, dimensions), each of length 1; a text without a word may be all zero."""
        ...

    def query(self, text: str) -> Vectors:
        """The vector of a question, shape (dimensions,)."""
        ...


def load(name: str, catalog: Catalog, threads: int) -> Embedder:
    """An embedder whose weights lie here; they are read on first use.

    Raises:
        NotFound: no embedder has this name.
        WeightsMissing: its model is not pulled.
        ExtraMissing: without the extra ``retrieve``.
    """
    if name not in EMBEDDERS:
        raise NotFound(f"no embedder is called '{name}'", remedy=f"one of: {', '.join(EMBEDDERS)}")
    return load_from(name, catalog.path(name), threads)


def load_from(name: str, folder: Path, threads: int) -> Embedder:
    """An embedder whose weights lie in ``folder``, for engines, whose bench tells them where.

    Raises:
        ExtraMissing: without the extra ``retrieve``.
    """
    module, kind = EMBEDDERS[name]
    made = cast(
        Callable[[Path, int], Embedder], getattr(import_module(f"bottega.retrieval.embed.{module}"), kind)
    )
    return made(folder, threads)


def unit(vectors: Any) -> Vectors:
    """Rows of length 1; a row of zeros stays."""
    found: Vectors = np.asarray(vectors, dtype=np.float32)
    lengths = np.linalg.norm(found, axis=-1, keepdims=True)
    return found / np.maximum(lengths, np.float32(1e-12))
