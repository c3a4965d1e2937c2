"""Delivers a run: a folder that appears whole or not at all."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from bottega.core.artifact import Artifact, Provenance
from bottega.core.errors import BottegaError, InvalidPlan, StorageFailed
from bottega.core.passage import Passage
from bottega.core.plan import Deliverable, Plan
from bottega.core.run import Made, Run
from bottega.core.value import JsonObject
from bottega.delivery.manifest import (
    MANIFEST,
    PAGE,
    PLAN,
    ROOT,
    DeliveredFile,
    Manifest,
    SupportFile,
    Withheld,
    read_manifest,
)
from bottega.delivery.replace import ALONE, discard, place, prepare, within
from bottega.delivery.seal import Sign
from bottega.storage.leases import Turn


@dataclass(frozen=True)
class Delivery:
    """A delivered folder. Paths of ``files`` are relative to ``out``."""

    out: Path
    page: Path
    manifest: Path
    files: tuple[DeliveredFile, ...]
    withheld: tuple[Withheld, ...]


def deliver(
    out: Path,
    plan: Plan,
    run: Run,
    provenances: Mapping[str, Provenance],
    *,
    locate: Callable[[Artifact], Path],
    sign: Sign,
    passages: Sequence[Passage] = (),
    root_certificate_pem: str = "",
    limits: Mapping[str, str] | None = None,
    made_on: Mapping[str, JsonObject] | None = None,
    turn: Turn = ALONE,
) -> Delivery:
    """Write the folder beside ``out``, then put it in place in one step.

    A deliverable without a provenance is not released: the page and the manifest name it and say why. An
    earlier delivery at ``out`` is replaced; killing the process leaves the old folder or the new one.

    Args:
        out: the folder to make.
        plan: what ran.
        run: how it ended.
        provenances: by ``step.port``, one for each released deliverable.
        locate: finds an artifact's bytes as they were checked.
        sign: the signer.
        passages: passages of the sources, for the citations.
        root_certificate_pem: the certificate that a reader of the folder may trust.
        limits: engine id to what it does not cover, for the page's last section.
        made_on: step id to threads, processor and packages, for whoever makes it again.
        turn: looked at before anything is written, and again right before the folder is put in place.

    Raises:
        InputError: ``out`` holds files that are not an earlier delivery.
        InvalidPlan: a deliverable's file name leaves the folder or is taken.
        LeaseLost: somebody else has the turn now.
        StorageFailed: the disk is full or not writable.
    """
    from bottega.delivery.page import (
        Shown,
        render,
    )  # templates and Markdown: not before something is delivered

    _check_names(plan.deliverables)
    made = {f"{result.step}.{each.port}": each for result in run.results for each in result.outputs}
    ready = [item for item in plan.deliverables if item.output in provenances and item.output in made]
    try:
        staging = prepare(out, turn)
        try:
            signed = _sign_all(staging, plan, ready, made, provenances, locate, sign)
            withheld = _withheld(plan, run, ready)
            shown = [Shown(item, made[item.output], provenances[item.output], signed[item.path].sidecar)
                     for item in ready]  # fmt: skip
            support = {
                PAGE: render(plan, run, shown, withheld, locate, passages, limits or {}),
                PLAN: plan.canonical(),
            }
            if root_certificate_pem:
                support[ROOT] = root_certificate_pem.encode("ascii")
            for name, data in support.items():
                within(staging, name).write_bytes(data)
            files = tuple(signed[item.path] for item in ready)
            _write_manifest(staging, plan, run, files, withheld, support, made_on or {})
            home = place(staging, out, turn)
        except BaseException:
            discard(staging)
            raise
    except OSError as error:
        raise StorageFailed(
            f"the folder could not be written: {error.strerror or error}",
            where=str(out),
            remedy="free some space or choose another --out",
        ) from error
    return Delivery(home, home / PAGE, home / MANIFEST, files, withheld)


def delivered(out: Path, run_id: str) -> Delivery | None:
    """The folder as this run delivered it, or None when it is not there or not whole."""
    try:
        manifest = read_manifest(out / MANIFEST)
        if manifest.run != run_id or any(
            _digest(out / file.path) != file.sha256 for file in manifest.artifacts
        ):
            return None
    except (BottegaError, OSError):
        return None
    return Delivery(out, out / PAGE, out / MANIFEST, manifest.artifacts, manifest.withheld)


def _check_names(deliverables: Sequence[Deliverable]) -> None:
    taken = {name.lower() for name in (PAGE, PLAN, MANIFEST, ROOT, "certificates")}
    for item in deliverables:
        path = PurePosixPath(item.path)
        bad = (
            path.is_absolute()
            or not path.parts
            or any(part in ("..", ".") or part.startswith(".") for part in path.parts)
            or any(ord(letter) < 32 or letter in '\\:*?"<>|' for letter in item.path)
        )
        where = f"deliverable '{item.output}', field 'path'"
        if bad:
            raise InvalidPlan(
                f"{item.path!r} is not a plain relative file name",
                where=where,
                remedy="use a name like hero.png",
            )
        if {item.path.lower(), f"{item.path}.c2pa".lower()} & taken or path.parts[
            0
        ].lower() == "certificates":
            raise InvalidPlan(f"{item.path!r} is taken", where=where, remedy="give every file its own name")
        taken |= {item.path.lower(), f"{item.path}.c2pa".lower()}


def _sign_all(
    staging: Path,
    plan: Plan,
    ready: Sequence[Deliverable],
    made: Mapping[str, Made],
    provenances: Mapping[str, Provenance],
    locate: Callable[[Artifact], Path],
    sign: Sign,
) -> dict[str, DeliveredFile]:
    """Sign parents before children, so that a child can keep its parents' credentials."""
    at = {source.sha256: _source_file(source.sha256, source.media_type, source.size, locate)
          for source in plan.sources}  # fmt: skip
    order = {step.id: index for index, step in enumerate(plan.steps)}
    signed: dict[str, DeliveredFile] = {}
    for item in sorted(ready, key=lambda item: order.get(item.output.rpartition(".")[0], len(order))):
        artifact, provenance = made[item.output].artifact, provenances[item.output]
        target = within(staging, item.path)
        parents = [(parent, at.get(parent.sha256)) for parent in provenance.ingredients]
        result = sign(locate(artifact), target, provenance, parents)
        at[artifact.sha256] = result.path
        signed[item.path] = DeliveredFile(
            path=item.path,
            output=item.output,
            title=item.title,
            kind=item.kind,
            language=item.language,
            media_type=artifact.media_type,
            size=result.path.stat().st_size,
            sha256=_digest(result.path),
            content_digest=artifact.sha256,
            sidecar=result.sidecar.relative_to(staging).as_posix() if result.sidecar else "",
            parents=provenance.ingredients,
            verdicts=made[item.output].verdicts,
            **provenance.model_dump(
                include={
                    "engine",
                    "engine_version",
                    "model",
                    "weights",
                    "locality",
                    "destination",
                    "seed",
                    "attempts",
                    "approved_by",
                    "seconds",
                    "cost",
                }
            ),
        )
    return signed


