"""Artifacts and how they came to be."""

from typing import Literal

from pydantic import Field

from bottega.core.value import JsonObject, Value
from bottega.core.verdict import Verdict

Locality = Literal["local", "remote"]


class Artifact(Value, frozen=True):
    """A file known by the hash of its bytes. Only the pipeline creates one."""

    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    media_type: str
    size: int = Field(ge=0, description="bytes")


class Ingredient(Value, frozen=True):
    """A parent of an artifact, under the name it had."""

    name: str
    sha256: str
    media_type: str


class Provenance(Value, frozen=True):
    """How one artifact came to be: everything a stranger needs to judge it."""

    artifact: Artifact
    run_id: str
    plan: str = Field(description="digest of the plan")
    step: str
    step_key: str
    engine: str
    engine_version: str
    model: str = ""
    weights: str = Field(default="", description="digest of the weights")
    locality: Locality = "local"
    destination: str = Field(default="", description="where the request went, when not local")
    params: JsonObject = Field(default_factory=dict)
    seed: int | None = None
    ingredients: tuple[Ingredient, ...] = ()
    verdicts: tuple[Verdict, ...] = ()
    attempts: int = 1
    approved_by: str = ""
    made_at: str = Field(description="RFC 3339, UTC")
    seconds: float = 0.0
    cost: float = Field(default=0.0, description="US dollars")
    source_type: str = Field(default="", description="IPTC digital source type URI")
