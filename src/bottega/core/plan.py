"""The plan: exactly what will run, as data."""

from collections.abc import Mapping
from typing import Literal

from pydantic import Field, field_validator

from bottega.core.artifact import Locality
from bottega.core.brief import Brief
from bottega.core.canonical import canonical_value, digest
from bottega.core.value import JsonObject, Value


class SourceRef(Value, frozen=True):
    """A source document of the brief, by name and digest."""

    name: str
    sha256: str
    media_type: str
    size: int


class Step(Value, frozen=True):
    """One engine call.

    ``inputs`` maps an input port to references: ``step.port`` (an output of another step) or
    ``source:NAME`` (a source document). Parameters and inputs stand in the order of canonical JSON, so that an
    engine gets the same from a plan just made and from one that was stored.
    """

    id: str = Field(pattern="^[a-z0-9][a-z0-9._-]{0,63}$")
    engine: str
    version: str = ""
    model: str = ""
    weights: str = Field(default="", description="digest of the weights")
    params: JsonObject = Field(default_factory=dict)
    inputs: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    checks: dict[str, JsonObject] = Field(default_factory=dict, description="check id to its options")
    seed: int | None = None
    language: str = Field(default="", description="language its text is to be in, for the checks")
    locality: Locality = "local"
    seconds: float = Field(default=0.0, description="estimated")
    cost: float = Field(default=0.0, description="estimated, US dollars")
    why: str = Field(default="", description="reason for the choice of engine and model")

    @field_validator("params")
    @classmethod
    def _params_in_order(cls, params: JsonObject) -> JsonObject:
        return canonical_value(params) if params else params

    @field_validator("inputs")
    @classmethod
    def _inputs_in_order(cls, inputs: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
        return dict(sorted(inputs.items())) if len(inputs) > 1 else inputs

    def key(self, inputs: Mapping[str, tuple[str, ...]], feedback: str = "") -> str:
        """What made this result: equal keys mean that the work need not be done again.

        Args:
            inputs: for each input port the SHA-256 digests that arrive there.
            feedback: the repair line, empty on the first attempt.
        """
        return digest(
            {
                "engine": self.engine,
                "version": self.version,
                "weights": self.weights,
                "params": self.params,
                "seed": self.seed,
                "inputs": {port: list(found) for port, found in inputs.items()},
                "feedback": feedback,
            }
        )


class Deliverable(Value, frozen=True):
    """A file that leaves the workshop: which output, under which name, with which title."""

    output: str = Field(description="step.port")
    path: str = Field(description="relative file name in the output folder")
    title: str
    kind: str
    language: str = ""


class Plan(Value, frozen=True):
    """A graph of steps. Can be shown, edited, priced, approved and replayed before anything runs."""

    format: Literal["bottega.plan/1"] = "bottega.plan/1"
    brief: Brief
    intent: JsonObject = Field(default_factory=dict)
    sources: tuple[SourceRef, ...] = ()
    steps: tuple[Step, ...]
    deliverables: tuple[Deliverable, ...]
    policy: str = Field(default="", description="digest of the policy that chose the checks")

    def step(self, step_id: str) -> Step:
        """The step with this id.

        Raises:
            KeyError: when there is none.
        """
        for step in self.steps:
            if step.id == step_id:
                return step
        raise KeyError(step_id)
