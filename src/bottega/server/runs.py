"""`/v1/briefs`, `/v1/plans`, `/v1/runs`, `/v1/artifacts`: from a brief to delivered files."""

import asyncio
import json
import mimetypes
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
from pydantic import ValidationError

from bottega.core.artifact import Artifact
from bottega.core.brief import Brief
from bottega.core.entry import Entry
from bottega.core.errors import InvalidBrief, InvalidPlan, NotFound
from bottega.core.plan import Plan
from bottega.core.run import Run
from bottega.pipelines.briefs import brief_from_words
from bottega.pipelines.validate import first_fault, validate
from bottega.server.access import SEES_ALL
from bottega.server.desk import Desk, call_id, idempotency_key
from bottega.server.files import as_download
from bottega.server.message import Call, Flow, Reply, decoded, encode, event, reply
from bottega.server.message import events as sent
from bottega.service.keys import ApiKey

ENDED = ("released", "blocked", "failed", "cancelled", "awaiting_review")
BEAT = 15.0  # seconds after which a silent stream of events shows that it lives


class BriefBody(msgspec.Struct, kw_only=True):
    """A commission; ``sources`` are ids of files that were sent before, the rest as in a brief.toml."""

    goal: str
    sources: list[str] = []
    deliverables: list[dict[str, Any]] = []
    steps: list[dict[str, Any]] = []
    languages: list[str] = []
    audience: str = ""
    brand: dict[str, Any] = {}
    constraints: dict[str, Any] = {}
    seed: int | None = None


class RunBody(msgspec.Struct, kw_only=True):
    """A plan, as /v1/briefs gives it, or a brief to be planned first."""

    plan: dict[str, Any] | None = None
    brief: BriefBody | None = None


async def briefs(desk: Desk, call: Call, key: ApiKey) -> Reply:
    """Plan a brief; nothing runs."""
    plan = await _planned(desk, key, await call.read(BriefBody))
    return reply(_plan(plan))


async def plans(desk: Desk, call: Call, key: ApiKey) -> Reply:
    """Validate a plan, edited or not."""
    return reply(_plan(_given(desk, decoded(await call.body(), dict[str, Any]))))


async def create(desk: Desk, call: Call, key: ApiKey) -> Reply:
    """Begin a run; it goes on when the caller goes away."""
    asked = await call.read(RunBody)
    if (asked.plan is None) == (asked.brief is None):
        raise InvalidPlan("give a plan or a brief, and not both", where="plan")
    plan = await _planned(desk, key, asked.brief) if asked.brief else _given(desk, asked.plan or {})
    service = desk.service.acting(key.actor)
    out = desk.service.folder / "deliveries"
    run_id = call_id(call, key, kind="run")
    run = await asyncio.to_thread(
        service.submit, plan, out / run_id, run_id=run_id, charge=key.charge,
        idempotency_key=idempotency_key(call, key),
    )  # fmt: skip
    return Reply(encode(_run(run)), 201)


async def listed(desk: Desk, call: Call, key: ApiKey) -> Reply:
    """Runs that the caller may see, the newest first."""
    found = await asyncio.to_thread(desk.service.runs)
    data = [_run(run) for run in reversed(found) if _sees(key, run)]
    return reply({"object": "list", "data": data})


async def one(desk: Desk, call: Call, key: ApiKey) -> Reply:
    """One run with what came of its steps."""
    run, plan = await asyncio.to_thread(_seen, desk, key, call.at["run"])
    steps = {result.step: result for result in run.results}
    found = [
        {
            "id": step.id, "engine": step.engine, "model": step.model, "why": step.why,
            "state": steps[step.id].state if step.id in steps else "waiting",
            "error": steps[step.id].error if step.id in steps else "",
            "outputs": [made.document() for made in steps[step.id].outputs] if step.id in steps else [],
        }
        for step in plan.steps
    ]  # fmt: skip
    return reply({**_run(run), "steps": found, "files": await asyncio.to_thread(_files, run)})


async def cancel(desk: Desk, call: Call, key: ApiKey) -> Reply:
    """Ask a run to stop."""
    run, _ = await asyncio.to_thread(_seen, desk, key, call.at["run"])
    await asyncio.to_thread(desk.service.acting(key.actor).stop, run.id)
    return reply(_run(desk.service.shop.runs.get(run.id)[0]))


async def events(desk: Desk, call: Call, key: ApiKey) -> Flow:
    """What happens to a run, from the record. An event's id is its number there: `Last-Event-ID` goes on after it."""
    run, _ = await asyncio.to_thread(_seen, desk, key, call.at["run"])
    given = call.header(b"last-event-id")
    return sent(_events(desk, call, run.id, int(given) if given.isdecimal() and len(given) < 19 else -1))


async def file(desk: Desk, call: Call, key: ApiKey) -> Reply:
    """One delivered file, signed."""
    run, _ = await asyncio.to_thread(_seen, desk, key, call.at["run"])
    known = await asyncio.to_thread(_files, run)
    if call.at["path"] not in {each["path"] for each in known}:
        raise NotFound("this run has delivered no such file", where="path", remedy="/v1/runs/ID lists them")
    path = Path(run.out) / call.at["path"]
    data = await asyncio.to_thread(path.read_bytes)
    kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    return Reply(data, 200, ((b"content-type", kind.encode()), *as_download(path.name)))


