"""The Python door: the service's operations as functions, async and sync."""

import asyncio
import threading
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any, TypeVar

from bottega.bootstrap import build
from bottega.core.brief import Brief
from bottega.core.plan import Plan
from bottega.governance.verify import Verification
from bottega.pipelines.briefs import brief_from
from bottega.pipelines.comparison import Replayed
from bottega.pipelines.runner import Event
from bottega.retrieval.answers.answer import Answer
from bottega.retrieval.collections.collection import Hit, Method
from bottega.retrieval.collections.report import Report
from bottega.retrieval.tables.answer import TableAnswer
from bottega.service import Made
from bottega.service.training import Training
from bottega.settings import Settings

T = TypeVar("T")
Wish = str | Brief | Plan


async def plan_async(
    wish: str | Brief,
    *,
    sources: Sequence[str | Path] = (),
    seed: int | None = None,
    local_only: bool | None = None,
    max_seconds: float | None = None,
    max_cost: float | None = None,
    data_subject: str = "",
    charge: Sequence[str] = (),
    **fields: Any,
) -> Plan:
    """What `make_async` would run, as data. Nothing is made.

    Args:
        wish: what is wanted in plain words, the path of a ``brief.toml``, or a `Brief`.
        sources: files and folders to write from.
        seed: same brief and seed, same artifacts.
        local_only: nothing may leave the machine.
        max_seconds: time limit.
        max_cost: cost limit, US dollars.
        data_subject: whom it is about, any stable identifier: all is sealed under a key that `bottega erase` destroys.
        charge: budget accounts that pay, for example ``("project:kettles", "team:home")``.
        **fields: any other field of `Brief`, for example ``languages=("en", "fr")``.

    Raises:
        InputError: what was given cannot be planned; names the field.
        PolicyDenied: a limit or the policy forbids it.
        SetupError: weights or an optional package are missing; names the command that mends it.
    """
    brief = brief_from(
        wish, sources=sources, seed=seed, local_only=local_only, max_seconds=max_seconds, max_cost=max_cost, **fields
    )  # fmt: skip
    service = build()
    try:
        return await service.plan(brief, charge=charge, data_subject=data_subject)
    finally:
        service.close()


async def make_async(
    wish: Wish,
    *,
    out: str | Path = "out",
    run_id: str = "",
    watch: Callable[[Event], None] = lambda event: None,
    cancelled: threading.Event | None = None,
    data_subject: str = "",
    charge: Sequence[str] = (),
    idempotency_key: str = "",
    **wanted: Any,
) -> Made:
    """Make what is wanted and deliver it into the folder ``out``.

    ``wish`` and ``wanted`` are as in `plan_async`, or a `Plan`. ``run_id`` names the run: the same id and brief
    goes on where it stopped. ``watch`` is called with every event; set ``cancelled`` to stop. The same
    ``idempotency_key`` with the same plan and folder gives the same run.

    Raises:
        As `plan_async`; StorageFailed when the disk is full. What a step could not do is in the returned run.
    """
    plan = (
        wish
        if isinstance(wish, Plan)
        else await plan_async(wish, charge=charge, data_subject=data_subject, **wanted)
    )
    service = build()
    try:
        return await service.make(
            plan,
            Path(out),
            run_id=run_id,
            watch=watch,
            cancelled=cancelled,
            idempotency_key=idempotency_key,
            charge=charge,
            data_subject=data_subject,
        )
    finally:
        service.close()


async def resume_async(
    run_id: str,
    out: str | Path | None = None,
    *,
    watch: Callable[[Event], None] = lambda event: None,
    cancelled: threading.Event | None = None,
) -> Made:
    """Go on with a run where it stopped, and deliver into ``out`` or the folder it had.

    Raises:
        NotFound: there is no such run. Else as `make_async`.
    """
    service = build()
    try:
        folder = Path(out) if out is not None else None
        return await service.resume(run_id, out=folder, watch=watch, cancelled=cancelled)
    finally:
        service.close()


async def replay_async(
    run_id: str,
    steps: Sequence[str] = (),
    *,
    charge: Sequence[str] = (),
    watch: Callable[[Event], None] = lambda event: None,
    cancelled: threading.Event | None = None,
) -> Replayed:
    """Make a run again from the record alone and compare every output; nothing is delivered.

    Args:
        run_id: the run.
        steps: only these and what they need.
        charge: budget accounts that pay.
        watch: called with every event.
        cancelled: set it to stop.

    Raises:
        NotFound: there is no such run or step.
        SetupError: an engine or weights are missing; raised before any step runs.
        BudgetExceeded: an account refuses a step.
    """
    service = build()
    try:
        return await service.replay(run_id, steps, charge=charge, watch=watch, cancelled=cancelled)
    finally:
        service.close()


