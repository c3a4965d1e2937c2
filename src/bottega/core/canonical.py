"""Canonical JSON (RFC 8785) and the digests taken over it."""

import hashlib
import math
from collections.abc import Mapping, Sequence
from json.encoder import encode_basestring
from typing import cast

from bottega.core.errors import InvalidValue


def canonical_json(value: object) -> bytes:
    """Serialise ``value`` so that equal values give equal bytes.

    Keys are sorted by UTF-16 code units, numbers are written as ECMAScript writes them, text is UTF-8.

    Raises:
        InvalidValue: for NaN, infinities, integers beyond 2**53, keys that are not text, or unknown types.

    Source: RFC 8785 (JSON Canonicalization Scheme).
    """
    pieces: list[str] = []
    _write(value, pieces)
    try:
        return "".join(pieces).encode()
    except UnicodeEncodeError as error:
        raise InvalidValue("text holds a lone surrogate", remedy="send valid Unicode") from error


def digest(value: object) -> str:
    """SHA-256 of the canonical JSON, as 64 hexadecimal digits."""
    return hashlib.sha256(canonical_json(value)).hexdigest()


def digest_bytes(data: bytes) -> str:
    """SHA-256 of raw bytes, as 64 hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def _write(value: object, out: list[str]) -> None:
    kind = type(value)
    if kind is str:  # the commonest kinds first: every step of a run writes a dozen documents
        out.append(encode_basestring(cast(str, value)))
    elif kind is dict:
        _write_object(cast(dict[object, object], value), out)
    elif kind is int:
        out.append(_integer(cast(int, value)))
    elif value is None:
        out.append("null")
    elif kind is bool:
        out.append("true" if value else "false")
    elif kind is list or kind is tuple:
        _write_array(cast(Sequence[object], value), out)
    else:
        _write_other(value, out)


def _write_other(value: object, out: list[str]) -> None:
    match value:
        case float():
            out.append(_number(value))
        case str():
            out.append(encode_basestring(value))
        case int():
            out.append(_integer(value))
        case Mapping():
            _write_object(cast(Mapping[object, object], value), out)
        case Sequence() if not isinstance(value, bytes | bytearray):
            _write_array(cast(Sequence[object], value), out)
        case _:
            raise InvalidValue(f"{type(value).__name__} has no canonical JSON form", remedy="use JSON types")


def _write_array(value: Sequence[object], out: list[str]) -> None:
    opening = "["
    for item in value:
        out.append(opening)
        _write(item, out)
        opening = ","
    out.append("]" if opening == "," else "[]")


def _write_object(value: Mapping[object, object], out: list[str]) -> None:
    opening = "{"
    for key in _sorted_keys(value):
        out.append(opening)
        out.append(encode_basestring(key))
        out.append(":")
        _write(value[key], out)
        opening = ","
    out.append("}" if opening == "," else "{}")


def _sorted_keys(value: Mapping[object, object]) -> list[str]:
    ascii_only = True
    for key in value:
        if not isinstance(key, str):
            raise InvalidValue(f"object key {key!r} is not text", remedy="use text keys")
        ascii_only = ascii_only and key.isascii()
    keys = cast(Mapping[str, object], value)
    if ascii_only:
        return sorted(keys)
    return sorted(keys, key=lambda key: key.encode("utf-16-be", "surrogatepass"))


def _integer(value: int) -> str:
    if abs(value) > 2**53:
        raise InvalidValue(f"integer {value} is beyond 2**53", remedy="write it as text")
    return str(int(value))


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
