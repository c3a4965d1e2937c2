"""What a structured record needs: exact places by RFC 6901 pointer, validation, and no numbers from a model."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, cast

from bottega.core.errors import EngineFailed
from bottega.engines.base import require


def refuse_numbers(value: Any, exact: set[str], pointer: str = "") -> None:
    """No number comes from the model: a bare number outside the exact fields is an error."""
    match value:
        case bool() | None | str():
            return
        case int() | Decimal():
            if not {pointer, pointer.removeprefix("/")} & exact:
                raise EngineFailed(
                    f"the draft holds the bare number {value}",
                    where=pointer,
                    remedy="name the field in 'exact', or make it text in the draft's schema",
                )
        case dict():
            for key, item in cast(dict[str, Any], value).items():
                refuse_numbers(item, exact, f"{pointer}/{escaped(key)}")
        case _:
            for index, item in enumerate(cast(Sequence[Any], value)):
                refuse_numbers(item, exact, f"{pointer}/{index}")


def set_at(record: dict[str, Any], pointer: str, value: Any) -> None:
    """Put a value at an RFC 6901 pointer; missing objects on the way are made."""
    keys = [key.replace("~1", "/").replace("~0", "~") for key in pointer[1:].split("/")]
    place = record
    for key in keys[:-1]:
        inner: Any = place.setdefault(key, {})
        if not isinstance(inner, dict):
            raise EngineFailed("only objects can stand on the way to an exact field", where=pointer)
        place = cast(dict[str, Any], inner)
    place[keys[-1]] = value


def validate(record: Mapping[str, Any], schema: Mapping[str, Any]) -> None:
    """Validate against a JSON Schema. What it refers to must be in it: nothing is fetched.

    Raises:
        EngineFailed: ``where`` is the RFC 6901 pointer of the most telling mistake.
    """
    jsonschema: Any = require("jsonschema", extra="all")
    kind: Any = jsonschema.validators.validator_for(schema, default=jsonschema.Draft202012Validator)
    try:
        kind.check_schema(schema)
    except jsonschema.SchemaError as error:
        raise EngineFailed(f"not a JSON Schema: {error.message}", where="json_schema") from error
    referencing: Any = require("referencing", extra="all")
    validator = kind(schema, registry=referencing.Registry())
    try:
        error: Any = jsonschema.exceptions.best_match(validator.iter_errors(record))
    except referencing.exceptions.Unresolvable as missing:
        raise EngineFailed(
            f"the schema refers to '{missing.ref}', which is not in it", where="json_schema"
        ) from missing
    if error is not None:
        pointer = "".join(f"/{escaped(str(key))}" for key in error.absolute_path)
        raise EngineFailed(f"the record does not fit its schema: {error.message}", where=pointer or "/")


def escaped(key: str) -> str:
    """A key as one token of an RFC 6901 pointer."""
    return key.replace("~", "~0").replace("/", "~1")
