"""Runs a plan: every step as soon as what it needs is there."""

import asyncio
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Literal

from bottega.core.artifact import Artifact
from bottega.core.errors import BudgetExceeded, EngineFailed, LeaseLost
from bottega.core.passage import Passage
from bottega.core.plan import Plan, Step
from bottega.core.request import Output
from bottega.core.run import Made, Run, RunState, StepResult
from bottega.pipelines.graph import ancestors, is_source, needs, ordered, split
from bottega.pipelines.leased import REMOTE_AT_ONCE, obtained, settled
from bottega.pipelines.review import Reviews
from bottega.pipelines.step import Arrived, Order
from bottega.pipelines.workshop import Workshop
from bottega.storage.runs import Claim, Lease

DELIVERY = "@delivery"  # a step of every run that has a folder; no step of a plan can be called so
HEED = 0.2  # seconds between two looks whether somebody asked for a stop

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
    deliver: Callable[[Run], None] | None = None
    _results: dict[str, StepResult] = field(default_factory=dict[str, StepResult])

    async def work(self) -> Run:
        """Run every step that can run, and say what came of it; each step's end is durable before the next begins."""
        limit = self.plan.brief.constraints.max_seconds
        state: RunState = "running"
        reason = error = ""
        heeding = asyncio.create_task(self._heed())
        try:
            async with asyncio.timeout(limit):
                await self._drive_all()
            state, reason = self._verdict()
            if self.cancelled.is_set():
                state, reason = "cancelled", "stopped on request"
        except TimeoutError:
            over = BudgetExceeded(f"the time limit of {limit:.0f} s is reached")
            state, reason, error = "failed", str(over), type(over).__name__
        except (asyncio.CancelledError, KeyboardInterrupt):
            state, reason = "cancelled", "stopped on request"
        finally:
            heeding.cancel()
            self.cancelled.set()
        results = [self._results[step.id] for step in self.plan.steps if step.id in self._results]
        ended = {"state": state, "reason": reason, "error": error, "finished_at": self.shop.now()}
        self.run = self.run.model_copy(update={**ended, "results": tuple(results)})
        await self._deliver()
        await asyncio.to_thread(self.shop.runs.close, self.run, actor=self.shop.workers.id)
        return self.run

    async def _deliver(self) -> None:
        """Deliver under a lease, before the run is closed: a worker that dies here is followed by another."""
        if self.deliver is None:
            return
        run = self.run
        claim = Claim(
            run=run.id, round=run.round, step=DELIVERY, key=f"round {run.round}", checks="", engine=DELIVERY,
            local=False, at_once=1000, behalf=run.requested_by, holder=run.holder,
        )  # fmt: skip
        lease = await obtained(claim, self.shop)
        if isinstance(lease, Lease):
            await asyncio.to_thread(self.deliver, run)
            done = StepResult(step=DELIVERY, key=claim.key, state="done")
            with suppress(LeaseLost):
                await self.shop.runs.finish(lease, done, worker=self.shop.workers.id)

    async def _heed(self) -> None:
        """Stop when somebody asks for it, from whatever process."""
        with self.shop.runs.wakes.listen() as bell:
            while True:
                await bell.wait()
                await asyncio.sleep(HEED)  # a busy run rings often; once in a while is soon enough
                bell.clear()
                if await asyncio.to_thread(self.shop.runs.over, self.run.id, self.run.round):
                    return self.cancelled.set()

    async def _drive_all(self) -> None:
        places = {"local": asyncio.Semaphore(1), "remote": asyncio.Semaphore(REMOTE_AT_ONCE)}
        tasks: dict[str, asyncio.Task[StepResult]] = {}
        async with asyncio.TaskGroup() as group:
            for step in ordered(self.plan):
                before = [tasks[need] for need in needs(step)]
                tasks[step.id] = group.create_task(self._drive(step, before, places[step.locality]))

    async def _drive(
        self, step: Step, before: Sequence[asyncio.Task[StepResult]], at_once: asyncio.Semaphore
    ) -> StepResult:
        stuck = [task.result().step for task in await _all(before) if not _usable(task.result())]
        if self.cancelled.is_set():
            result = StepResult(step=step.id, key="", state="skipped", error="stopped on request")
        elif stuck:
            result = StepResult(step=step.id, key="", state="skipped", error=f"waits for {', '.join(stuck)}")
        else:
            async with at_once:
                self.watch(Event("started", step.id))
                result = await settled(self._order(step), self.shop, self._settle)
        self._results[step.id] = result
        self.watch(Event("ended", step.id, result=result))
        return result

    def _settle(self, result: StepResult) -> StepResult:
        return Reviews(self.shop).settle(self.run, self.plan, result)

    def _order(self, step: Step) -> Order:
        brief = self.plan.brief
        languages = {
            d.language for d in self.plan.deliverables if split(d.output)[0] == step.id and d.language
        }
        spent = sum(result.cost for result in self._results.values())
        cap = brief.constraints.max_cost
        return Order(
            step=step,
            arrived=self._arrived(step),
            run_id=self.run.id,
            round=self.run.round,
            reuse=self.run.reuse,
            shown=Reviews(self.shop).wanted(self.plan, step),
            behalf=self.run.requested_by,
            holder=self.run.holder,
            goal=brief.goal,
            language=step.language or (languages.pop() if len(languages) == 1 else ""),
            passages=self.sources.passages,
            computed=self._computed(step),
            budget=None if cap is None else cap - spent,
            cancelled=self.cancelled,
            listen=lambda output: self.watch(Event("output", step.id, output=output)),
        )

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
        return _output(self._results[step_id], port).artifact

    def _computed(self, step: Step) -> list[str]:
        """What tools computed among the step's ancestors: their numbers may be quoted."""
        before = ancestors(self.plan, step)
        return [
            self.shop.artifacts.locate(made.artifact).read_text()
            for each in self.plan.steps
            if each.id in before and self.shop.card(each.engine).modality == "table"
            for made in self._results[each.id].outputs
        ]

    def _verdict(self) -> tuple[RunState, str]:
        results = self._results.values()
        failed = [f"{r.step}: {r.error}" for r in results if r.state == "failed"]
        parked = [f"{r.step}: {r.error}" for r in results if r.state == "parked"]
        waiting = [r.step for r in results if r.state == "awaiting_review"]
        if failed or parked:
            return "failed", "; ".join(failed + parked)
        if any(result.state == "stopped" for result in results):
            return "cancelled", "stopped on request"
        if waiting:
            return "awaiting_review", f"a person must look at: {', '.join(waiting)}"
        return "released", ""


async def _all(tasks: Sequence[asyncio.Task[StepResult]]) -> Sequence[asyncio.Task[StepResult]]:
    if tasks:
        await asyncio.wait(tasks)
    return tasks


def _usable(result: StepResult) -> bool:
    return result.state in ("done", "reused")


def _output(result: StepResult, port: str) -> Made:
    for made in result.outputs:
        if made.port == port:
            return made
    raise EngineFailed(f"step '{result.step}' did not make output '{port}'")


def _name(reference: str) -> str:
    """What people call a reference: the file's name, or the last part of the step's name."""
    if is_source(reference):
        return reference.partition(":")[2]
    return split(reference)[0].rpartition(".")[2]
