"""Runs a plan: every step as soon as what it needs is there."""

import asyncio
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from bottega.core.artifact import Artifact
from bottega.core.errors import BottegaError, BudgetExceeded, Cancelled, EngineFailed
from bottega.core.passage import Passage
from bottega.core.plan import Plan, Step
from bottega.core.request import Output
from bottega.core.run import Made, Run, RunState, StepResult
from bottega.pipelines.graph import ancestors, is_source, needs, ordered, split
from bottega.pipelines.review import Reviews
from bottega.pipelines.step import Arrived, Order, run_step
from bottega.pipelines.workshop import Workshop, facts

REMOTE_AT_ONCE = (
    4  # local steps go one by one: each engine uses all threads, and two at once hinder each other
)

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
    """Works through one plan."""

    plan: Plan
    run: Run
    sources: Sources
    shop: Workshop
    watch: Callable[[Event], None] = lambda event: None
    cancelled: threading.Event = field(default_factory=threading.Event)
    _results: dict[str, StepResult] = field(default_factory=dict[str, StepResult])

    def __post_init__(self) -> None:
        self._before = self.run.results

    async def work(self) -> Run:
        """Run every step that can run, and say what came of it; progress is saved after each step."""
        limit = self.plan.brief.constraints.max_seconds
        state: RunState = "running"
        reason = error = ""
        self._save("running", "")
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
            self.cancelled.set()
        self._save(state, reason, error)
        self._record(f"run_{state}", self.run.id, {"reason": reason, "steps": len(self._results)})
        return self.run

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
                result = await self._attempt(step)
        self._results[step.id] = result
        self._save("running", "")
        self.watch(Event("ended", step.id, result=result))
        return result

    async def _attempt(self, step: Step) -> StepResult:
        """One step, its failure named and recorded once."""
        self.watch(Event("started", step.id))
        order = self._order(step)
        self._record("step_started", step.id, {"key": order.key, "engine": step.engine})
        try:
            result = self._left_waiting(order) or await run_step(order, self.shop)
        except asyncio.CancelledError:
            self._record("step_stopped", step.id)
            raise
        except Cancelled as stop:
            self._record("step_stopped", step.id)
            return StepResult(step=step.id, key=order.key, state="skipped", error=str(stop))
        except BottegaError as error:
            self._record("step_failed", step.id, facts(error))
            return StepResult(step=step.id, key=order.key, state="failed", error=str(error))
        except Exception as error:  # noqa: BLE001 - a failure of one step must not take the run with it
            failure = EngineFailed(f"{type(error).__name__}: {error}", where=f"step '{step.id}'")
            self._record("step_failed", step.id, facts(failure))
            return StepResult(step=step.id, key=order.key, state="failed", error=str(failure))
        result = Reviews(self.shop).settle(self.run, self.plan, result)
        self._record(
            f"step_{result.state}",
            step.id,
            {
                "key": result.key,
                "attempts": result.attempts,
                "cost": result.cost,
                "outputs": {made.port: made.artifact.sha256 for made in result.outputs},
                "blocked_by": sorted(
                    {v.check for m in result.outputs for v in m.verdicts if v.outcome == "block"}
                ),
            },
        )
        return result

    def _left_waiting(self, order: Order) -> StepResult | None:
        """The blocked result that a person is looking at: it is not made again."""
        for result in self._before:
            if result.step == order.step.id and result.key == order.key and result.state == "awaiting_review":
                return result
        return None

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
        waiting = [r.step for r in results if r.state == "awaiting_review"]
        if failed:
            return "failed", "; ".join(failed)
        if waiting:
            return "awaiting_review", f"a person must look at: {', '.join(waiting)}"
        return "released", ""

    def _save(self, state: RunState, reason: str, error: str = "") -> None:
        order = [self._results[step.id] for step in self.plan.steps if step.id in self._results]
        ended = state not in ("running", "planned")
        self.run = self.run.model_copy(
            update={
                "state": state,
                "reason": reason,
                "error": error,
                "results": tuple(order),
                "finished_at": self.shop.now() if ended else "",
            }
        )
        self.shop.runs.save(self.run)

    def _record(self, act: str, subject: str, detail: Mapping[str, object] | None = None) -> None:
        about = subject if subject == self.run.id else f"{self.run.id}/{subject}"
        self.shop.record.append(self.shop.now(), "bottega", f"pipeline:{act}", about, dict(detail or {}))


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