async def artifact(desk: Desk, call: Call, key: ApiKey) -> Reply:
    """The bytes of something that a run or call of the caller's has made or was given."""
    sha256 = call.at["sha256"]
    rows = await asyncio.to_thread(
        desk.service.state.database.rows, "SELECT run_id FROM refs WHERE sha256 = ? AND holder = ''", sha256
    )
    if not await asyncio.to_thread(lambda: any(_refers(desk, key, row[0]) for row in rows)):
        raise NotFound("there is no such artifact", where="sha256")
    data = await asyncio.to_thread(
        desk.service.shop.artifacts.read, Artifact(sha256=sha256, media_type="", size=0)
    )
    return Reply(data, 200, ((b"content-type", b"application/octet-stream"), *as_download(sha256)))


async def _planned(desk: Desk, key: ApiKey, asked: BriefBody) -> Plan:
    service = desk.service.acting(key.actor)
    with tempfile.TemporaryDirectory(prefix="bottega-brief-") as folder:
        sources = [
            str(await asyncio.to_thread(service.files.named, key.actor, file_id, Path(folder)))
            for file_id in asked.sources
        ]
        more: dict[str, Any] = {
            "deliverables": asked.deliverables, "steps": asked.steps, "languages": asked.languages,
            "audience": asked.audience, "brand": asked.brand,
        }  # fmt: skip
        constraints = {**asked.constraints, **({"local_only": True} if desk.config.local_only else {})}
        brief: Brief = brief_from_words(
            asked.goal, sources=sources, constraints=constraints, seed=asked.seed,
            **{name: value for name, value in more.items() if value},
        )  # fmt: skip
        return await service.plan(brief, charge=key.charge)


def _given(desk: Desk, document: dict[str, Any]) -> Plan:
    document.pop("identity", None)
    try:
        plan = Plan.model_validate_json(encode(document))
    except ValidationError as error:
        place, words = first_fault(error)
        raise InvalidPlan(words, where=f"plan.{place}" if place else "plan") from error
    if desk.config.local_only and not plan.brief.constraints.local_only:
        raise InvalidBrief("nothing may leave this machine", where="plan.brief.constraints.local_only")
    validate(plan, desk.service.shop)
    return plan


def _plan(plan: Plan) -> dict[str, Any]:
    return {**json.loads(plan.canonical()), "identity": plan.identity}


def _run(run: Run) -> dict[str, Any]:
    return {
        "id": run.id, "object": "run", "state": run.state, "plan": run.plan, "reason": run.reason,
        "created_at": run.created_at, "finished_at": run.finished_at, "requested_by": run.requested_by,
    }  # fmt: skip


def _sees(key: ApiKey, run: Run) -> bool:
    return not run.holder and (key.role in SEES_ALL or run.requested_by == key.actor)


def _seen(desk: Desk, key: ApiKey, run_id: str) -> tuple[Run, Plan]:
    """A run that the caller may see; somebody else's is not there."""
    try:
        run, plan = desk.service.shop.runs.get(run_id)
    except NotFound:
        run = None
        plan = None
    if run is None or plan is None or not _sees(key, run):
        raise NotFound(f"no run '{run_id[:80]}'", where="run", remedy="/v1/runs lists them")
    return run, plan


def _refers(desk: Desk, key: ApiKey, run_id: str) -> bool:
    if key.role in SEES_ALL:
        return True
    entries = desk.service.state.journal.about(f"run/{run_id}")
    return any(key.actor in (entry.actor, entry.behalf) for entry in entries)


def _files(run: Run) -> list[dict[str, Any]]:
    """What lies in the delivered folder; a folder appears whole or not at all."""
    folder = Path(run.out) if run.out else None
    if folder is None or not folder.is_dir():
        return []
    found = sorted(path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    return [{"path": path.relative_to(folder).as_posix(), "bytes": path.stat().st_size} for path in found]


async def _events(desk: Desk, call: Call, run_id: str, after: int) -> AsyncIterator[bytes]:
    watching = asyncio.ensure_future(call.watch())
    journal, subject = desk.service.state.journal, f"run/{run_id}"
    try:
        with desk.service.state.database.wakes.listen() as bell:
            while not call.cancelled.is_set():
                bell.clear()
                run = await asyncio.to_thread(desk.service.shop.runs.get, run_id)
                entries: list[Entry] = await asyncio.to_thread(journal.about, subject)
                for entry in (entry for entry in entries if entry.n > after):
                    after = entry.n
                    told = {"n": entry.n, "at": entry.at, "act": entry.act.value, "subject": entry.subject,
                            "detail": entry.detail, "why": entry.why}  # fmt: skip
                    yield event(told, entry.act.value, entry.n)
                if run[0].state in ENDED:
                    yield event(_run(run[0]), "state")
                    return
                if not await bell.wait(BEAT):
                    yield b": still at work\n\n"
    finally:
        watching.cancel()
