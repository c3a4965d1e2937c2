"""Canonical JSON (RFC 8785) and the digests taken over it."""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
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
    return "".join(pieces).encode("utf-8")


def digest(value: object) -> str:
    """SHA-256 of the canonical JSON, as 64 hexadecimal digits."""
    return hashlib.sha256(canonical_json(value)).hexdigest()


def digest_bytes(data: bytes) -> str:
    """SHA-256 of raw bytes, as 64 hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def _write(value: object, out: list[str]) -> None:
    match value:
        case None:
            out.append("null")
        case bool():
            out.append("true" if value else "false")
        case str():
            out.append(_text(value))
        case int():
            if abs(value) > 2**53:
                raise InvalidValue(f"integer {value} is beyond 2**53", remedy="write it as text")
            out.append(str(value))
        case float():
            out.append(_number(value))
        case Mapping():
            _write_object(cast(Mapping[object, object], value), out)
        case Sequence() if not isinstance(value, bytes | bytearray):
            out.append("[")
            for index, item in enumerate(cast(Sequence[object], value)):
                if index:
                    out.append(",")
                _write(item, out)
            out.append("]")
        case _:
            raise InvalidValue(f"{type(value).__name__} has no canonical JSON form", remedy="use JSON types")


def _write_object(value: Mapping[object, object], out: list[str]) -> None:
    keys: list[str] = []
    for key in value:
        if not isinstance(key, str):
            raise InvalidValue(f"object key {key!r} is not text", remedy="use text keys")
        keys.append(key)
    out.append("{")
    for index, key in enumerate(sorted(keys, key=lambda k: k.encode("utf-16-be", "surrogatepass"))):
        if index:
            out.append(",")
        out.append(_text(key))
        out.append(":")
        _write(value[key], out)
    out.append("}")


def _text(value: str) -> str:
    try:
        value.encode("utf-8")
    except UnicodeEncodeError as error:
        raise InvalidValue("text holds a lone surrogate", remedy="send valid Unicode") from error
    return json.dumps(value, ensure_ascii=False)


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
