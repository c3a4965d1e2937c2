"""JSON Pointer (RFC 6901)."""

from typing import Any, cast

from bottega.core.errors import EngineFailed


def resolve(document: object, pointer: str) -> object:
    """The value at a pointer.

    Raises:
        EngineFailed: when nothing stands there; the message names the step that failed and what there is.
    """
    if not pointer:
        return document
    here: object = document
    for token in pointer.lstrip("/").split("/"):
        key = token.replace("~1", "/").replace("~0", "~")
        if isinstance(here, dict) and key in here:
            here = cast(dict[str, Any], here)[key]
        elif isinstance(here, list) and key.isdigit() and int(key) < len(cast(list[Any], here)):
            here = cast(list[Any], here)[int(key)]
        else:
            there = sorted(cast(dict[str, Any], here)) if isinstance(here, dict) else "nothing of that name"
            raise EngineFailed(
                f"'{key}' does not exist; there is {there}", where=pointer, remedy="correct `pointer`"
            )
    return here
