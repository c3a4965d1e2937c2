"""State of one plan as it runs."""

from typing import Literal

from pydantic import Field

from bottega.core.artifact import Artifact
from bottega.core.errors import EngineFailed
from bottega.core.value import JsonObject, Value
from bottega.core.verdict import Verdict

RunState = Literal[
    "planned", "awaiting_review", "running", "checking", "released", "blocked", "failed", "cancelled"
]
StepState = Literal[
    "waiting",
    "running",
    "done",
    "reused",
    "awaiting_review",
    "failed",
    "skipped",
    "stopped",
    "delayed",
    "parked",
]


class Made(Value, frozen=True):
    """One output of a step, with what the engine said about it and what the checks said."""

    port: str
    artifact: Artifact
    details: JsonObject = Field(default_factory=dict)
    verdicts: tuple[Verdict, ...] = ()


class StepResult(Value, frozen=True):
    """What came of one step."""

    step: str
    key: str
    state: StepState
    outputs: tuple[Made, ...] = ()
    attempts: int = 1
    seconds: float = 0.0
    cost: float = 0.0
    usage: JsonObject = Field(default_factory=dict)
    approved_by: str = ""
    error: str = ""

    def output(self, port: str) -> Made:
        """What the step made at a port.

        Raises:
            EngineFailed: it made nothing there.
        """
        for made in self.outputs:
            if made.port == port:
                return made
        raise EngineFailed(f"step '{self.step}' did not make output '{port}'")

    @property
    def blocked(self) -> bool:
        """Whether a check said that an output must not leave."""
        return any(verdict.outcome == "block" for made in self.outputs for verdict in made.verdicts)


class Run(Value, frozen=True):
    """One plan's progress and result."""

    id: str
    state: RunState
    plan: str = Field(description="digest of the plan")
    brief: str = Field(description="digest of the brief")
    results: tuple[StepResult, ...] = ()
    out: str = ""
    created_at: str = ""
    finished_at: str = ""
    reason: str = Field(default="", description="why it is blocked, failed or waiting")
    error: str = Field(default="", description="name of the error that ended it as a whole, if one did")
    round: int = Field(
        default=0, description="number of the journal entry that began the present round of work"
    )
    requested_by: str = ""
    planned_by: str = Field(default="", description="who gave it its present plan")
    holder: str = Field(default="", description="pseudonym of the data subject whose key keeps its content")
    reuse: bool = Field(default=True, description="whether results of other runs may be taken over")
    charge: tuple[str, ...] = Field(default=(), description="budget accounts that pay")
