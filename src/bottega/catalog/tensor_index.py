"""The index of a PyTorch checkpoint, a pickle, read as data.

Its opcodes are read with `pickletools`, never executed: a stack machine of our own understands numbers, text, tuples,
lists, dictionaries and the few names that a tensor index needs. Nothing is imported or constructed; any other name or
opcode refuses the file.
"""

import pickletools
from dataclasses import dataclass
from typing import IO, Any, cast

from bottega.core.errors import Tampered

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
class Storage:
    """A run of equal numbers in the file; ``dtype`` is numpy's name for them, with byte order."""

    key: str
    dtype: str
    count: int  # elements


@dataclass(frozen=True)
class Tensor:
    """A contiguous view of a storage."""

    storage: Storage
    offset: int  # elements
    shape: tuple[int, ...]


def tensors(index: object) -> dict[str, Tensor]:
    """The tensors of an evaluated index, by name.

    Raises:
        TypeError, ValueError: it is no dictionary, or holds none.
    """
    if not isinstance(index, dict):
        raise TypeError("its index is no dictionary of tensors")
    found = {
        str(name): value
        for name, value in cast(dict[object, object], index).items()
        if isinstance(value, Tensor)
    }
    if not found:
        raise ValueError("it holds no tensors")
    return found


def evaluate(stream: IO[bytes]) -> object:
    """Read one pickle as data and return what it describes.

    Raises:
        Tampered: it names or does anything that a tensor index does not need.
        ValueError, TypeError, IndexError, KeyError: it is damaged.
    """
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


def _storage_of(identity: Any) -> Storage:
    kind, name, key, _device, count, *_ = identity
    if kind != "storage" or not isinstance(name, _Name) or name.text not in STORAGES:
        raise ValueError("a storage of unknown kind")
    return Storage(str(key), STORAGES[name.text], _count(count))


def _reduce(name: Any, arguments: Any) -> object:
    match name:
        case _Name(text) if text == ORDERED_DICT and arguments == ():
            return {}
        case _Name(text) if text == REBUILD_PARAMETER and isinstance(arguments[0], Tensor):
            return arguments[0]
        case _Name(text) if text == REBUILD_TENSOR:
            storage, offset, shape, strides, *_ = arguments
            if not isinstance(storage, Storage):
                raise TypeError("a tensor without a storage")
            expected = 1
            for size, stride in zip(reversed(shape), reversed(strides), strict=True):
                if size > 1 and stride != expected:
                    raise ValueError("a tensor that is not contiguous")
                expected *= size
            return Tensor(storage, _count(offset), tuple(_count(size) for size in shape))
        case _:
            raise Tampered("its index calls something that no tensor index needs")


def _count(value: Any) -> int:
    if not isinstance(value, int) or value < 0:
        raise ValueError(f"{value!r} is no count")
    return value
