"""Whether a value fits a JSON Schema (2020-12) that a caller gave: nothing is fetched, and no schema keeps the process busy.

Not covered: ``pattern``, ``patternProperties`` and what hangs on them (a regular expression of a caller's may take for ever),
``unevaluatedProperties``, ``unevaluatedItems``, ``format``.
"""

from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from functools import cache
from itertools import count
from typing import Any, cast

MOST_REFERENCES = 10_000  # followed in one value: references to references double at every level
UNREAD = frozenset({"$schema", "pattern", "patternProperties", "unevaluatedItems", "unevaluatedProperties"})
NAMED = ("properties", "$defs", "definitions", "dependentSchemas")  # what holds schemas by name
DATA = ("const", "enum", "default", "examples")

_followed: ContextVar[Iterator[int]] = ContextVar("followed")


class _TooMany(Exception):
    """References lead on and on."""


def fault_of(schema: Mapping[str, Any]) -> str:
    """Why it is no schema; "" when it is one."""
    from jsonschema import SchemaError

    try:
        _kind().check_schema(_readable(schema))
    except SchemaError as error:
        return f"no JSON Schema (2020-12): {error.message[:300]}"
    return ""


def misfit(value: Any, schema: Mapping[str, Any]) -> str:
    """The first thing that does not fit, with its place (JSONPath); "" when all does."""
    from referencing import Registry
    from referencing.exceptions import Unresolvable

    nothing: Registry[Any] = Registry()
    _followed.set(count())
    try:
        error = next(_kind()(_readable(schema), registry=nothing).iter_errors(value), None)
    except (_TooMany, RecursionError):
        return "$: its schema refers to itself too often to be checked"
    except Unresolvable as missing:
        return f"$: its schema refers to '{missing.ref}', which is not in it"
    return f"{error.json_path}: {error.message[:300]}" if error is not None else ""


@cache
def _kind() -> Any:
    from jsonschema import Draft202012Validator, validators

    stock = cast(Any, Draft202012Validator).VALIDATORS

    def counted(name: str) -> Any:
        def followed(validator: Any, reference: str, value: Any, schema: Any) -> Iterator[Any]:
            if next(_followed.get()) > MOST_REFERENCES:
                raise _TooMany
            yield from stock[name](validator, reference, value, schema)

        return followed

    return cast(Any, validators).extend(
        Draft202012Validator, {name: counted(name) for name in ("$ref", "$dynamicRef")}
    )


def _readable(schema: Any) -> Any:
    """A schema without what is not read, ``$schema`` included: it would choose another validator."""
    if isinstance(schema, list):
        return [_readable(each) for each in cast(list[Any], schema)]
    if not isinstance(schema, Mapping):
        return schema
    given = cast(Mapping[str, Any], schema)
    unread = UNREAD | {"additionalProperties"} if "patternProperties" in given else UNREAD
    found: dict[str, Any] = {}
    for name, value in given.items():
        if name in DATA:
            found[name] = value
        elif name in NAMED and isinstance(value, Mapping):
            found[name] = {key: _readable(each) for key, each in cast(Mapping[str, Any], value).items()}
        elif name not in unread:
            found[name] = _readable(value)
    return found
