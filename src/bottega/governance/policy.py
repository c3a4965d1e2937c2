"""Which checks a file must pass before it may leave. No rule means no release.

Source of the shape: inspect's `approval/_policy.py` (rules by pattern), with one difference: rules only ever add.
"""

import re
import tomllib
from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, Field, ValidationError, field_validator

from bottega.core.errors import InvalidValue, NotFound, PolicyDenied
from bottega.core.value import JsonObject, Value
from bottega.governance.approval import Asked, Person, Review, bare
from bottega.governance.redaction import Recording
from bottega.plugins import load

OptionsOf = Callable[[str], type[BaseModel]]


class Rule(Value, frozen=True):
    """Files that match all four patterns (shell style) owe these checks; ``review`` asks for people as well.

    ``review = true`` asks for what the policy's table ``[review]`` says; a table of the rule's own stands for itself.
    """

    name: str = Field(pattern="^[a-z0-9][a-z0-9_-]*$")
    media_types: tuple[str, ...] = Field(min_length=1)
    kinds: tuple[str, ...] = ("*",)
    engines: tuple[str, ...] = ("*",)
    languages: tuple[str, ...] = ("*",)
    review: bool | Review = False
    checks: dict[str, JsonObject] = Field(default_factory=dict)

    @field_validator("review", mode="before")
    @classmethod
    def _read_review(cls, value: object) -> bool | Review:
        return value if isinstance(value, bool) else Review.model_validate(value)

    def matches(self, media_type: str, kind: str, engine: str, language: str) -> bool:
        """Whether a file falls under this rule."""
        facts = (
            (media_type, self.media_types),
            (kind, self.kinds),
            (engine, self.engines),
            (language, self.languages),
        )
        return all(any(fnmatchcase(fact, pattern) for pattern in patterns) for fact, patterns in facts)


class Retention(Value, frozen=True):
    """How long is kept what is no longer worked on; workers apply it once a day, `bottega store expire` at once."""

    runs_days: int = Field(ge=1, description="days after its end that a run, its results and files are kept")


