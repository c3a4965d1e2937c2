"""Rows of float32 in a file that only grows, and the rows of it that are nearest to a vector."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bottega.core.errors import StorageFailed
from bottega.retrieval.embed import Vectors
from bottega.storage.disk import appearing, disk, sync_folder

BLOCK = 16_384  # rows multiplied at once: 25 MB at 384 dimensions
DECIMALS = 6  # the last bits of a product depend on how the processor adds up
Rows = NDArray[np.int64]


class VectorFile:
    """``path`` holds rows of ``dimensions`` numbers. Which row is whose stands in the collection's database."""

    def __init__(self, path: Path, dimensions: int) -> None:
        self.path = path
        self.dimensions = dimensions
        self._width = 4 * dimensions  # bytes of a row

    @property
    def length(self) -> int:
        """Whole rows in the file, used or not."""
        return self.path.stat().st_size // self._width if self.path.exists() else 0

    def write(self, first: int, rows: Vectors) -> None:
        """Put rows at ``first`` and after; on the disk when this returns. What a killed writer left there is overwritten.

        Raises:
            StorageFailed: the disk is full.
        """
        write_rows(self.path, first * self._width, np.ascontiguousarray(rows, dtype="<f4").tobytes())

    def blank(self, rows: Sequence[int]) -> None:
        """Overwrite rows with zeros, so that nothing of what they stood for is left."""
        blank_rows(self.path, self._width, rows)

    def copy(self, target: Path, rows: Rows) -> None:
        """Write these rows, in this order, into a new file that appears whole."""
        source = self._mapped(int(rows.max(initial=-1)))
        with disk(target.parent), appearing(target) as path, path.open("wb") as file:
            for start in range(0, len(rows), BLOCK):
                file.write(np.ascontiguousarray(source[rows[start : start + BLOCK]]).data)
            file.flush()
            os.fsync(file.fileno())

    def read(self, rows: Rows) -> Vectors:
        """The vectors of these rows (ascending), shape (n, dimensions).

        Raises:
            StorageFailed: the file is shorter.
        """
        return np.asarray(self._mapped(int(rows[-1]) if len(rows) else -1)[rows])

    def nearest(self, vector: Vectors, rows: Rows, top: int) -> tuple[Rows, Vectors]:
        """The places in ``rows`` (ascending, no others are looked at) with the largest dot products, best first.

        Exact. Equal products keep the order of ``rows``. Memory is that of one block, however many rows there are.

        Raises:
            StorageFailed: the file is shorter than its rows say.
        """
        source = self._mapped(int(rows[-1]) if len(rows) else -1)
        places = np.zeros(0, dtype=np.int64)
        scores = np.zeros(0, dtype=np.float32)
        for start in range(0, len(rows), BLOCK):
            wanted = rows[start : start + BLOCK]
            whole = wanted[-1] - wanted[0] + 1 == len(wanted)
            block = (
                source[wanted[0] : wanted[-1] + 1] if whole else source[wanted]
            )  # no copy where that is possible
            places = np.concatenate([places, np.arange(start, start + len(wanted))])
            scores = np.concatenate([scores, np.round(block @ vector, DECIMALS)])
            if len(scores) > top:
                order = np.argsort(-scores, kind="stable")[:top]
                places, scores = places[order], scores[order]
        order = np.argsort(-scores, kind="stable")
        return places[order], scores[order]

    def _mapped(self, last: int) -> Vectors:
        if last < 0:
            return np.zeros((0, self.dimensions), dtype=np.float32)
        if self.length <= last:
            raise StorageFailed(
                f"the vectors end at row {self.length}, row {last} is wanted",
                where=str(self.path),
                remedy="index the collection again: what is missing is made again",
            )
        return np.memmap(self.path, dtype="<f4", mode="r", shape=(last + 1, self.dimensions))


def write_rows(path: Path, offset: int, data: bytes) -> None:
    """Put bytes at ``offset`` of a file that is made if it is not there; on the disk when this returns.

    Raises:
        StorageFailed: the disk is full.
    """
    with disk(path.parent):
        new = not path.exists()
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab"):
            pass  # the file is there; "r+b" below does not move to its end
        with path.open("r+b", buffering=0) as file:
            file.seek(offset)
            left = memoryview(data)
            while left:
                left = left[file.write(left) :]
            os.fdatasync(file.fileno())
        if new:
            sync_folder(path.parent)


def blank_rows(path: Path, width: int, rows: Sequence[int]) -> None:
    """Overwrite rows of ``width`` bytes with zeros, those that the file has.

    Raises:
        StorageFailed: the disk refuses.
    """
    if not path.exists():
        return
    length = path.stat().st_size
    with disk(path.parent), path.open("r+b", buffering=0) as file:
        for row in rows:
            if row * width < length:
                file.seek(row * width)
                file.write(bytes(width))
        os.fdatasync(file.fileno())
