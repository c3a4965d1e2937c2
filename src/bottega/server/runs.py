"""`/v1/briefs`, `/v1/plans`, `/v1/runs`, `/v1/artifacts`: from a brief to delivered files."""

import asyncio
import json
import mimetypes
import tempfile
from collections.abc import AsyncIterator
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

import msgspec
from pydantic import ValidationError

from bottega.core.artifact import Artifact
from bottega.core.brief import Brief
from bottega.core.errors import InvalidBrief, InvalidPlan, NotFound, PolicyDenied
from bottega.core.plan import Plan
from bottega.core.run import Run
from bottega.pipelines.briefs import brief_from_words
from bottega.pipelines.validate import first_fault, validate
from bottega.server.access import SEES_ALL, oversees
from bottega.server.answer import call_id, idempotency_key
from bottega.server.desk import Desk
from bottega.server.files import as_download
from bottega.server.message import Call, Flow, Reply, contents, decoded, encode, event, reply
from bottega.server.message import events as sent
from bottega.service.deliveries import files_of, path_of
from bottega.service.following import follow
from bottega.service.keys import ApiKey

NEVER = (
    "never",
    "",
)  # a run and a holder: what nobody refers to takes as long to be looked up as what others do
NOT_TOLD = {"out", "holder"}  # of a run: where it lies on this machine, and under which pseudonym


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
    data_subject: str = ""  # whom it is about: all of it is sealed under that person's key


class RunBody(msgspec.Struct, kw_only=True):
    """A plan, as /v1/briefs gives it, or a brief to be planned first."""

    plan: dict[str, Any] | None = None
    brief: BriefBody | None = None
    data_subject: str = ""  # as the plan was made for


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
        data_subject=asked.data_subject or (asked.brief.data_subject if asked.brief else ""),
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
    return reply({**_run(run, whole=True), "steps": found, "files": await asyncio.to_thread(_files, run)})


async def cancel(desk: Desk, call: Call, key: ApiKey) -> Reply:
    """Ask a run to stop."""
    run, _ = await asyncio.to_thread(_seen, desk, key, call.at["run"])
    await asyncio.to_thread(desk.service.acting(key.actor).stop, run.id)
    return reply(_run(desk.service.shop.runs.get(run.id)[0]))


async def resume(desk: Desk, call: Call, key: ApiKey) -> Reply:
    """Go on with a run that failed, was stopped, or waited; a worker takes it up."""
    await asyncio.to_thread(_seen, desk, key, call.at["run"])
    run, plan = await asyncio.to_thread(desk.service.shop.runs.whole, call.at["run"])
    service, out = desk.service.acting(key.actor), Path(run.out) if run.out else None
    found = await asyncio.to_thread(service.submit, plan, out, run_id=run.id)
    return reply(_run(found))


async def events(desk: Desk, call: Call, key: ApiKey) -> Flow:
    """What happens to a run, from the record. An event's id is its number there: `Last-Event-ID` goes on after it."""
    run, _ = await asyncio.to_thread(_seen, desk, key, call.at["run"])
    given = call.header(b"last-event-id")
    return sent(_events(desk, call, run.id, int(given) if given.isdecimal() and len(given) < 19 else -1))


async def file(desk: Desk, call: Call, key: ApiKey) -> Flow:
    """One delivered file, signed."""
    run, _ = await asyncio.to_thread(_seen, desk, key, call.at["run"])
    path = call.at["path"]
    found = await asyncio.to_thread(path_of, run, path)
    kind = mimetypes.guess_type(path)[0] or "application/octet-stream"
    return await contents(found, kind, *as_download(found.name))


async def artifact(desk: Desk, call: Call, key: ApiKey) -> Flow:
    """The bytes of something that a run or call of the caller's has made or was given; sealed ones are opened."""
    sha256 = call.at["sha256"]
    reader = await asyncio.to_thread(_opened, desk, key, sha256)
    return await contents(reader, "application/octet-stream", *as_download(sha256))


async def _planned(desk: Desk, key: ApiKey, asked: BriefBody) -> Plan:
    await desk.guards.let_in(asked.goal.encode(), "text/plain")
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
        return await service.plan(brief, charge=key.charge, data_subject=asked.data_subject)


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


def _run(run: Run, *, whole: bool = False) -> dict[str, Any]:
    told = run.model_dump(mode="json", exclude=NOT_TOLD | (set[str]() if whole else {"results"}))
    return {"object": "run", **told}


def _sees(key: ApiKey, run: Run) -> bool:
    return run.requested_by == key.actor or (not run.holder and oversees(key, run))


def _seen(desk: Desk, key: ApiKey, run_id: str) -> tuple[Run, Plan]:
    """A run that the caller may see; somebody else's is not there, which takes no longer to be found out."""
    runs = desk.service.shop.runs
    with suppress(NotFound):
        if _sees(key, runs.head(run_id)):
            return runs.get(run_id)
    raise NotFound(f"no run '{run_id[:80]}'", where="run", remedy="/v1/runs lists them")


def _opened(desk: Desk, key: ApiKey, sha256: str) -> BinaryIO:
    """An artifact's bytes to be read, if one of the runs and calls that refer to it is the caller's to see.

    Raises:
        NotFound: there is none, it is not the caller's, or whom it was about is erased: nobody can tell which.
    """
    rows = desk.service.state.database.rows("SELECT run_id, holder FROM refs WHERE sha256 = ?", sha256)
    for run_id, holder in rows or [NEVER]:
        with suppress(NotFound, PolicyDenied):  # its data subject is erased
            if _refers(desk, key, run_id, holder) and rows:
                store = desk.service.shop_of(holder).artifacts
                if small := store.objects.read(sha256):
                    return BytesIO(small)
                return store.open(Artifact(sha256=sha256, media_type="", size=0))
    raise NotFound("there is no such artifact", where="sha256")


def _refers(desk: Desk, key: ApiKey, run_id: str, holder: str) -> bool:
    if not holder and key.role in SEES_ALL and not key.project:
        return True
    with suppress(NotFound):
        if _sees(key, desk.service.shop.runs.head(run_id)):
            return True
    if holder:
        return False
    return desk.service.state.journal.names(f"run/{run_id}", key.actor)


def _files(run: Run) -> list[dict[str, Any]]:
    return [{"path": path, "bytes": size} for path, size in files_of(run).items()]


async def _events(desk: Desk, call: Call, run_id: str, after: int) -> AsyncIterator[bytes]:
    watching = asyncio.ensure_future(call.watch())
    try:
        async for entry in follow(desk.service, run_id, after=after):
            if call.cancelled.is_set():
                return
            if entry is None:
                yield b": still at work\n\n"
            else:
                yield event(entry.document(), entry.act.value, entry.n)
        yield event(_run(desk.service.shop.runs.get(run_id)[0]), "state")
    finally:
        watching.cancel()
