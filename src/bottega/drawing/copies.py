"""Is a picture nearly one of those that a model was trained on? The one measure of it, and a compact index that answers by name."""

import io
import json
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

INKED = 0.3  # share of ink from which one of 16 by 16 places counts
NEAR = 0.95  # Dice overlap of these places, shifted by up to a pixel of 32, from which it is a near copy
Bits = NDArray[np.uint64]


class Origin(NamedTuple):
    """A training icon, whose it is, and how much a picture overlaps it, 0..1."""

    overlap: float
    icon: str
    author: str
    licence: str


def signature(ink: NDArray[np.float32]) -> Bits:
    """Which places hold ink: [N, 32, 32] in 0..1 -> 256 bits, [N, 4]."""
    places = ink.reshape(len(ink), 16, 2, 16, 2).mean((2, 4)) > INKED
    return np.packbits(places.reshape(len(ink), 256), axis=1).view(np.uint64)


def shifted(ink: NDArray[np.float32]) -> NDArray[np.float32]:
    """[32, 32] -> the nine that are moved by at most one pixel, [9, 32, 32]."""
    wide = np.pad(ink, 1)
    return np.stack([wide[1 + y : 33 + y, 1 + x : 33 + x] for y in (-1, 0, 1) for x in (-1, 0, 1)])


def nearest(ink: NDArray[np.float32], known: Bits) -> tuple[int, float]:
    """The place in ``known`` [N, 4] of what a picture [32, 32] overlaps most, and by how much, 0 to 1."""
    sizes = np.bitwise_count(known).sum(1, dtype=np.int64)
    best, place = 0.0, 0
    for mine in signature(shifted(ink)):
        both = np.bitwise_count(known & mine).sum(1, dtype=np.int64)
        overlap = 2 * both / np.maximum(sizes + int(np.bitwise_count(mine).sum()), 1)
        if overlap.max() > best:
            best, place = float(overlap.max()), int(overlap.argmax())
    return place, best


@dataclass(frozen=True)
class Index:
    """Signatures [N, 4] of the training icons, the set [N] of each, their names, and set -> author and licence."""

    bits: Bits
    sets: NDArray[np.uint8]
    names: list[str]
    owners: list[dict[str, str]]

    def nearest(self, ink: NDArray[np.float32]) -> Origin:
        """The training icon that a picture [32, 32] overlaps most."""
        place, best = nearest(ink, self.bits)
        owner = self.owners[int(self.sets[place])]
        return Origin(
            round(best, 4), f"{owner['set']}:{self.names[place]}", owner["author"], owner["licence"]
        )

    def written(self) -> bytes:
        """As one file: a line of JSON, then compressed names, sets and signatures."""
        parts = [zlib.compress("\n".join(self.names).encode(), 9), self.sets.tobytes(), self.bits.tobytes()]
        head = {"owners": self.owners, "sizes": [len(part) for part in parts]}
        return json.dumps(head).encode() + b"\n" + b"".join(parts)

    @classmethod
    def read(cls, path: Path) -> "Index":
        """What ``written`` gave."""
        stream = io.BytesIO(path.read_bytes())
        head: dict[str, Any] = json.loads(stream.readline())
        names, sets, bits = (stream.read(size) for size in head["sizes"])
        return cls(
            bits=np.frombuffer(bits, np.uint64).reshape(-1, 4),
            sets=np.frombuffer(sets, np.uint8),
            names=zlib.decompress(names).decode().split("\n"),
            owners=head["owners"],
        )
