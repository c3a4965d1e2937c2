"""Runs a plan: every step as soon as what it needs is there."""

import asyncio
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Literal, cast

from bottega.core.artifact import Artifact
from bottega.core.canonical import digest
from bottega.core.errors import (
    BottegaError,
    BudgetExceeded,
    EngineFailed,
    LeaseLost,
    NotDelivered,
    StorageFailed,
)
from bottega.core.passage import Passage
from bottega.core.plan import Plan, Step
from bottega.core.request import Output
from bottega.core.run import Run, RunState, StepResult
from bottega.governance.redaction import wordless
from bottega.pipelines.graph import ancestors, is_source, needs, schedule, split
from bottega.pipelines.leased import REMOTE_AT_ONCE, Closing, Follow, Handed, given_back, in_turn, obtained
from bottega.pipelines.review import Reviews
from bottega.pipelines.step import Arrived, Order
from bottega.pipelines.workshop import Workshop
from bottega.storage.change import to_its_end
from bottega.storage.leases import Claim, Lease, Turn

DELIVERY = "@delivery"  # a step of every run that has a folder; no step of a plan can be called so
HEED = 0.1  # seconds between two looks whether it is to stop
GRACE = 1.5  # seconds that an engine has to stop by itself
OWN_TASKS = 4  # of a run at its last step: who asked for it, all steps, this step, who heeds

Happening = Literal["started", "output", "ended"]


@dataclass(frozen=True)
class Event:
    """Something a watcher may show."""

    what: Happening
    step: str
    output: Output | None = None
    result: StepResult | None = None


@dataclass(frozen=True)
class Sources:
    """The brief's sources as stored: originals and converted documents by name, and all their passages."""

    originals: Mapping[str, Artifact]
    documents: Mapping[str, Artifact]
    passages: Sequence[Passage]


