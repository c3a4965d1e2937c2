"""Which training drawing a drawing is nearest to, so that a near copy is refused or named."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bottega.drawing.raster import raster
from bottega.drawing.shapes import Drawing

SIDE = 32  # pixels of the pictures that are compared
COPY = 0.95  # share of the common ink (intersection over union) from which a drawing is a copy

Bits = NDArray[np.uint8]


def bits(drawings: Sequence[Drawing]) -> Bits:
    """Which pixels are mostly ink: [N, 128], eight pixels a byte."""
    pictures = [np.packbits(raster(drawing, SIDE) > 127) for drawing in drawings]
    return np.stack(pictures) if pictures else np.zeros((0, SIDE * SIDE // 8), np.uint8)


def nearest(drawn: Bits, known: Bits) -> tuple[int, float]:
    """The place in ``known`` [N, 128] of what one picture [128] overlaps most, and by how much, 0 to 1."""
    common = np.bitwise_count(known & drawn).sum(1, dtype=np.int64)
    whole = np.bitwise_count(known | drawn).sum(1, dtype=np.int64)
    shares = common / np.maximum(whole, 1)
    best = int(shares.argmax())
    return best, float(shares[best])
