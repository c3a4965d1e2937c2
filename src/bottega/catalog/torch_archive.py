"""Tensors of a PyTorch checkpoint, read as data.

A checkpoint is a list of raw storages and a pickle that says which tensor lies where in which storage. The pickle's
opcodes are read with `pickletools`, never executed: a stack machine of our own understands numbers, text, tuples,
dictionaries and the three names that a tensor index needs. Nothing is imported or constructed; any other name or
opcode refuses the file.

Source: torch/serialization.py, `_save` (zip, `archive/data.pkl`) and `_legacy_save` (five pickles, then storages).
"""

import pickletools
import struct
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self, cast

import numpy as np
import numpy.typing as npt

from bottega.core.errors import Tampered

LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
INDEX_LIMIT = 64 * 2**20  # bytes; the index of a large model is about one
STORAGES = {
    "torch FloatStorage": "<f4",
    "torch DoubleStorage": "<f8",
    "torch HalfStorage": "<f2",
    "torch LongStorage": "<i8",
    "torch IntStorage": "<i4",
    "torch ShortStorage": "<i2",
    "torch CharStorage": "<i1",
    "torch ByteStorage": "<u1",
    "torch BoolStorage": "?",
}
ORDERED_DICT = "collections OrderedDict"
REBUILD_TENSOR = "torch._utils _rebuild_tensor_v2"
REBUILD_PARAMETER = "torch._utils _rebuild_parameter"
NAMES = {ORDERED_DICT, REBUILD_TENSOR, REBUILD_PARAMETER, *STORAGES}

_MARK = object()


@dataclass(frozen=True)
class _Name:
    text: str


@dataclass(frozen=True)
class _Storage:
    key: str
    dtype: str
    count: int  # elements


@dataclass(frozen=True)
class _Tensor:
    storage: _Storage
    offset: int  # elements
    shape: tuple[int, ...]


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
        except (
            ValueError,
            IndexError,
            KeyError,
            TypeError,
            EOFError,
            zipfile.BadZipFile,
            struct.error,
        ) as error:
            self._file.close()
            raise Tampered(f"not a readable PyTorch checkpoint: {error}", where=str(path)) from error
        except Tampered:
            self._file.close()
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
        count = int(np.prod(tensor.shape, dtype=np.int64))
        if tensor.offset < 0 or tensor.offset + count > values.size:
            raise Tampered(f"tensor '{name}' reaches outside its storage", where=str(self.path))
        return values[tensor.offset : tensor.offset + count].reshape(tensor.shape)

    def _storage(self, storage: _Storage) -> npt.NDArray[Any]:
        if storage.key not in self._loaded:
            self._loaded[storage.key] = (
                self._zipped(storage) if self._zip is not None else self._legacy(storage)
            )
        return self._loaded[storage.key]

    @cached_property
    def _zip(self) -> zipfile.ZipFile | None:
        return zipfile.ZipFile(self._file) if zipfile.is_zipfile(self._file) else None

    def _zipped(self, storage: _Storage) -> npt.NDArray[Any]:
        assert self._zip is not None
        member = self._member(f"data/{storage.key}")
        size = storage.count * np.dtype(storage.dtype).itemsize
        if self._zip.getinfo(member).file_size != size:
            raise Tampered(f"storage '{storage.key}' is not {size} bytes", where=str(self.path))
        return np.frombuffer(bytearray(self._zip.read(member)), dtype=storage.dtype)

    def _legacy(self, storage: _Storage) -> npt.NDArray[Any]:
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

    def _read_index(self) -> dict[str, _Tensor]:
        if self._zip is not None:
            member = self._member("data.pkl")
            if self._zip.getinfo(member).file_size > INDEX_LIMIT:
                raise ValueError("its index is larger than 64 MiB")
            with self._zip.open(member) as stream:
                return _tensors(_evaluate(stream))
        self._file.seek(0)
        if _evaluate(self._file) != LEGACY_MAGIC:
            raise ValueError("it does not start as one")
        _evaluate(self._file)  # protocol version
        _evaluate(self._file)  # byte order and type sizes of the writer
        index = _tensors(_evaluate(self._file))
        keys = cast(list[str], _evaluate(self._file))
        self._offsets = dict(self._place(keys, {t.storage.key: t.storage for t in index.values()}))
        return index

    def _place(self, keys: list[str], storages: dict[str, _Storage]) -> Iterator[tuple[str, int]]:
        """Storages follow the index in the order of ``keys``, each an int64 count and the raw elements."""
        offset = self._file.tell()
        for key in keys:
            yield key, offset
            offset += 8 + storages[key].count * np.dtype(storages[key].dtype).itemsize