@dataclass
class Runner:
    """Works through one plan, alone or beside other workers on the same run."""

    plan: Plan
    run: Run
    sources: Sources
    shop: Workshop
    watch: Callable[[Event], None] = lambda event: None
    cancelled: threading.Event = field(default_factory=threading.Event)
    deliver: Callable[[Run, Turn], None] | None = None
    _results: dict[str, StepResult] = field(default_factory=dict[str, StepResult])
    _late: bool = False
    _driving: int = 0  # steps at work, or waiting for a place
    _ends: bool = False  # with its last step
    _closing: Closing | None = None
    _needs: Mapping[str, Sequence[str]] = field(default_factory=dict[str, Sequence[str]])

    async def work(self) -> Run:
        """Run every step that can run, and say what came of it; each step's end is written before the next begins.

        Raises:
            StorageFailed: the state cannot be used; the run is left as it is, and goes on when that is mended.
            NotDelivered: the folder cannot be written; the run is left to whoever can.
            BottegaError: it cannot be delivered at all; the run has failed with this reason.
            asyncio.CancelledError: this task was cancelled, without ``cancelled``: the run is left to other workers.
        """
        self._ends = self.deliver is None
        if not self.shop.workers.registered:  # before the steps, which then come in the plan's order
            await asyncio.to_thread(self.shop.workers.register)
        try:
            async with asyncio.TaskGroup() as group:
                driving = group.create_task(self._drive_all())
                heeding = group.create_task(self._heed(driving))
                driving.add_done_callback(lambda _: heeding.cancel())
        except (
            ExceptionGroup
        ) as several:  # one at a time: the others were cancelled for the first, or fail of the same
            raise _first(several) from None
        if self._closing is not None and self._closing.done:
            self.run = self._closing.run
            return self.run
        self.run = self._ended()
        try:
            await self._deliver()
        except StorageFailed:
            raise
        except BottegaError as error:
            failed = {"state": "failed", "reason": f"delivery: {error}", "error": type(error).__name__}
            self.run = self.run.model_copy(update=failed)
            await self._close()
            raise
        if not await self._close():
            await asyncio.to_thread(self._agree)
        return self.run

    def _ended(self) -> Run:
        """The run with what has come of it."""
        state, reason, error = self._verdict()
        results = [self._results[step.id] for step in self.plan.steps if step.id in self._results]
        ended = {"state": state, "reason": reason, "error": error, "finished_at": self.shop.now()}
        return self.run.model_copy(update={**ended, "results": tuple(results)})

    @property
    def _kept(self) -> Plan | None:
        return wordless(self.plan) if self.shop.policy.record == "digest" else None

    async def _close(self) -> bool:
        close = partial(self.shop.runs.close, self.run, actor=self.shop.workers.id, kept=self._kept)
        if alone(1):
            return close()
        return await asyncio.to_thread(close)

    def _agree(self) -> None:
        """Take the word of whoever ended this round first, and what others made in it."""
        stored, _ = self.shop.runs.get(self.run.id)
        if stored.round == self.run.round:
            results = {result.step: result for result in (*self.run.results, *stored.results)}
            ordered_ = tuple(results[step.id] for step in self.plan.steps if step.id in results)
            self.run = stored.model_copy(update={"results": ordered_})

    async def _heed(self, driving: "asyncio.Task[None]") -> None:
        """Stop when the time is up, when somebody asks for it from whatever process, or when others ended the run.

        Engines are asked first; what does not listen is cancelled after `GRACE`.
        """
        limit = self.plan.brief.constraints.max_seconds
        started = time.monotonic()
        looked = float("-inf")
        with self.shop.runs.wakes.listen(steps=False) as bell:
            while not self.cancelled.is_set():
                rung = await bell.wait(HEED)
                if limit is not None and time.monotonic() - started > limit:
                    self._late = True
                    self.cancelled.set()
                elif rung or time.monotonic() - looked > self.shop.workers.beat:
                    # A ring may be lost with its ringer; and a busy run rings often, so that one look answers all.
                    await asyncio.sleep(HEED if rung else 0)
                    bell.clear()
                    looked = time.monotonic()
                    if await asyncio.to_thread(self.shop.runs.over, self.run.id, self.run.round):
                        self.cancelled.set()
        await asyncio.sleep(GRACE)
        driving.cancel()

    async def _deliver(self) -> None:
        """Deliver under a lease, before the run is closed: a worker that dies here is followed by another.

        Raises:
            BottegaError: it cannot be delivered, or to try ended its worker too often.
        """
        if self.deliver is None:
            return
        run = self.run
        claim = Claim(
            run=run.id, round=run.round, step=DELIVERY, key=f"round {run.round}", checks="", engine=DELIVERY,
            local=False, at_once=1000, behalf=run.requested_by, holder=run.holder,
        )  # fmt: skip
        while isinstance(lease := await obtained(claim, self.shop), Lease):
            done = StepResult(step=DELIVERY, key=claim.key, state="done")
            turn = self.shop.runs.turn(lease, worker=self.shop.workers.id)
            try:
                await to_its_end(asyncio.ensure_future(asyncio.to_thread(self.deliver, run, turn)))
                await self.shop.runs.finish(lease, done, worker=self.shop.workers.id)
                return
            except asyncio.CancelledError:
                await given_back(lease, self.shop)
                raise
            except Exception as error:
                try:
                    await asyncio.to_thread(turn.check)
                except LeaseLost:
                    continue  # who has it now has taken away what was half written
                await given_back(lease, self.shop, why=f"it could not be delivered: {error}")
                if isinstance(error, StorageFailed):
                    raise NotDelivered(error.message, where=error.where, remedy=error.remedy) from error
                raise
        if lease is not None and lease.state == "parked":
            raise EngineFailed(lease.error, remedy="`bottega resume` with --retry-parked tries again")

    async def _drive_all(self) -> None:
        places = {"local": asyncio.Semaphore(1), "remote": asyncio.Semaphore(REMOTE_AT_ONCE)}
        steps = {step.id: step for step in self.plan.steps}
        graph = schedule(self.plan)
        after: dict[str, list[Step]] = {}
        self._needs = {step.id: needs(step) for step in self.plan.steps}
        for step in self.plan.steps:
            for need in self._needs[step.id]:
                after.setdefault(need, []).append(step)

        def follow(result: StepResult) -> Order | Closing | None:
            """What comes in the change that ends a step, if nothing else is going on.

            A claim on the first step that it sets free; after the last one, where nothing is to be delivered, the run's end.
            """
            if self._driving > 1 or self.cancelled.is_set():
                return None
            self._results[result.step] = result
            if self._ends and len(self._results) == len(steps):
                self._closing = Closing(self._ended(), alone(OWN_TASKS), self._kept)
                return self._closing
            place = steps[result.step].locality
            return next(
                (
                    self._order(step)
                    for step in after.get(result.step, ())
                    if step.locality == place and not self._stuck(step)
                ),
                None,
            )

        async def drive(step_id: str) -> None:
            """This step and one of those that its end sets free; the others are tasks of their own."""
            free, handed = [step_id], None
            try:
                while free:
                    first = handed.order.step.id if handed else free[0]
                    for other in free:
                        if other != first:
                            start(other)
                    step, mine, handed = steps[first], handed, None
                    result, handed = await self._drive(step, places[step.locality], mine, follow)
                    self._results[step.id] = result
                    self.watch(Event("ended", step.id, result=result))
                    graph.done(step.id)
                    free = graph.get_ready()
            finally:
                self._driving -= 1
                if handed and handed.lease:  # whoever watches has raised
                    await given_back(handed.lease, self.shop)

        def start(step_id: str) -> None:
            self._driving += 1
            group.create_task(drive(step_id))

        try:
            async with asyncio.TaskGroup() as group:
                for step_id in graph.get_ready():
                    start(step_id)
        except ExceptionGroup as failures:  # the state cannot be written; one of them says why
            raise failures.exceptions[0] from failures

    async def _drive(
        self, step: Step, at_once: asyncio.Semaphore, handed: Handed | None, follow: Follow
    ) -> tuple[StepResult, Handed | None]:
        if handed is None:
            if self.cancelled.is_set():
                return StepResult(step=step.id, key="", state="skipped", error="stopped on request"), None
            if stuck := self._stuck(step):
                error = f"waits for {', '.join(stuck)}"
                return StepResult(step=step.id, key="", state="skipped", error=error), None
        return await in_turn(
            handed.order if handed else self._order(step),
            self.shop,
            self._settle,
            place=at_once,
            began=partial(self.watch, Event("started", step.id)),
            handed=handed,
            follow=follow,
        )

    def _stuck(self, step: Step) -> list[str]:
        """What it needs and has not got."""
        found = self._results
        return [need for need in self._needs[step.id] if need not in found or not _usable(found[need])]

    async def _settle(self, result: StepResult) -> StepResult:
        return await Reviews(self.shop).settle(self.run, self.plan, result)

    def _order(self, step: Step) -> Order:
        brief = self.plan.brief
        languages = {
            each.language
            for each in self.plan.deliverables
            if each.language and split(each.output)[0] == step.id
        }
        spent = sum(result.cost for result in self._results.values())
        cap, computed = brief.constraints.max_cost, self._computed(step)
        return Order(
            step=step,
            arrived=self._arrived(step),
            run_id=self.run.id,
            plan=self.run.plan,
            round=self.run.round,
            reuse=self.run.reuse,
            shown=lambda result: Reviews(self.shop).asks(self.run, self.plan, result),
            behalf=self.run.requested_by,
            holder=self.run.holder,
            goal=brief.goal,
            language=step.language or (languages.pop() if len(languages) == 1 else ""),
            passages=self.sources.passages,
            computed=computed,
            names=self.shop.card(step.engine).reads_names,
            context=self._context(computed) if step.checks else "",
            charge=self.run.charge,
            budget=None if cap is None else cap - spent,
            cancelled=self.cancelled,
            listen=lambda output: self.watch(Event("output", step.id, output=output)),
        )

    def _context(self, computed: Sequence[str]) -> str:
        """Digest of what checks judge by: the brief's goal, its sources, and what tools computed."""
        sources = {name: artifact.sha256 for name, artifact in self.sources.documents.items()}
        return digest({"goal": self.plan.brief.goal, "sources": sources, "computed": [*computed]})

    def _arrived(self, step: Step) -> list[Arrived]:
        found: list[Arrived] = []
        for port, references in step.inputs.items():
            for reference in references:
                found.append(Arrived(port, _name(reference), self._look_up(reference)))
        return found

    def _look_up(self, reference: str) -> Artifact:
        if is_source(reference):
            kind, _, name = reference.partition(":")
            return (self.sources.originals if kind == "source" else self.sources.documents)[name]
        step_id, port = split(reference)
        return self._results[step_id].output(port).artifact

    def _computed(self, step: Step) -> list[str]:
        """What tools computed among the step's ancestors: their numbers may be quoted."""
        tables = [
            each
            for each in self.plan.steps
            if (found := self._results.get(each.id))
            and found.outputs
            and self.shop.card(each.engine).modality == "table"
        ]
        before = ancestors(self.plan, step) if tables else set[str]()
        return [
            self.shop.artifacts.locate(made.artifact).read_text()
            for each in tables
            if each.id in before
            for made in self._results[each.id].outputs
        ]

    def _verdict(self) -> tuple[RunState, str, str]:
        """State, reason, and the name of the error that ended the run as a whole."""
        if self._late:
            over = BudgetExceeded(
                f"the time limit of {self.plan.brief.constraints.max_seconds:.0f} s is reached"
            )
            return "failed", str(over), type(over).__name__
        if self.cancelled.is_set():
            return "cancelled", "stopped on request", ""
        results = self._results.values()
        failed = [f"{r.step}: {r.error}" for r in results if r.state in ("failed", "parked")]
        if failed:
            return "failed", "; ".join(failed), ""
        waiting = [r.step for r in results if r.state == "awaiting_review" and not r.error]
        unpaid = [f"{r.step}: {r.error}" for r in results if r.state == "awaiting_review" and r.error]
        if waiting or unpaid:
            looks = [f"a person must look at: {', '.join(waiting)}"] if waiting else []
            return "awaiting_review", "; ".join(looks + unpaid), ""
        if any(result.state == "skipped" for result in results):
            return "cancelled", "this round of work was ended elsewhere", ""
        return "released", "", ""


def _first(error: Exception) -> Exception:
    while isinstance(error, ExceptionGroup):
        error = cast("ExceptionGroup[Exception]", error).exceptions[0]
    return error


def _usable(result: StepResult) -> bool:
    return result.state in ("done", "reused")


def _name(reference: str) -> str:
    """What people call a reference: the file's name, or the last part of the step's name."""
    if is_source(reference):
        return reference.partition(":")[2]
    return split(reference)[0].rpartition(".")[2]


def alone(tasks: int) -> bool:
    """Whether an event loop has only so many tasks: then the disk may be waited for in it, which holds up nobody."""
    return len(asyncio.all_tasks()) == tasks
