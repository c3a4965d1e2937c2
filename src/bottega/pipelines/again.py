"""Makes the steps of a plan once more, apart from every run."""

import asyncio
from collections.abc import Callable, Mapping, Sequence

from bottega.core.errors import BudgetExceeded, Cancelled, NotFound, SetupError, WeightsMissing
from bottega.core.plan import Plan, Step
from bottega.core.run import StepResult
from bottega.pipelines.comparison import Reason, changes, digests, doubts, unexplained
from bottega.pipelines.graph import is_source, split
from bottega.pipelines.leased import Follow, Handed
from bottega.pipelines.machine import machine
from bottega.pipelines.runner import Runner
from bottega.pipelines.step import Order
from bottega.pipelines.validate import models_of, sound
from bottega.pipelines.workshop import Workshop
from bottega.storage.journal import Detail


class Again(Runner):
    """Makes the steps of a plan without a run that others could join: nobody is asked, and nothing is delivered."""

    async def again(self) -> Mapping[str, StepResult]:
        """Make every step anew; results by step id.

        Raises:
            Cancelled: somebody asked to stop.
            BudgetExceeded, RateLimited: an account that pays refuses a step; nobody waits for it, and nothing more is made.
        """
        try:
            await self._drive_all()
            if self.cancelled.is_set():
                raise Cancelled("stopped on request")
        finally:
            self.cancelled.set()
        return self._results

    def moved(self, step: Step, key: str, then: Mapping[str, StepResult]) -> list[str]:
        """The inputs of a step that are not those of the key it had then."""
        names = self.shop.card(step.engine).reads_names
        if Order(step, self._arrived(step), self.run.id, names=names).key == key:
            return []
        references = [reference for found in step.inputs.values() for reference in found]
        made = [each for each in references if not is_source(each)]
        moved = [each for each in made if digest_of(self._results, each) != digest_of(then, each)]
        return moved or [each for each in references if is_source(each)]

    async def _drive(
        self, step: Step, at_once: asyncio.Semaphore, handed: Handed | None, follow: Follow
    ) -> tuple[StepResult, Handed | None]:
        result, handed = await super()._drive(step, at_once, handed, follow)
        if result.state == "awaiting_review":  # what people decided on is `_settle`d, so this is about money
            raise BudgetExceeded(
                result.error, where=f"step '{step.id}'", remedy="raise the limit: bottega budget set"
            )
        return result, handed

    async def _settle(self, result: StepResult) -> StepResult:
        return result.model_copy(update={"state": "done"})  # what was decided on it then is not decided again


def digest_of(results: Mapping[str, StepResult], reference: str) -> str:
    """SHA-256 of an output ``step.port``; empty when it was not made."""
    step, port = split(reference)
    return digests(results[step]).get(port, "")


def today(plan: Plan, shop: Workshop, note: Callable[[str], None]) -> Plan:
    """The plan with the engine versions and weights of this machine; says what is other.

    Raises:
        SetupError: an engine or weights are missing; says so for every step.
        InvalidPlan: a step no longer fits its engine.
        PolicyDenied: an engine is remote and nothing may leave the machine.
    """
    faults: list[str] = []
    remedies: dict[str, None] = {}
    steps: list[Step] = []
    for step in plan.steps:
        try:
            card = shop.card(step.engine)
            missing = [
                model.id
                for model in map(shop.catalog.get, models_of(step, shop))
                if not shop.catalog.pulled(model)
            ]
            _, weights = shop.weights(card, step.model)
        except NotFound as error:
            faults.append(f"step '{step.id}': {error.message}")
            continue
        if missing:
            names = ", ".join(f"'{name}'" for name in missing)
            faults.append(f"step '{step.id}': the weights of {names} are not on this machine")
            remedies |= dict.fromkeys(missing)
        now = {"version": step.version and card.version, "weights": step.weights and weights}
        steps.append(step.model_copy(update=now))
        for reason in told(step, steps[-1], shop):
            if reason.cause != "machine":
                note(reason.words)
    if faults:
        raise SetupError(
            "; ".join(faults),
            where="replay",
            remedy=f"bottega pull {' '.join(remedies)}" if remedies else "install what is missing",
        )
    today = plan.model_copy(update={"steps": tuple(steps)})
    sound(today, shop)
    return today


def told(step: Step, now: Step, shop: Workshop, where: Detail | None = None) -> list[Reason]:
    """What a plan tells of a step without a journal; ``where`` is the machine that made it, as far as it is known."""
    card = shop.card(step.engine)
    then = {"engine_version": step.version or card.version, "weights": step.weights, **(where or {})}
    is_ = {"engine_version": card.version, "weights": now.weights, **machine(shop.threads)}
    return [
        reason.model_copy(update={"words": f"step '{step.id}': {reason.words}"})
        for reason in (*changes(step, card, then, is_), *doubts(step, card))
    ]


async def or_weights(steps: Sequence[Step], reasons: Sequence[Reason], shop: Workshop) -> tuple[Reason, ...]:
    """The reasons; where there is none, the weights of these steps are hashed before the last one's engine is blamed."""
    if reasons:
        return tuple(reasons)
    for name in dict.fromkeys(name for step in steps for name in models_of(step, shop)):
        try:
            await asyncio.to_thread(shop.catalog.verify, shop.catalog.get(name))
        except WeightsMissing as damage:
            return (Reason(cause="weights", words=f"weights of '{name}' on this machine: {damage}"),)
    return (unexplained(steps[-1], shop.card(steps[-1].engine)),)
