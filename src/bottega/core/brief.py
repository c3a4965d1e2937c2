"""What the customer wants."""

from typing import Literal

from pydantic import Field

from bottega.core.value import JsonObject, Value

Language = Literal["en", "fr", "de", "es", "it", "pt", "nl"]
LANGUAGE_NAMES: dict[str, str] = {
    "en": "English",
    "fr": "French",
    "de": "German",
    "es": "Spanish",
    "it": "Italian",
    "pt": "Portuguese",
    "nl": "Dutch",
}


class Brand(Value, frozen=True):
    """The look and voice that deliverables follow."""

    name: str = ""
    colors: tuple[str, ...] = Field(default=(), description="#rrggbb, most important first")
    font: str = Field(default="", description="family name of an installed font asset")
    tone: str = ""


class Constraints(Value, frozen=True):
    """Limits that a plan must keep."""

    local_only: bool = Field(default=False, description="nothing leaves the machine")
    max_seconds: float | None = Field(default=None, gt=0)
    max_cost: float | None = Field(default=None, ge=0, description="US dollars")


class Wanted(Value, frozen=True):
    """One deliverable asked for by kind (a blueprint's id) with what differs from the default."""

    kind: str
    language: Language | None = None
    focus: str = ""
    count: int | None = Field(default=None, ge=1, le=12)
    seconds: int | None = Field(default=None, ge=5, le=300, description="length of sound or video")


class FreeStep(Value, frozen=True):
    """A step that no blueprint holds.

    ``inputs`` refer to ``source:NAME``, ``document:NAME``, ``sources:*``, ``documents:*``, ``tables:*``, an output
    ``@kind.step.port`` of a blueprint, or ``step.port`` of an earlier free step. With a ``path`` its output
    ``port`` is delivered under that name, after the checks that the policy asks for.
    """

    id: str = Field(pattern="^[a-z0-9][a-z0-9_-]{0,39}$")
    engine: str
    model: str = ""
    params: JsonObject = Field(default_factory=dict)
    inputs: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    checks: dict[str, JsonObject] = Field(default_factory=dict)
    port: str = Field(default="text", description="the output that is delivered")
    path: str = Field(default="", description="file name in the output folder; empty: not delivered")
    title: str = ""
    language: Language | None = None


class Brief(Value, frozen=True):
    """A commission: plain words, sources, constraints.

    ``deliverables`` empty means: read them from ``goal``, unless there are ``steps``. ``sources`` are paths as given by the caller.
    """

    goal: str = Field(min_length=3, max_length=8000)
    sources: tuple[str, ...] = ()
    deliverables: tuple[Wanted, ...] = ()
    steps: tuple[FreeStep, ...] = ()
    audience: str = ""
    languages: tuple[Language, ...] = ()
    brand: Brand = Brand()
    constraints: Constraints = Constraints()
    seed: int = Field(default=7, ge=0, lt=2**31)
