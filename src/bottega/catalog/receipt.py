"""The receipt in a model's folder: what was put there, so that a later look costs no hashing."""

import hashlib
import os
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from bottega.catalog.model import RECEIPT
from bottega.core.value import Value


class Kept(Value, frozen=True):
    """One file as it was when the pull ended; ``mtime_us`` is when it was written (microseconds since 1970), 0 in receipts of before."""

    path: str
    size: int
    sha256: str
    mtime_us: int = 0


class Receipt(Value, frozen=True):
    """Written last; a folder without one is not a pulled model."""

    format: Literal["bottega.receipt/1"] = "bottega.receipt/1"
    model: str
    digest: str
    files: tuple[Kept, ...]

    def complete(self, folder: Path) -> bool:
        """Whether every file is there with its size."""
        return all(_size(folder / kept.path) == kept.size for kept in self.files)

    def touched(self, folder: Path) -> bool:
        """Whether a file was written since, so that its size alone says nothing."""
        return any(kept.mtime_us and _written(folder / kept.path) != kept.mtime_us for kept in self.files)

    def seen(self, folder: Path) -> "Receipt":
        """The same, with the times that the files have now."""
        files = (kept.model_copy(update={"mtime_us": _written(folder / kept.path)}) for kept in self.files)
        return self.model_copy(update={"files": tuple(files)})

    def write(self, folder: Path) -> None:
        """Put the receipt into the folder in one step."""
        temporary = folder / f".{RECEIPT}"
        with temporary.open("wb") as stream:
            stream.write(self.canonical() + b"\n")
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(folder / RECEIPT)


def read_receipt(folder: Path) -> Receipt | None:
    """The folder's receipt, or nothing when it is absent or not readable."""
    try:
        return Receipt.model_validate_json((folder / RECEIPT).read_bytes())
    except (OSError, ValidationError):
        return None


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's bytes."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return -1


def _written(path: Path) -> int:
    return path.stat().st_mtime_ns // 1000
