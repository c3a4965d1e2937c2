"""Weights of a safetensors file as NumPy arrays, without torch."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bottega.core.errors import InvalidValue

TYPES = {"F16": np.float16, "F32": np.float32}


def read(path: Path) -> dict[str, NDArray[np.floating]]:
    """Every tensor by name; of 16 or 32 bits.

    Raises:
        InvalidValue: no such file, cut short, or of another type.
    """
    try:
        content = path.read_bytes()
        begin = 8 + int.from_bytes(content[:8], "little")
        head: dict[str, Any] = json.loads(content[8:begin])
        head.pop("__metadata__", None)
        return {
            name: np.frombuffer(
                content[begin + each["data_offsets"][0] : begin + each["data_offsets"][1]],
                TYPES[each["dtype"]],
            ).reshape(each["shape"])
            for name, each in head.items()
        }
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InvalidValue(
            f"no readable weights: {error}", where=str(path), remedy="pull the model again"
        ) from error
