"""JSON whose decimals stay exact: ``79.00`` is read as `Decimal` and written as ``79.00`` again."""

import json
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any, cast

from bottega.core.errors import EngineFailed


def loads(text: str | bytes, *, where: str = "") -> Any:
    """Parse JSON; numbers with a point become `Decimal`, integers `int`.

    Raises:
        EngineFailed: for text that is not JSON, with line and column; NaN and infinities are refused.
    """
    try:
        return json.loads(text, parse_float=Decimal, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise EngineFailed(f"not JSON: {error}", where=where, remedy="send valid JSON") from error


def dumps(value: object, *, indent: int | None = None) -> str:
    """Serialise JSON types, `Decimal` and dates, with sorted keys and no float rounding of decimals."""
    return _text(value, indent, 0)


def _refuse(name: str) -> Any:
    raise ValueError(f"{name} is not a JSON number")


def _text(value: object, indent: int | None, depth: int) -> str:
    match value:
        case Decimal():
            return format(value, "f")
        case date() | datetime():
            return json.dumps(value.isoformat())
        case Mapping():
            items = sorted((str(key), item) for key, item in cast(Mapping[object, object], value).items())
            pieces = [
                f"{json.dumps(key, ensure_ascii=False)}: {_text(item, indent, depth + 1)}"
                for key, item in items
            ]
            return _wrap("{", pieces, "}", indent, depth)
        case str() | bytes():
            return json.dumps(value, ensure_ascii=False)
        case Sequence():
            pieces = [_text(item, indent, depth + 1) for item in cast(Sequence[object], value)]
            return _wrap("[", pieces, "]", indent, depth)
        case _:
            return json.dumps(value, allow_nan=False)


def _wrap(opening: str, pieces: list[str], closing: str, indent: int | None, depth: int) -> str:
    if not pieces:
        return opening + closing
    if indent is None:
        return opening + ", ".join(pieces) + closing
    pad = "\n" + " " * (indent * (depth + 1))
    return opening + pad + ("," + pad).join(pieces) + "\n" + " " * (indent * depth) + closing
