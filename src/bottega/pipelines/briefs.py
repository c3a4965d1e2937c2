"""Briefs from words and from TOML files."""

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from pydantic import ValidationError

from bottega.core.brief import Brief
from bottega.core.errors import InvalidBrief
from bottega.core.value import JsonObject


def brief_from(
    wish: str | Brief,
    *,
    sources: Sequence[str | Path] = (),
    seed: int | None = None,
    local_only: bool | None = None,
    max_seconds: float | None = None,
    max_cost: float | None = None,
    **fields: Any,
) -> Brief:
    """A brief from plain words, from the path of a ``brief.toml``, or as it is given.

    Raises:
        InvalidBrief: naming the field.
    """
    if isinstance(wish, Brief):
        return wish
    limits = {"local_only": local_only, "max_seconds": max_seconds, "max_cost": max_cost}
    constraints = {name: value for name, value in limits.items() if value is not None}
    given = [str(source) for source in sources]
    if wish.endswith(".toml"):
        return brief_from_file(Path(wish), sources=given, constraints=constraints, seed=seed)
    return brief_from_words(wish, sources=given, constraints=constraints, seed=seed, **fields)


def brief_from_words(
    goal: str,
    *,
    sources: Sequence[str] = (),
    constraints: Mapping[str, Any] | None = None,
    seed: int | None = None,
    **more: Any,
) -> Brief:
    """A brief from the customer's words.

    Raises:
        InvalidBrief: naming the field.
    """
    if not goal.strip():
        raise InvalidBrief(
            "there is no goal", where="goal", remedy='say what you want: bottega make "a launch kit for ..."'
        )
    fields: JsonObject = {
        "goal": goal.strip(),
        "sources": list(sources),
        "constraints": dict(constraints or {}),
    }
    return _brief(fields | ({} if seed is None else {"seed": seed}) | more, "brief")


def brief_from_file(
    path: Path,
    *,
    sources: Sequence[str] = (),
    constraints: Mapping[str, Any] | None = None,
    seed: int | None = None,
) -> Brief:
    """A brief from TOML; its sources are relative to the file. What is given beside it wins.

    Raises:
        InvalidBrief: when the file is missing or not a brief; names the field.
    """
    try:
        fields = tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError as error:
        raise InvalidBrief("there is no such file", where=str(path), remedy="check the path") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise InvalidBrief(
            f"it cannot be read: {error}", where=str(path), remedy="write valid TOML"
        ) from error
    listed = fields.get("sources", [])
    if isinstance(listed, list):
        fields["sources"] = [str(path.parent / str(name)) for name in cast(list[object], listed)] + list(
            sources
        )
    if constraints:
        fields["constraints"] = {**fields.get("constraints", {}), **constraints}
    if seed is not None:
        fields["seed"] = seed
    return _brief(fields, str(path))


def _brief(fields: JsonObject, where: str) -> Brief:
    try:
        return Brief.model_validate(fields)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise InvalidBrief(f"{first['msg']}", where=f"{where}, field '{place}'") from error
