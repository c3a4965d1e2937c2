"""`manifest.json`: the facts of a delivery for machines."""

from pathlib import Path
from typing import Literal, TypeVar

from pydantic import Field, ValidationError

from bottega.core.artifact import Ingredient, Locality
from bottega.core.errors import InvalidValue, NotFound, Tampered
from bottega.core.plan import Plan
from bottega.core.run import RunState, StepState
from bottega.core.value import JsonObject, Value
from bottega.core.verdict import Verdict
from bottega.governance.redaction import wordless

T = TypeVar("T", bound=Value)

MANIFEST = "manifest.json"
PAGE = "index.html"
PLAN = "plan.json"
ROOT = "certificates/root.pem"


class DeliveredFile(Value, frozen=True):
    """An artifact as it lies in the folder.

    ``sha256`` and ``size`` describe the file in the folder; ``content_digest`` is the artifact before signing,
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
    content_digest: str
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
    plan: str = Field(
        description="digest of the plan; equals the SHA-256 of plan.json, unless that was delivered without words"
    )
    brief: str = Field(description="digest of the brief")
    policy: str = ""
    created_at: str = ""
    finished_at: str = ""
    made_on: dict[str, JsonObject] = Field(
        default_factory=dict, description="by step, for those made locally: threads, processor, packages"
    )
    artifacts: tuple[DeliveredFile, ...] = ()
    withheld: tuple[Withheld, ...] = ()
    support: tuple[SupportFile, ...] = ()


def read_manifest(path: Path) -> Manifest:
    """A delivered folder's manifest.

    Raises:
        InvalidValue: it is missing or is not what it should be.
    """
    return _read(path, Manifest, "give the manifest.json of a delivered folder")


def read_delivery(path: Path) -> tuple[Manifest, Plan]:
    """A manifest, and the plan that lies beside it.

    Raises:
        InvalidValue: one of the files is missing or is not what it should be; names it.
        NotFound: the plan was delivered without its words.
        Tampered: the plan is not the one that the manifest names.
    """
    manifest = read_manifest(path)
    beside = path.parent / PLAN
    plan = _read(beside, Plan, f"a delivered folder has its {PLAN} beside its {MANIFEST}")
    if plan.identity != manifest.plan and plan == wordless(plan):
        raise NotFound(
            "the plan was delivered without its words, as the policy says",
            where=str(beside),
            remedy="make its brief or plan again, and compare the digests",
        )
    if plan.identity != manifest.plan:
        raise Tampered(
            "this is not the plan that the manifest names",
            where=str(beside),
            remedy="take the folder as it was delivered",
        )
    return manifest, plan


def _read(path: Path, kind: type[T], remedy: str) -> T:
    try:
        return kind.model_validate_json(path.read_bytes())
    except OSError as error:
        raise InvalidValue(
            f"it cannot be read: {error.strerror or error}", where=str(path), remedy=remedy
        ) from error
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        field = ".".join(str(part) for part in first["loc"]) or "file"
        raise InvalidValue(first["msg"], where=f"{path}, field '{field}'", remedy=remedy) from error
