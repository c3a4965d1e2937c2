"""What a GGUF file says of itself, read without its weights (ggml's docs/gguf.md, version 3)."""

import struct
from pathlib import Path
from typing import Any, BinaryIO

from bottega.core.errors import EngineFailed

MAGIC = b"GGUF"
TEXT, ARRAY = 8, 9
NUMBERS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
MOST = 2_000_000  # items of an array, or bytes of a text: more is a damaged file


def metadata(path: Path) -> dict[str, Any]:
    """Keys and values of the file's head: about 50 ms for 150,000 tokens.

    Raises:
        EngineFailed: it is no GGUF file of version 2 or 3, or is cut off.
    """
    try:
        with path.open("rb") as file:
            if file.read(4) != MAGIC or _number(file, "I") not in (2, 3):
                raise EngineFailed("this is no GGUF file of version 2 or 3", where=path.name)
            _number(file, "Q")  # tensors
            return {_text(file): _value(file, _number(file, "I")) for _ in range(_number(file, "Q"))}
    except (struct.error, UnicodeDecodeError, KeyError) as error:
        raise EngineFailed(
            "the head of the file is damaged", where=path.name, remedy="pull it again"
        ) from error


def _number(file: BinaryIO, form: str) -> Any:
    size = struct.calcsize(f"<{form}")
    return struct.unpack(f"<{form}", file.read(size))[0]


def _text(file: BinaryIO) -> str:
    size = _number(file, "Q")
    if size > MOST:
        raise struct.error
    return file.read(size).decode()


def _value(file: BinaryIO, kind: int) -> Any:
    if kind == TEXT:
        return _text(file)
    if kind != ARRAY:
        return _number(file, NUMBERS[kind])
    inner, count = _number(file, "I"), _number(file, "Q")
    if count > MOST:
        raise struct.error
    if inner in (TEXT, ARRAY):
        return [_value(file, inner) for _ in range(count)]
    form = NUMBERS[inner]
    return list(struct.unpack(f"<{count}{form}", file.read(count * struct.calcsize(f"<{form}"))))
