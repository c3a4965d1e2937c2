"""What engines share that make vectors of texts: their ports, how much they take, and how vectors are written."""

import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from bottega.core.request import Finished
from bottega.engines.base import Port

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MOST = 2048  # texts of one request
LONGEST = 32_768  # characters of one text
BYTES_PER_TOKEN = 3.5  # European languages, where nobody counts tokens
INPUTS = (Port(name="text", media_types=("text/*",), required=False, many=True),)
OUTPUTS = (
    Port(name="vectors", media_types=("application/octet-stream",), note="little-endian float32, row by row"),
    Port(name="shape", media_types=("application/json",)),
)


def estimated_tokens(texts: Sequence[str]) -> int:
    """About as many tokens as the texts have."""
    return sum(max(1, round(len(text.encode()) / BYTES_PER_TOKEN)) for text in texts)


def finished(vectors: "NDArray[np.float32]", **details: Any) -> Iterator[Finished]:
    """The files of vectors, shape (texts, dimensions): the numbers, and how many there are."""
    shape = {"rows": len(vectors), "dimensions": int(vectors.shape[1])}
    yield Finished(
        port="vectors",
        media_type="application/octet-stream",
        data=vectors.astype("<f4", copy=False).tobytes(),
        details={**shape, **details},
    )
    yield Finished(port="shape", media_type="application/json", data=json.dumps(shape).encode())
