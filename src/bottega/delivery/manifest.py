"""`manifest.json`: the facts of a delivery for machines."""

from typing import Literal

from pydantic import Field

from bottega.core.artifact import Ingredient, Locality
from bottega.core.run import RunState, StepState
from bottega.core.value import Value
from bottega.core.verdict import Verdict

MANIFEST = "manifest.json"
PAGE = "index.html"
PLAN = "plan.json"
ROOT = "certificates/root.pem"


class DeliveredFile(Value, frozen=True):
    """An artifact as it lies in the folder.

    ``sha256`` and ``size`` describe the file in the folder; ``made_sha256`` is the artifact before signing,
    the identity that the plan, the record and other artifacts' parents use. Equal when ``sidecar`` is set.
    """

    path: str = Field(description="relative to the folder, with /")
    output: str = Field(description="step.port")
    title: str
    kind: str
    language: str = ""
    media_type: str
    size: int = Field(description="bytes")
    sha256: str
    made_sha256: str
    sidecar: str = Field(default="", description="relative path of the C2PA manifest; empty when embedded")
    engine: str
    engine_version: str
    model: str = ""
    weights: str = ""
    locality: Locality = "local"
    destination: str = ""
    seed: int | None = None
    attempts: int = 1
    approved_by: str = ""
    seconds: float = 0.0
    cost: float = Field(default=0.0, description="US dollars")
    parents: tuple[Ingredient, ...] = ()
    verdicts: tuple[Verdict, ...] = ()


class SupportFile(Value, frozen=True):
    """A file that is no artifact: the page, the plan, the root certificate, a sidecar."""

    path: str
    size: int = Field(description="bytes")
    sha256: str


class Withheld(Value, frozen=True):
    """A deliverable of the plan that is not in the folder, and why."""

    output: str
    path: str
    title: str
    kind: str
    state: StepState
    reason: str


class Manifest(Value, frozen=True):
    """Everything in the folder except this file. JSON Schema: ``Manifest.model_json_schema()``."""

    format: Literal["bottega.delivery/1"] = "bottega.delivery/1"
    run: str
    state: RunState
    plan: str = Field(description="digest of the plan; equals the SHA-256 of plan.json")
    brief: str = Field(description="digest of the brief")
    policy: str = ""
    created_at: str = ""
    finished_at: str = ""
    artifacts: tuple[DeliveredFile, ...] = ()
    withheld: tuple[Withheld, ...] = ()
    support: tuple[SupportFile, ...] = ()
