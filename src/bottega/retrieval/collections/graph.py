"""A graph over the vectors of one large shelf: nearly its nearest rows, in a time that hardly grows with their number."""

from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from bottega.engines.base import require
from bottega.retrieval.collections.vectors import BLOCK, Rows, VectorFile
from bottega.retrieval.embed import Vectors
from bottega.storage.disk import appearing, disk

LEAST = 200_000  # rows of a shelf: fewer are multiplied one by one
TAIL = 0.1  # share of a shelf's rows that may lie behind its graph before it is made again
CANDIDATES = 512  # that a search keeps: recall of the nearest hundred is .996 (decision 18)


class Graph:
    """A file beside the vectors, of rows of one shelf alone: what others may see has no part in who is found.

    It finds candidates; their scores are worked out from the vectors themselves.

    Raises:
        ExtraMissing: without the extra ``graph``.

    Source: Malkov and Yashunin, Hierarchical Navigable Small World graphs, 2018 (arXiv:1603.09320), as in usearch.
    """

    def __init__(self, path: Path, candidates: int = CANDIDATES) -> None:
        library: Any = require("usearch.index", extra="graph")
        self._index: Any = library.Index.restore(str(path), view=True)
        self._index.expansion_search = candidates
        self.rows: Rows = np.sort(np.asarray(self._index.keys[:], dtype=np.int64))

    def nearest(self, query: Vectors, top: int) -> Rows:
        """About the ``top`` rows with the largest dot products, ascending."""
        found: Any = self._index.search(query, top, threads=1)
        return np.sort(np.asarray(found.keys, dtype=np.int64))

    def covers(self, rows: Rows) -> bool:
        """Whether it holds the first of these rows, ascending, and no other: one that was taken out or put on another shelf is missed."""
        return np.array_equal(rows[: len(self.rows)], self.rows)


def installed() -> bool:
    """Whether the extra ``graph`` is there; without it every search is exact."""
    return find_spec("usearch") is not None


def path_of(vectors: Path, shelf: int) -> Path:
    """Where the graph of a shelf lies; it goes with the file of vectors."""
    return vectors.with_name(f"{vectors.name}-graph-{shelf}")


def build(path: Path, source: VectorFile, rows: Rows) -> None:
    """Write the graph of ``rows`` of ``source``, on one thread, so that it is the same each time; it appears whole.

    Raises:
        StorageFailed: the disk is full.
    """
    library: Any = require("usearch.index", extra="graph")
    index: Any = library.Index(ndim=source.dimensions, metric="ip", dtype="bf16")
    for start in range(0, len(rows), BLOCK):
        some = rows[start : start + BLOCK]
        index.add(some, source.take(some), threads=1)
    with disk(path.parent), appearing(path) as draft:
        index.save(str(draft))


def forget(vectors: Path, rows: Sequence[int]) -> None:
    """Delete every graph that holds one of these rows."""
    for path in graphs(vectors):
        if not installed() or np.isin(np.asarray(rows), Graph(path).rows).any():
            path.unlink(missing_ok=True)


def graphs(vectors: Path) -> Iterator[Path]:
    """The graphs of a file of vectors."""
    return vectors.parent.glob(f"{vectors.name}-graph-*")
