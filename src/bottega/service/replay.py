"""Runs a plan again from the record and compares what comes out; regenerates artifacts from a delivered manifest."""

import asyncio
import shutil
import threading
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bottega.core.entry import Act
from bottega.core.errors import InvalidValue, NotFound
from bottega.core.plan import Plan
from bottega.core.run import Run, StepResult
from bottega.delivery.manifest import DeliveredFile, read_delivery
from bottega.pipelines.again import Again, digest_of, or_weights, today, told
from bottega.pipelines.comparison import (
    Compared,
    Replayed,
    changes,
    compared,
    consequence,
    digests,
    doubts,
    made_with,
    repairs,
    summed,
)
from bottega.pipelines.graph import ancestors, needed, only, ordered, split
from bottega.pipelines.runner import Event, Sources
from bottega.pipelines.sources import at_hand, bring
from bottega.pipelines.workshop import Workshop
from bottega.storage.budgets import named

Note = Callable[[str], None]
Watch = Callable[[Event], None]


@dataclass
class Replays:
    """The two ways to make something again.

    ``actor`` stands in the journal as who asked for it; the accounts of ``charge`` pay each step, as they pay a run's.
    """

    shop: Workshop
    actor: str
    charge: Sequence[str] = ()
    note: Note = lambda text: None
    watch: Watch = lambda event: None
    cancelled: threading.Event | None = None

    async def run(self, run_id: str, steps: Sequence[str] = ()) -> Replayed:
        """Make what a run made, from the plan, the sources and the seeds that the record holds, and compare digests.

        Nothing is taken over from earlier work, nothing is delivered, and no person is asked. What comes out may be
        collected afterwards; the journal tells of it under an id of its own.

        Args:
            run_id: the run.
            steps: only these and what they need.

        Raises:
            NotFound: there is no such run or step, or the policy kept no words of its plan.
            InvalidValue: the record holds no output to compare with.
            SetupError: an engine or weights are missing; says so for every step, before any runs.
            BudgetExceeded, RateLimited: an account of ``charge`` refuses a step; what was made before is paid.
        """
        run, plan = self.shop.runs.whole(run_id)
        then = {result.step: result for result in run.results}
        chosen = needed(plan, steps or [step.id for step in plan.steps])
        part = only(plan, {step for step in chosen if step in then and then[step].outputs})
        if not part.steps:
            raise InvalidValue("the record holds no output to compare with", where=f"run '{run_id}'")
        now_plan = today(part, self.shop, self.note)
        sources = await asyncio.to_thread(at_hand, plan.sources, self.shop)
        runner = self._runner(now_plan, sources, run.holder)
        replay = runner.run.id
        try:
            results = await runner.again()
            found: list[Compared] = []
            for step in ordered(only(plan, chosen)):
                if step.id not in results:
                    error = then[step.id].error if step.id in then else "it had not run"
                    found.append(
                        Compared(step=step.id, engine=step.engine, outcome="not recorded", error=error)
                    )
                    continue
                result = compared(step, digests(then[step.id]), results[step.id], ())
                if result.outcome == "differs":
                    was = made_with(self.shop.journal, run_id, step.id)
                    now = made_with(self.shop.journal, replay, step.id)
                    moved = runner.moved(step, then[step.id].key, then)
                    reasons = [
                        *consequence(moved),
                        *changes(step, self.shop.card(step.engine), was, now),
                        *doubts(step, self.shop.card(step.engine)),
                        *repairs(then[step.id].attempts, results[step.id].attempts),
                    ]
                    told_ = await or_weights([step], reasons, self.shop)
                    result = result.model_copy(update={"reasons": told_})
                found.append(result)
            report = summed(run_id, replay, found)
            self._record(report, run.holder)
            return report
        finally:
            self._let_go(replay, run.holder)

    async def regenerate(
        self,
        manifest: Path,
        artifact: str = "",
        *,
        sources: Sequence[Path] = (),
        out: Path | None = None,
        anyway: bool = False,
    ) -> Replayed:
        """Make artifacts of a delivered folder again, on whatever machine, and compare with their ``content_digest``.

        Args:
            manifest: ``manifest.json`` of the folder, with ``plan.json`` beside it.
            artifact: path of one artifact, as in the manifest; all of them when empty.
            sources: files and folders in which sources are looked for that the store does not hold.
            out: where the artifact goes, as it was before signing; it is written when its bytes are the same.
            anyway: go ahead, and write, even where other bytes may come out or do.

        Raises:
            InvalidValue: the folder cannot be read, or an engine does not declare that it repeats itself.
            Tampered: the plan is not the one that the manifest names.
            NotFound: there is no such artifact, or a source is missing; names it.
            SetupError: an engine or weights are missing; says so for every step, before any runs.
            BudgetExceeded, RateLimited: as for `run`.
        """
        facts, plan = await asyncio.to_thread(read_delivery, manifest)
        files = _chosen(facts.artifacts, artifact, manifest)
        if out is not None and len(files) != 1:
            raise InvalidValue("one file can be written", where="out", remedy="name it with --artifact")
        part = only(plan, needed(plan, [split(file.output)[0] for file in files]))
        now_plan = today(part, self.shop, self.note)
        if not anyway:
            self._refuse_doubts(part, manifest)
        held = await bring(plan.sources, [*sources], self.shop, self.note)
        runner = self._runner(now_plan, held, "")
        replay = runner.run.id
        try:
            results = await runner.again()
            found: list[Compared] = []
            for step in ordered(part):
                wanted = {split(f.output)[1]: f for f in files if split(f.output)[0] == step.id}
                then = {port: file.content_digest for port, file in wanted.items()}
                result = compared(step, then, results[step.id], ())
                if result.outcome == "differs":
                    chain = [each for each in ordered(part) if each.id in ancestors(part, step)] + [step]
                    before = {each.step for each in found if each.outcome == "differs"}
                    reasons = [
                        *consequence([each.id for each in chain if each.id in before]),
                        *(
                            reason
                            for each in chain
                            for reason in told(
                                each, now_plan.step(each.id), self.shop, facts.made_on.get(each.id)
                            )
                        ),
                        *repairs(next(iter(wanted.values())).attempts, results[step.id].attempts),
                    ]
                    told_ = await or_weights(chain, reasons, self.shop)
                    result = result.model_copy(update={"reasons": told_})
                if wanted or result.outcome == "not made":
                    found.append(result)
            report = summed(facts.run, replay, found)
            if out is not None and (report.finding == "identical" or anyway):
                await self._write(results, files[0].output, out)
            self._record(report, "")
            return report
        finally:
            self._let_go(replay, "")

    def _refuse_doubts(self, plan: Plan, manifest: Path) -> None:
        found = [f"step '{s.id}': {r.words}" for s in plan.steps for r in doubts(s, self.shop.card(s.engine))]
        if found:
            raise InvalidValue(
                f"it cannot be promised to come out the same: {'; '.join(found)}",
                where=str(manifest),
                remedy="name another artifact, or try it with --anyway",
            )

    def _runner(self, plan: Plan, sources: Sources, holder: str) -> Again:
        run = Run(
            id=f"replay-{uuid.uuid4().hex[:12]}",
            state="running",
            plan=plan.identity,
            brief=plan.brief.identity,
            reuse=False,
            requested_by=self.actor,
            holder=holder,
            charge=tuple(named(account) for account in self.charge),
        )
        return Again(plan, run, sources, self.shop, self.watch, self.cancelled or threading.Event())

    async def _write(self, results: Mapping[str, StepResult], output: str, out: Path) -> None:
        sha256 = digest_of(results, output)
        for made in results[split(output)[0]].outputs:
            if made.artifact.sha256 == sha256:
                await asyncio.to_thread(out.parent.mkdir, parents=True, exist_ok=True)
                await asyncio.to_thread(shutil.copyfile, self.shop.artifacts.locate(made.artifact), out)

    def _record(self, report: Replayed, holder: str) -> None:
        outcomes = {each.step: each.outcome for each in report.steps}
        self.shop.journal.write(
            Act.RUN_REPLAYED, f"run/{report.run}", actor=self.actor, holder=holder,
            detail={"replay": report.replay, "finding": report.finding, "first": report.first, "steps": outcomes},
        )  # fmt: skip

    def _let_go(self, replay: str, holder: str) -> None:
        """Its results are not for others, and its files may be collected."""
        self.shop.journal.write(
            Act.RUN_EXPIRED, f"run/{replay}", actor=self.actor, why="the replay has ended", holder=holder
        )


def _chosen(files: Sequence[DeliveredFile], artifact: str, manifest: Path) -> Sequence[DeliveredFile]:
    """The artifact named by its path in the folder, or by its path from here; all when none is named."""
    if not artifact:
        return files
    here = {file.path: file for file in files}
    for path, file in here.items():
        if artifact == path or Path(artifact).absolute() == (manifest.parent / path).absolute():
            return [file]
    raise NotFound(
        f"there is no artifact '{artifact}'", where=str(manifest), remedy=f"one of: {', '.join(here)}"
    )
