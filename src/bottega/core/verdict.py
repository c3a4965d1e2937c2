"""What a check said."""

from typing import Literal

from pydantic import Field

from bottega.core.value import JsonObject, Value

Outcome = Literal["pass", "flag", "block"]


class Verdict(Value, frozen=True):
    """One check's answer about one artifact. A check that cannot decide blocks.

    ``score`` is in ``unit`` (for example 0.03 "word error rate"); ``evidence`` holds JSON types that let a
    person see why: places, quotes, measured values, limits.
    """

    check: str
    outcome: Outcome
    reason: str
    score: float | None = None
    unit: str = ""
    evidence: JsonObject = Field(default_factory=dict)
