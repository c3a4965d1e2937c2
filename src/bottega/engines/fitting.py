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
ONE = frozenset(
    {"additionalProperties", "contains", "else", "if", "items", "not", "propertyNames", "then"}
)  # what holds a schema
SEVERAL = ("allOf", "anyOf", "oneOf", "prefixItems")
NAMED = frozenset({"$defs", "definitions", "dependentSchemas", "properties"})
TYPES = frozenset({"array", "boolean", "integer", "null", "number", "object", "string"})

_followed: ContextVar[Iterator[int]] = ContextVar("followed")


class _TooMany(Exception):
    """References lead on and on."""


def fault_of(schema: Any) -> str:
    """Why it is no schema, with the place (JSONPath); "" when it is one, as far as it is read."""
    try:
        _readable(schema, "$")
    except ValueError as fault:
        return str(fault)
    return ""


def misfit(value: Any, schema: Any) -> str:
    """The first thing that does not fit, with its place (JSONPath); "" when all does."""
    from referencing import Registry
    from referencing.exceptions import Unresolvable

    nothing: Registry[Any] = Registry()
    _followed.set(count())
    try:
        error = next(_kind()(_readable(schema, "$"), registry=nothing).iter_errors(value), None)
    except (_TooMany, RecursionError):
        return "$: its schema refers to itself too often to be checked"
    except Unresolvable as missing:
        return f"$: its schema refers to '{missing.ref}', which is not in it"
    except (AttributeError, TypeError, ValueError) as fault:
        return f"$: its schema cannot be used: {fault}"
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


def _readable(schema: Any, where: str) -> Any:
    """A schema without what is not read, ``$schema`` included: it would choose another validator.

    Raises:
        ValueError: it is no schema.
    """
    if isinstance(schema, bool):
        return schema
    given = _mapping(schema, where)
    types: Any = given.get("type", [])
    for each in cast(list[Any], types) if isinstance(types, list) else [types]:
        if str(each) not in TYPES:
            raise ValueError(f"{where}.type: '{str(each)[:80]}' is no type")
    lists = [name for name in ("enum", "required", *SEVERAL) if not isinstance(given.get(name, []), list)]
    if lists:
        raise ValueError(f"{where}.{lists[0]}: it is no list")
    unread = UNREAD | {"additionalProperties"} if "patternProperties" in given else UNREAD
    found: dict[str, Any] = {}
    for name, value in given.items():
        place = f"{where}.{name}"
        if name in unread:
            continue
        if name in ONE:
            value = _readable(value, place)
        elif name in SEVERAL:
            value = [_readable(each, f"{place}[{index}]") for index, each in enumerate(value)]
        elif name in NAMED:
            value = {key: _readable(each, f"{place}.{key}") for key, each in _mapping(value, place).items()}
        found[name] = value
    return found


def _mapping(value: Any, where: str) -> Mapping[str, Any]:
    match value:
        case Mapping():
            return cast(Mapping[str, Any], value)
        case _:
            raise ValueError(f"{where}: '{str(value)[:80]}' is no schema")
