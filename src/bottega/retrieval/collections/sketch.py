"""A sketch of each vector in bits: among very many vectors it says which few are worth multiplying."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bottega.retrieval.collections.vectors import BLOCK, Rows, blank_rows, write_rows
from bottega.retrieval.embed import Vectors

EXACT = 200_000  # vectors that somebody may see, up to which all of them are multiplied
LEAST_BITS = 512
KEPT = 8_000  # vectors that are multiplied beyond that
KEPT_EACH = 40  # and at least so many for each one that is asked for
_GRAIN = 1 << 19  # a number of a unit vector becomes a whole multiple of 1/_GRAIN: see `Sketcher`
_SEED = 1

# (words of 64 bits, vectors): the first word of every vector, then the second, as they are compared
Codes = NDArray[np.uint64]


class Sketcher:
    """A bit says on which side of a plane a vector lies; vectors that are near in direction differ in few bits.

    The planes are columns of rows drawn from a Hadamard matrix, signs flipped, by a fixed stream: they come from no data, so the sketch of
    a vector depends on that vector alone, nothing is trained, and what is not compared changes nothing. All of their numbers
    are 1 or -1, and the numbers of a vector are rounded to multiples of 2^-19, so for vectors of length 1 and up to 1,024
    dimensions every partial sum is exact in float32: a bit does not depend on how a processor adds up.

    Source: Charikar, Similarity Estimation Techniques from Rounding Algorithms, STOC 2002; Ailon and Chazelle, The Fast
    Johnson-Lindenstrauss Transform, SICOMP 2009 (signs and a Hadamard matrix for random planes).
    """

    def __init__(self, dimensions: int) -> None:
        bits = max(LEAST_BITS, 1 << (dimensions - 1).bit_length())
        planes = np.ones((1, 1), dtype=np.float32)
        while len(planes) < bits:
            planes = np.block([[planes, planes], [planes, -planes]])
        stream = np.random.PCG64(_SEED).random_raw(bits)
        signs = np.where(stream & np.uint64(1), np.float32(1), np.float32(-1))
        drawn = np.argsort(stream)[:dimensions]
        self._planes = np.ascontiguousarray((planes * signs[:, None])[drawn])  # (dimensions, bits)
        self.words = bits // 64

    def codes(self, vectors: Vectors) -> Codes:
        """Shape (words, n) for vectors of shape (n, dimensions), each of length 1 or 0."""
        grains = np.round(vectors * np.float32(_GRAIN))
        return np.packbits(grains @ self._planes > 0, axis=1).view(np.uint64).T


def differing(codes: Codes, code: Codes) -> NDArray[np.uint16]:
    """In how many bits each of ``codes``, shape (words, n), differs from ``code``, shape (words, 1)."""
    sums = np.zeros(codes.shape[1], dtype=np.uint16)
    for start in range(0, codes.shape[1], BLOCK):
        for word, asked in zip(codes[:, start : start + BLOCK], code[:, 0], strict=True):
            sums[start : start + BLOCK] += np.bitwise_count(word ^ asked)
    return sums


def worth(top: int) -> int:
    """How many vectors are multiplied to find the best ``top``."""
    return max(KEPT, KEPT_EACH * top)


def likeliest(codes: Codes, code: Codes, wanted: int) -> Rows:
    """Places of the ``wanted`` vectors whose codes differ least, ascending; those that differ as much as the last are all among them."""
    if codes.shape[1] <= wanted:
        return np.arange(codes.shape[1], dtype=np.int64)
    differ = differing(codes, code)
    last = int(np.partition(differ, wanted - 1)[wanted - 1])
    near: NDArray[np.bool_] = differ <= last
    return np.flatnonzero(near)


class SketchFile:
    """``path`` holds the codes of a file of vectors, row by row; it may be shorter, and is made again when it is lost."""

    def __init__(self, path: Path, words: int) -> None:
        self.path = path
        self._width = 8 * words  # bytes of a row

    @property
    def length(self) -> int:
        """Whole rows in the file."""
        return self.path.stat().st_size // self._width if self.path.exists() else 0

    def write(self, first: int, codes: Codes) -> None:
        """Put codes, shape (words, n), at row ``first`` and after; on the disk when this returns.

        Raises:
            StorageFailed: the disk is full.
        """
        write_rows(self.path, first * self._width, np.ascontiguousarray(codes.T, dtype="<u8").tobytes())

    def blank(self, rows: Sequence[int]) -> None:
        """Overwrite rows with zeros, as far as the file has them."""
        blank_rows(self.path, self._width, rows)

    def read(self, rows: Rows) -> Codes:
        """The codes of these rows, shape (words, n), as far as they are in the file: rows beyond it are left out."""
        words = self._width // 8
        there = rows[: np.searchsorted(rows, self.length)]
        if not len(there):
            return np.zeros((words, 0), dtype=np.uint64)
        kept = np.memmap(self.path, dtype="<u8", mode="r", shape=(int(there[-1]) + 1, words))
        return np.ascontiguousarray(kept[there].T)
