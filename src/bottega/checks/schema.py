"""Structured data has the structure that was asked for."""

import csv
import io
import json
from typing import Any, cast

from pydantic import Field

from bottega.checks.base import Options, Subject
from bottega.core.value import JsonObject
from bottega.core.verdict import Verdict


class SchemaOptions(Options, frozen=True):
    """Which schema, if the step names none."""

    json_schema: JsonObject = Field(
        default_factory=dict, description="JSON Schema (2020-12); empty: the step's parameter `json_schema`"
    )


class Schema:
    """JSON is valid against its schema; CSV is rectangular with named, distinct columns."""

    id = "schema"
    media_types = ("application/json", "text/csv")
    options = SchemaOptions

    async def judge(self, subject: Subject, options: Options) -> Verdict:
        """Block with every error and its place (JSON pointer, or row)."""
        chosen = cast(SchemaOptions, options)
        if subject.artifact.media_type == "text/csv":
            errors, passed = _table_errors(subject.text())
        else:
            wanted: JsonObject = chosen.json_schema or subject.params.get("json_schema") or {}
            errors = _json_errors(json.loads(subject.text(), parse_constant=_refuse), wanted)
            passed = "valid against its schema" if wanted else "well-formed JSON; no schema was asked for"
        shown = "; ".join(f"{error['place']}: {error['problem']}" for error in errors[:3])
        return Verdict(
            check=self.id,
            outcome="block" if errors else "pass",
            reason=shown or passed,
            score=float(len(errors)),
            unit="errors",
            evidence={"errors": errors[:50]},
        )


def _json_errors(value: Any, wanted: JsonObject) -> list[JsonObject]:
    from jsonschema import Draft202012Validator
    from referencing import Registry

    validator = cast(Any, Draft202012Validator)
    validator.check_schema(wanted)
    nothing: Registry[Any] = Registry()  # what a schema refers to must be in it: nothing is fetched
    found: list[Any] = sorted(
        validator(wanted, registry=nothing).iter_errors(value), key=lambda error: list(map(str, error.path))
    )
    return [{"place": _pointer(error.absolute_path), "problem": str(error.message)[:300]} for error in found]


def _pointer(path: Any) -> str:
    return "".join("/" + str(key).replace("~", "~0").replace("/", "~1") for key in path) or "/"


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


def _table_errors(text: str) -> tuple[list[JsonObject], str]:
    rows = [row for row in csv.reader(io.StringIO(text), strict=True) if row]
    if not rows:
        return [{"place": "row 1", "problem": "the table is empty"}], ""
    head = rows[0]
    errors: list[JsonObject] = []
    if any(not name.strip() for name in head) or len(set(head)) < len(head):
        errors.append({"place": "row 1", "problem": "a column has no name, or two have the same"})
    errors += [
        {"place": f"row {number}", "problem": f"{len(row)} cells, the first row has {len(head)}"}
        for number, row in enumerate(rows[1:], 2)
        if len(row) != len(head)
    ]
    return errors, f"{len(rows) - 1} rows, {len(head)} columns"