async def index_async(name: str, paths: str | Path | Sequence[str | Path], **how: Any) -> Report:
    """Index files and folders into the collection ``name``; what has not changed is not done again.

    ``how`` is as in `Collections.index`: ``labels``, ``prune``, ``embedder``, ``watch``, ``cancelled``.

    Raises:
        As `Collections.index`; what is wrong with single documents stands in the report.
    """
    given = [paths] if isinstance(paths, str | Path) else paths
    service = build()
    try:
        return await service.collections().index(name, [Path(path) for path in given], **how)
    finally:
        service.close()


async def search_async(
    name: str,
    query: str,
    *,
    allowed: Sequence[str] = (),
    top: int = 10,
    method: Method = "fusion",
) -> list[Hit]:
    """The passages of the collection ``name`` that answer ``query`` best, for a user with the labels ``allowed``.

    Raises:
        NotFound: there is no such collection. Else as `Collection.search`.
    """
    service = build()
    try:
        return await service.collections().search(name, query, allowed=allowed, top=top, method=method)
    finally:
        service.close()


async def ask_async(question: str, collection: str, **how: Any) -> Answer:
    """Answer a question from the collection, every sentence with its quote; abstaining and asking back are results.

    ``how`` is as in `Answers.ask`: ``allowed``, ``model``, ``schema``, ``unsupported``, ``session``, ``fresh``,
    ``charge``, ``data_subject``, ``cancelled``.

    Raises:
        As `Answers.ask`.
    """
    service = build()
    try:
        return await service.answers().ask(question, collection, **how)
    finally:
        service.close()


async def ask_tables_async(
    question: str, paths: str | Path | Sequence[str | Path], **how: Any
) -> TableAnswer:
    """Answer a question from CSV and XLSX files by a query, cited by cell; it abstains where they do not tell.

    ``how`` is as in `Tables.ask`: ``seed``, ``cancelled``.

    Raises:
        As `Tables.ask`.
    """
    given = [paths] if isinstance(paths, str | Path) else paths
    service = build()
    try:
        return await service.tables.ask(question, [Path(path) for path in given], **how)
    finally:
        service.close()


def plan(wish: str | Brief, **wanted: Any) -> Plan:
    """As `plan_async`, for code without an event loop."""
    return _wait(plan_async(wish, **wanted))


def make(wish: Wish, **wanted: Any) -> Made:
    """As `make_async`, for code without an event loop."""
    return _wait(make_async(wish, **wanted))


def resume(run_id: str, out: str | Path | None = None, **how: Any) -> Made:
    """As `resume_async`, for code without an event loop."""
    return _wait(resume_async(run_id, out, **how))


def replay(run_id: str, steps: Sequence[str] = (), **how: Any) -> Replayed:
    """As `replay_async`, for code without an event loop."""
    return _wait(replay_async(run_id, steps, **how))


def index(name: str, paths: str | Path | Sequence[str | Path], **how: Any) -> Report:
    """As `index_async`, for code without an event loop."""
    return _wait(index_async(name, paths, **how))


def search(name: str, query: str, **how: Any) -> list[Hit]:
    """As `search_async`, for code without an event loop."""
    return _wait(search_async(name, query, **how))


def ask(question: str, collection: str, **how: Any) -> Answer:
    """As `ask_async`, for code without an event loop."""
    return _wait(ask_async(question, collection, **how))


def ask_tables(question: str, paths: str | Path | Sequence[str | Path], **how: Any) -> TableAnswer:
    """As `ask_tables_async`, for code without an event loop."""
    return _wait(ask_tables_async(question, paths, **how))


def verify(path: str | Path) -> Verification:
    """Whether a delivered file is as it left, who made it and how. Needs nothing but the file."""
    return build().verify(Path(path))


def trainer() -> Training:
    """Training and what comes after it: train, distil, sample, evaluate, compress, export, publish. Needs ``bottega[train]``."""
    settings = Settings()
    return Training(settings.home, settings.threads)


def _wait(work: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(work)
