"""Tensors of a PyTorch checkpoint, read as data.

A checkpoint is a list of raw storages and an index that says which tensor lies where in which storage.

Source: torch/serialization.py, `_save` (zip, `archive/data.pkl`) and `_legacy_save` (five pickles, then storages).
"""

import math
import struct
import zipfile
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, Self, cast

import numpy as np
import numpy.typing as npt

from bottega.catalog.tensor_index import Storage, Tensor, evaluate, tensors
from bottega.core.errors import Tampered

LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
DAMAGE = (
    ValueError,
    IndexError,
    KeyError,
    TypeError,
    AttributeError,
    EOFError,
    zipfile.BadZipFile,
    struct.error,
)
INDEX_LIMIT = 64 * 2**20  # bytes; the index of a large model is about one


class TorchArchive:
    """The tensors of one checkpoint file, by name; each is read when asked for."""

    def __init__(self, path: Path) -> None:
        """Open the file and read its index.

        Raises:
            Tampered: the file is no checkpoint, or its index holds anything but tensors.
        """
        self.path = path
        self._file = path.open("rb")
        self._loaded: dict[str, npt.NDArray[Any]] = {}
        try:
            self._index = self._read_index()
        except DAMAGE as error:
            self._file.close()
            raise Tampered(f"not a readable PyTorch checkpoint: {error}", where=str(path)) from error
        except Tampered as error:
            self._file.close()
            error.where = str(path)
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def __contains__(self, name: str) -> bool:
        return name in self._index

    def names(self) -> tuple[str, ...]:
        """Every tensor's name, in the file's order."""
        return tuple(self._index)

    def __getitem__(self, name: str) -> npt.NDArray[Any]:
        """One tensor, as a writable array of its own shape.

        Raises:
            KeyError: there is no tensor of this name.
            Tampered: the tensor reaches outside its storage, or the storage is cut short.
        """
        tensor = self._index[name]
        values = self._storage(tensor.storage)
        count = math.prod(tensor.shape)
        if tensor.offset + count > values.size:
            raise Tampered(f"tensor '{name}' reaches outside its storage", where=str(self.path))
        return values[tensor.offset : tensor.offset + count].reshape(tensor.shape)

    def _storage(self, storage: Storage) -> npt.NDArray[Any]:
        if storage.key not in self._loaded:
            self._loaded[storage.key] = (
                self._zipped(storage) if self._zip is not None else self._legacy(storage)
            )
        return self._loaded[storage.key]

    @cached_property
    def _zip(self) -> zipfile.ZipFile | None:
        return zipfile.ZipFile(self._file) if zipfile.is_zipfile(self._file) else None

    def _zipped(self, storage: Storage) -> npt.NDArray[Any]:
        assert self._zip is not None
        member = self._member(f"data/{storage.key}")
        size = storage.count * np.dtype(storage.dtype).itemsize
        if self._zip.getinfo(member).file_size != size:
            raise Tampered(f"storage '{storage.key}' is not {size} bytes", where=str(self.path))
        return np.frombuffer(bytearray(self._zip.read(member)), dtype=storage.dtype)

    def _legacy(self, storage: Storage) -> npt.NDArray[Any]:
        self._file.seek(self._offsets[storage.key])
        (count,) = struct.unpack("<q", self._file.read(8))
        values = np.fromfile(self._file, dtype=storage.dtype, count=storage.count)
        if count != storage.count or values.size != storage.count:
            raise Tampered(f"storage '{storage.key}' is cut short", where=str(self.path))
        return values

    def _member(self, suffix: str) -> str:
        assert self._zip is not None
        for name in self._zip.namelist():
            if name.partition("/")[2] == suffix:
                return name
        raise Tampered(f"no '{suffix}' inside", where=str(self.path))

    def _read_index(self) -> dict[str, Tensor]:
        if self._zip is not None:
            member = self._member("data.pkl")
            if self._zip.getinfo(member).file_size > INDEX_LIMIT:
                raise ValueError("its index is larger than 64 MiB")
            with self._zip.open(member) as stream:
                return tensors(evaluate(stream))
        self._file.seek(0)
        if evaluate(self._file) != LEGACY_MAGIC:
            raise ValueError("it does not start as one")
        evaluate(self._file)  # protocol version
        evaluate(self._file)  # byte order and type sizes of the writer
        index = tensors(evaluate(self._file))
        keys = cast(list[str], evaluate(self._file))
        self._offsets = dict(self._place(keys, {t.storage.key: t.storage for t in index.values()}))
        return index

    def _place(self, keys: list[str], storages: dict[str, Storage]) -> Iterator[tuple[str, int]]:
        """Storages follow the index in the order of ``keys``, each an int64 count and the raw elements."""
        offset = self._file.tell()
        for key in keys:
            yield key, offset
            offset += 8 + storages[key].count * np.dtype(storages[key].dtype).itemsize
        if offset > self.path.stat().st_size:
            raise ValueError("it is cut short")