def _tensors(index: object) -> dict[str, _Tensor]:
    if not isinstance(index, dict):
        raise TypeError("its index is no dictionary of tensors")
    found = {
        str(name): value
        for name, value in cast(dict[object, object], index).items()
        if isinstance(value, _Tensor)
    }
    if not found:
        raise ValueError("it holds no tensors")
    return found


def _evaluate(stream: IO[bytes]) -> object:
    """Read one pickle as data and return what it describes."""
    stack: list[Any] = []
    memo: dict[int, Any] = {}
    for opcode, argument, position in pickletools.genops(stream):
        match opcode.name:
            case "PROTO" | "FRAME":
                pass
            case "STOP":
                return stack.pop()
            case "MARK":
                stack.append(_MARK)
            case "NONE":
                stack.append(None)
            case "NEWTRUE":
                stack.append(True)
            case "NEWFALSE":
                stack.append(False)
            case "BININT" | "BININT1" | "BININT2" | "LONG1" | "BINFLOAT" | "BINUNICODE" | "SHORT_BINUNICODE":
                stack.append(argument)
            case "GLOBAL":
                stack.append(_name(str(argument)))
            case "STACK_GLOBAL":
                attribute, module = stack.pop(), stack.pop()
                stack.append(_name(f"{module} {attribute}"))
            case "BINPUT" | "LONG_BINPUT":
                memo[cast(int, argument)] = stack[-1]
            case "MEMOIZE":
                memo[len(memo)] = stack[-1]
            case "BINGET" | "LONG_BINGET":
                stack.append(memo[cast(int, argument)])
            case "EMPTY_TUPLE":
                stack.append(())
            case "EMPTY_LIST":
                stack.append([])
            case "EMPTY_DICT":
                stack.append({})
            case "TUPLE":
                stack.append(tuple(_since_mark(stack)))
            case "TUPLE1" | "TUPLE2" | "TUPLE3":
                count = int(opcode.name[-1])
                stack[-count:] = [tuple(stack[-count:])]
            case "APPEND":
                item = stack.pop()
                stack[-1].append(item)
            case "APPENDS":
                items = _since_mark(stack)
                stack[-1].extend(items)
            case "SETITEM":
                value, key = stack.pop(), stack.pop()
                stack[-1][key] = value
            case "SETITEMS":
                items = _since_mark(stack)
                stack[-1].update(zip(items[::2], items[1::2], strict=True))
            case "BINPERSID":
                stack.append(_storage_of(stack.pop()))
            case "REDUCE":
                arguments, name = stack.pop(), stack.pop()
                stack.append(_reduce(name, arguments))
            case "BUILD":  # module metadata hung on the index; no tensor is in it
                stack.pop()
            case other:
                raise Tampered(f"its index uses {other} at byte {position}, which no tensor index needs")
    raise ValueError("its index does not end")


def _since_mark(stack: list[Any]) -> list[Any]:
    place = len(stack) - 1 - next(i for i, value in enumerate(reversed(stack)) if value is _MARK)
    items = stack[place + 1 :]
    del stack[place:]
    return items


def _name(text: str) -> _Name:
    if text not in NAMES:
        raise Tampered(f"its index names '{text}', which no tensor index needs")
    return _Name(text)


def _storage_of(identity: Any) -> _Storage:
    kind, name, key, _device, count, *_ = identity
    if kind != "storage" or not isinstance(name, _Name) or name.text not in STORAGES:
        raise ValueError("a storage of unknown kind")
    return _Storage(str(key), STORAGES[name.text], int(count))


def _reduce(name: Any, arguments: Any) -> object:
    match name:
        case _Name(text) if text == ORDERED_DICT and arguments == ():
            return {}
        case _Name(text) if text == REBUILD_PARAMETER and isinstance(arguments[0], _Tensor):
            return arguments[0]
        case _Name(text) if text == REBUILD_TENSOR:
            storage, offset, shape, strides, *_ = arguments
            if not isinstance(storage, _Storage):
                raise TypeError("a tensor without a storage")
            expected = 1
            for size, stride in zip(reversed(shape), reversed(strides), strict=True):
                if size > 1 and stride != expected:
                    raise ValueError("a tensor that is not contiguous")
                expected *= size
            return _Tensor(storage, int(offset), tuple(int(size) for size in shape))
        case _:
            raise Tampered("its index calls something that no tensor index needs")