def _source_file(sha256: str, media_type: str, count: int, locate: Callable[[Artifact], Path]) -> Path | None:
    """A source document's bytes when the store holds them."""
    try:
        found = locate(Artifact(sha256=sha256, media_type=media_type, size=count))
    except BottegaError:
        return None
    return found if found.is_file() else None


def _withheld(plan: Plan, run: Run, ready: Sequence[Deliverable]) -> tuple[Withheld, ...]:
    results = {result.step: result for result in run.results}
    released = {item.output for item in ready}
    found: list[Withheld] = []
    for item in plan.deliverables:
        if item.output in released:
            continue
        result = results.get(item.output.rpartition(".")[0])
        blocks = (
            [v.reason for each in result.outputs for v in each.verdicts if v.outcome == "block"]
            if result
            else []
        )
        found.append(
            Withheld(
                output=item.output,
                path=item.path,
                title=item.title,
                kind=item.kind,
                state=result.state if result else "waiting",
                reason="; ".join(blocks)
                or (result.error if result else "")
                or run.reason
                or "it was not made",
            )
        )
    return tuple(found)


def _write_manifest(
    staging: Path,
    plan: Plan,
    run: Run,
    files: tuple[DeliveredFile, ...],
    withheld: tuple[Withheld, ...],
    support: Mapping[str, bytes],
    made_on: Mapping[str, JsonObject],
) -> None:
    names = sorted({*support, *(file.sidecar for file in files if file.sidecar)})
    manifest = Manifest(
        run=run.id,
        state=run.state,
        plan=run.plan,
        brief=run.brief,
        policy=plan.policy,
        created_at=run.created_at,
        finished_at=run.finished_at,
        made_on=dict(made_on),
        artifacts=files,
        withheld=withheld,
        support=tuple(
            SupportFile(path=name, size=(staging / name).stat().st_size, sha256=_digest(staging / name))
            for name in names
        ),
    )
    text = json.dumps(manifest.document(), indent=2, sort_keys=True, ensure_ascii=False)
    (staging / MANIFEST).write_text(text + "\n", encoding="utf-8")


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
