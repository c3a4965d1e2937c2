"""Canonical JSON (RFC 8785) and the digests taken over it."""

import hashlib
import json
import math
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from json.encoder import encode_basestring
from typing import Any, cast

from bottega.core.errors import InvalidValue

SHAPE = 512  # characters of the keys of an object whose order is remembered
SHAPES = 1024  # that are remembered
LARGEST = 2**53


def canonical_json(value: object) -> bytes:
    """Serialise ``value`` so that equal values give equal bytes.

    Keys are sorted by UTF-16 code units, numbers are written as ECMAScript writes them, text is UTF-8.

    Raises:
        InvalidValue: for NaN, infinities, integers beyond 2**53, keys that are not text, or unknown types.

    Source: RFC 8785 (JSON Canonicalization Scheme).
    """
    return encoded(canonical_text(value))


class Canonical(str):
    """Canonical JSON that is a part of a larger value, and is not written a second time."""

    __slots__ = ()


def canonical_text(value: object) -> str:
    """As `canonical_json`, to be put into a larger text; `encoded` makes bytes of it."""
    return _WRITERS[type(value)](value)


def encoded(text: str) -> bytes:
    """Canonical text as bytes.

    Raises:
        InvalidValue: it holds half a character.
    """
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise InvalidValue("text holds a lone surrogate", remedy="send valid Unicode") from error


def canonical_value(value: Any) -> Any:
    """The value as it is read back from its canonical JSON: keys in order, whole numbers without a point.

    What follows the order in which keys were written would be made differently from a plan that was stored.
    """
    return json.loads(canonical_text(value))


def digest(value: object) -> str:
    """SHA-256 of the canonical JSON, as 64 hexadecimal digits."""
    return hashlib.sha256(canonical_json(value)).hexdigest()


def digest_bytes(data: bytes) -> str:
    """SHA-256 of raw bytes, as 64 hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def _other(value: object) -> str:
    match value:
        case str():
            return encode_basestring(value)
        case float():
            return _number(value)
        case int():
            return _integer(value)
        case Mapping():
            return _object(cast(Mapping[str, object], value))
        case Sequence() if not isinstance(value, bytes | bytearray):
            return _array(cast(Sequence[object], value))
        case _:
            raise InvalidValue(f"{type(value).__name__} has no canonical JSON form", remedy="use JSON types")


def _array(value: Sequence[object]) -> str:
    if not value:
        return "[]"
    return f"[{','.join([_WRITERS[type(item)](item) for item in value])}]"


def _object(value: Mapping[str, object]) -> str:
    if not value:
        return "{}"
    keys = tuple(value)
    names, write = _SHAPES.get(keys) or _names(keys), _WRITERS
    members = [name + write[type(item := value[key])](item) for key, name in names]
    return f"{{{','.join(members)}}}"


def _names(keys: tuple[str, ...]) -> Sequence[tuple[str, str]]:
    """Keys in their order, each with how it is written; remembered, because most objects have one of a few shapes."""
    try:
        size = len("".join(keys))
    except TypeError:
        key = next(key for key in keys if not isinstance(key, str))  # pyright: ignore[reportUnnecessaryIsInstance]
        raise InvalidValue(f"object key {key!r} is not text", remedy="use text keys") from None
    order = sorted(keys, key=lambda key: key.encode("utf-16-be", "surrogatepass"))
    names = [(key, f"{encode_basestring(key)}:") for key in order]
    if size <= SHAPE and len(_SHAPES) < SHAPES:
        _SHAPES[keys] = names
    return names


_SHAPES: dict[tuple[str, ...], Sequence[tuple[str, str]]] = {}


def _integer(value: int) -> str:
    if -LARGEST <= value <= LARGEST:
        return int.__repr__(value)
    raise InvalidValue(f"integer {value} is beyond 2**53", remedy="write it as text")


@lru_cache(4096)  # settings and prices are the same in every call
def _number(value: float) -> str:
    """Write a double as ECMAScript's Number.prototype.toString does (RFC 8785, section 3.2.2.3)."""
    if not math.isfinite(value):
        raise InvalidValue(f"{value} is not a JSON number", remedy="use null for a missing number")
    if value == 0:
        return "0"
    sign = "-" if value < 0 else ""
    mantissa, _, exponent_text = repr(abs(value)).partition("e")
    whole, _, fraction = mantissa.partition(".")
    exponent = int(exponent_text or 0)
    digits = (whole + fraction).lstrip("0")
    point = len(whole) + exponent - (len(whole + fraction) - len(digits))  # value = 0.digits * 10**point
    digits = digits.rstrip("0")
    count = len(digits)
    if count <= point <= 21:
        return sign + digits + "0" * (point - count)
    if 0 < point <= 21:
        return f"{sign}{digits[:point]}.{digits[point:]}"
    if -6 < point <= 0:
        return f"{sign}0.{'0' * -point}{digits}"
    power = point - 1
    tail = f".{digits[1:]}" if count > 1 else ""
    return f"{sign}{digits[0]}{tail}e{'+' if power > 0 else '-'}{abs(power)}"


class _Writers(dict[type, Callable[[Any], str]]):
    """By exact type, which is quick: every step of a run writes five documents."""

    def __missing__(self, kind: type) -> Callable[[Any], str]:
        return _other


_WRITERS = _Writers(
    {
        str: encode_basestring,
        Canonical: str.__str__,
        dict: _object,
        int: _integer,
        float: _number,
        list: _array,
        tuple: _array,
        bool: {True: "true", False: "false"}.__getitem__,
        type(None): {None: "null"}.__getitem__,
    }
)