class Policy(Value, frozen=True):
    """An ordered set of rules. Every rule that matches adds its checks; a later one may set other options.

    When it lists people, only they decide; when it lists none, anybody who gives a name does.
    """

    format: Literal["bottega.policy/1"] = "bottega.policy/1"
    name: str
    # A field younger than the first release is left out at its default: decisions are bound to the digest.
    record: Recording = Field(
        default="redacted",
        exclude_if=lambda value: value == "redacted",
        description="what the journal keeps of prompts and parameters; `digest` drops them with the end of the work elsewhere too",
    )
    # Not in the digest at all: it decides about no release, so a change leaves decisions valid.
    retention: Retention | None = Field(
        default=None, exclude=True, description="without it, runs are kept for good"
    )
    review: Review = Field(
        default=Review(),
        exclude_if=lambda value: value == Review(),
        description="what a file needs that a check has blocked",
    )
    people: tuple[Person, ...] = Field(default=(), exclude_if=lambda value: not value)
    rules: tuple[Rule, ...]

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the policy; a plan and a review decision are bound to it."""
        return self.identity

    @classmethod
    def load(cls, path: Path | None = None, *, options_of: OptionsOf | None = None) -> "Policy":
        """Read a policy file, or the one that ships with Bottega.

        Args:
            path: a TOML file; None for `governance/policy.toml`.
            options_of: finds the options of a check by its id; default: the installed checks.

        Raises:
            InvalidValue: not TOML, not of this shape, an unknown check or option, or a review that its people can
                never give; ``where`` names the line.
        """
        where = str(path or "policy.toml")
        try:
            text = (
                path.read_text("utf-8")
                if path
                else (files("bottega.governance") / "policy.toml").read_text("utf-8")
            )
        except (OSError, UnicodeDecodeError) as error:
            raise InvalidValue(f"the policy cannot be read: {error}", where=where) from error
        try:
            policy = cls.model_validate(tomllib.loads(text))
        except tomllib.TOMLDecodeError as error:
            raise InvalidValue(f"the policy is not TOML: {error}", where=where) from error
        except ValidationError as error:
            raise _explained(error, text, where, ()) from error
        names = [name for person in policy.people for name in person.names]
        if twice := next((name for name in names if names.count(name) > 1), ""):
            raise InvalidValue(
                f"two people are called '{twice}'",
                where=_place(text, where, ("people",)),
                remedy="give each a name of their own",
            )
        for index, rule in enumerate(policy.rules):
            for check in rule.checks:
                _validate_options(rule, index, check, options_of or _installed_options, text, where)
        for place, review in policy._reviews():
            if fault := policy._never(review):
                raise InvalidValue(
                    fault, where=_place(text, where, place), remedy="mend the table or list the [[people]]"
                )
        return policy

    def checks_for(self, media_type: str, kind: str, engine: str, language: str) -> dict[str, JsonObject]:
        """The checks that a deliverable owes, with their options.

        Raises:
            PolicyDenied: no rule matches, or the rules that match ask for no check.
        """
        checks: dict[str, JsonObject] = {}
        for rule in self._matching(media_type, kind, engine, language):
            for check, options in rule.checks.items():
                checks[check] = {**checks.get(check, {}), **options}
        if not checks:
            raise PolicyDenied(
                f"no rule of the policy '{self.name}' lets a {media_type} of kind '{kind}' by '{engine}' leave",
                remedy="add a rule with its checks to a policy file and pass it with --policy",
            )
        return checks

    def asked(self, media_type: str, kind: str, engine: str, language: str) -> tuple[Asked, ...]:
        """What each rule that matches asks of people; all of it must be given. Empty: the checks alone decide."""
        return tuple(
            self._asked(rule.name, self.review if rule.review is True else rule.review)
            for rule in self._matching(media_type, kind, engine, language)
            if rule.review
        )

    def asked_when_blocked(self) -> Asked:
        """What a file needs that a check has blocked, whatever the rules say."""
        return self._asked("", self.review)

    def person(self, name: str) -> Person | None:
        """Who is meant by a name or login. A policy without people takes a name on trust, without any role.

        Returns None for somebody whom the policy does not list.
        """
        if not self.people:
            return Person(name=bare(name))
        return next((person for person in self.people if person.called(name)), None)

    def name_of(self, actor: str) -> str:
        """The name of whoever acts under a login, as the policy spells it."""
        person = self.person(actor)
        return person.name if person else bare(actor)

    def _asked(self, rule: str, review: Review) -> Asked:
        return Asked.model_validate({**review.document(), "rule": rule})

    def _reviews(self) -> list[tuple[tuple[str | int, ...], Review]]:
        """Every table of reviews with its place in the file."""
        own = [
            (("rules", index, "review"), rule.review)
            for index, rule in enumerate(self.rules)
            if isinstance(rule.review, Review)
        ]
        return [(("review",), self.review), *own]

    def _never(self, review: Review) -> str:
        """Why the people of this policy could never give such a review, or ""."""
        if not self.people:
            return "it asks for roles, and the policy lists no people who have them" if review.roles else ""
        held = {role for person in self.people for role in person.roles}
        if missing := [role for role in review.roles if role not in held]:
            return f"nobody has the role '{missing[0]}'"
        able = [p for p in self.people if not review.roles or set(review.roles) & set(p.roles)]
        if len(able) < review.approvals:
            return f"it asks for {review.approvals} approvals, and {len(able)} of the people may give one"
        to = review.escalate_to
        if to and to not in held and not any(person.called(to) for person in self.people):
            return f"'{to}' is neither a person nor a role of this policy"
        return ""

    def _matching(self, *facts: str) -> list[Rule]:
        return [rule for rule in self.rules if rule.matches(*facts)]


def _installed_options(check: str) -> type[BaseModel]:
    return load("bottega.checks", check).options


def _validate_options(
    rule: Rule, index: int, check: str, options_of: OptionsOf, text: str, where: str
) -> None:
    place = ("rules", index, "checks", check)
    try:
        options_of(check).model_validate(rule.checks[check])
    except NotFound as error:
        raise InvalidValue(error.message, where=_place(text, where, place), remedy=error.remedy) from error
    except ValidationError as error:
        raise _explained(error, text, where, place) from error


def _explained(error: ValidationError, text: str, where: str, above: Sequence[str | int]) -> InvalidValue:
    first: Any = error.errors()[0]
    place = (*above, *first["loc"])
    unknown = first["type"] == "extra_forbidden"
    message = f"unknown key '{place[-1]}'" if unknown else str(first["msg"])
    return InvalidValue(message, where=_place(text, where, place), remedy="mend the policy file")


def _place(text: str, where: str, keys: Sequence[str | int]) -> str:
    """`FILE, line N, rules[2].checks.length.max_words`; the line is that of the deepest key found."""
    lines = text.splitlines()
    at = 0
    tables = [number for number, line in enumerate(lines) if line.strip() == "[[rules]]"]
    if len(keys) > 1 and keys[0] == "rules" and isinstance(keys[1], int) and keys[1] < len(tables):
        at = tables[keys[1]]
    for key in keys:
        if isinstance(key, str) and key not in ("rules", "checks"):
            pattern = re.compile(rf"(^|[.\[{{,\s\"']){re.escape(key)}([\]\"'\s=.}}]|$)")
            at = next((n for n in range(at, len(lines)) if pattern.search(lines[n].partition("#")[0])), at)
    path = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in keys).lstrip(".")
    return f"{where}, line {at + 1}, {path}"
