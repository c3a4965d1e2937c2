"""Blueprints: one TOML file per kind of deliverable, and how they are read."""

import re
import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from string import Template
from typing import Any, cast

from pydantic import BaseModel, Field, ValidationError

from bottega.core.errors import BottegaError, InvalidPlan, NotFound
from bottega.core.value import JsonObject

WHOLE = re.compile(r"^\$(\w+)$")


class StepBlueprint(BaseModel, frozen=True, extra="forbid"):
    """One step. ``for_each`` names the variable that says how many times it stands in the plan."""

    id: str
    engine: str
    model: str = ""
    params: JsonObject = Field(default_factory=dict)
    inputs: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    checks: dict[str, JsonObject] = Field(default_factory=dict)
    for_each: str = ""
    translatable: bool = False
    why: str = ""


class DeliverBlueprint(BaseModel, frozen=True, extra="forbid"):
    """A file that leaves; ``output`` is ``step.port``, with ``for_each`` as above."""

    output: str
    path: str
    title: str
    for_each: str = ""


class Blueprint(BaseModel, frozen=True, extra="forbid"):
    """How one kind of deliverable is made.

    References in ``inputs``: ``step.port`` inside the blueprint, ``@kind.step.port`` in another blueprint,
    ``sources:*``, ``documents:*`` and ``tables:*`` for the brief's sources. A blueprint with ``parts`` is a
    composition of others. ``needs = "table"``: makes sense only with a table among the sources.
    ``languages``: the only ones it can be made in; empty means all.
    ``all_languages``: made in every language of the intent when none is asked for, else in the first.
    """

    id: str
    title: str
    summary: str
    hidden: bool = False
    per_language: bool = False
    all_languages: bool = False
    languages: tuple[str, ...] = ()
    needs: str = ""
    parts: tuple[str, ...] = ()
    defaults: JsonObject = Field(default_factory=dict)
    strings: dict[str, dict[str, str]] = Field(default_factory=dict)
    steps: tuple[StepBlueprint, ...] = ()
    deliver: tuple[DeliverBlueprint, ...] = ()

    def speaks(self, language: str) -> bool:
        """Whether it can be made in this language."""
        return not self.languages or language in self.languages


@cache
def blueprints() -> Mapping[str, Blueprint]:
    """Every blueprint that ships, by id."""
    found: dict[str, Blueprint] = {}
    for file in sorted(files(__name__).iterdir(), key=lambda file: file.name):
        if file.name.endswith(".toml"):
            try:
                blueprint = Blueprint.model_validate(tomllib.loads(file.read_text("utf-8")))
            except (ValidationError, tomllib.TOMLDecodeError) as error:
                raise BottegaError(f"the blueprint is not valid: {error}", where=file.name) from error
            found[blueprint.id] = blueprint
    return found


def blueprint(kind: str) -> Blueprint:
    """One blueprint.

    Raises:
        NotFound: for an unknown kind.
    """
    known = blueprints()
    if kind not in known:
        shown = ", ".join(name for name, each in known.items() if not each.hidden)
        raise NotFound(f"unknown kind of deliverable '{kind}'", remedy=f"one of: {shown}")
    return known[kind]


def fill(value: Any, variables: Mapping[str, Any], where: str) -> Any:
    """Put variables in the place of ``$name``, everywhere in a parameter; ``$$`` is a dollar.

    A text that is only ``$name`` becomes the variable itself, whatever its type.

    Raises:
        InvalidPlan: for a variable that does not exist.
    """
    if isinstance(value, str):
        try:
            if whole := WHOLE.match(value):
                return variables[whole[1]]
            return Template(value).substitute(variables)
        except (KeyError, ValueError) as error:
            raise InvalidPlan(f"there is no variable {error}", where=where) from error
    if isinstance(value, Mapping):
        return {key: fill(item, variables, where) for key, item in cast(Mapping[str, Any], value).items()}
    if isinstance(value, list):
        return [fill(item, variables, where) for item in cast(list[Any], value)]
    return value
