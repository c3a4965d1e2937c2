"""One step: admit, generate, check, repair or escalate, store."""

import asyncio
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatch
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from bottega.checks.base import InputFile, Subject
from bottega.core.artifact import Artifact
from bottega.core.errors import BottegaError, BudgetExceeded, Cancelled, EngineFailed
from bottega.core.passage import Passage
from bottega.core.plan import Step
from bottega.core.request import Finished, Output, Part, Request
from bottega.core.run import Made, StepResult
from bottega.core.verdict import Verdict
from bottega.engines.base import Bench
from bottega.pipelines.charges import ATTEMPTS, Meter
from bottega.pipelines.workshop import NOTHING, Workshop


class Arrived(NamedTuple):
    """An input that arrived at a port."""

    port: str
    name: str
    artifact: Artifact
    text: str | None = None  # the bytes themselves, which then need not be stored


@dataclass
class Order:
    """All that one step needs to run and be judged. Nobody changes it; to freeze it would cost a call for each field."""

    step: Step
    arrived: Sequence[Arrived]
    run_id: str
    plan: str = ""
    round: int = 0
    reuse: bool = True
    shown: Callable[[StepResult], bool] = lambda result: result.blocked  # whether a person must see it
    behalf: str = ""
    holder: str = ""
    goal: str = ""
    language: str = ""
    passages: Sequence[Passage] = ()
    computed: Sequence[str] = ()
    budget: float | None = None  # US dollars left
    charge: Sequence[str] = ()  # budget accounts that pay
    cancelled: threading.Event = field(default_factory=threading.Event)
    listen: Callable[[Output], None] | None = None
    patient: bool = True  # wait and ask again when an engine is busy
    failed: Callable[[BottegaError], None] | None = None  # is told the error that the result has as text
    tenant: str = ""  # whose results of other runs may be taken over; empty: anybody's
    names: bool = True  # the engine reads what its inputs are called
    context: str = ""  # digest of what the checks judge by, besides the output and their options
    together: bool = False  # may be made in one batch with others: nobody asked for the same bits again

    @cached_property
    def key(self) -> str:
        """What will have made the result."""
        ports: dict[str, tuple[str, ...]] = {}
        for item in self.arrived:
            told = f"{item.artifact.sha256} {item.name}" if self.names else item.artifact.sha256
            ports[item.port] = (*ports.get(item.port, ()), told)
        return self.step.key(ports)


async def make(
    order: Order, shop: Workshop, meter: Meter | None = None, stored: StepResult | None = None
) -> StepResult:
    """Make what one step of a plan, or one call of the API, asks for: they are the same.

    ``meter`` knows what was used even when this raises. What is ``stored`` under the same key is judged again, and made only if it does
    not hold.

    The result is `done`, or `awaiting_review` when a check still blocks it after the last repair.

    Raises:
        BudgetExceeded: the step would cost more than is left.
        BottegaError: as the engine raised it.
        Cancelled: when asked to stop.
    """
    step = order.step
    if order.budget is not None and step.cost > order.budget:
        raise BudgetExceeded(f"step '{step.id}' costs about ${step.cost:.4f}, ${order.budget:.4f} is left")

    started, meter = time.monotonic(), meter or Meter()
    request, attempt = admit(order), 0
    while True:
        attempt += 1
        if stored and attempt == 1:
            used, made = NOTHING, [each.model_copy(update={"verdicts": ()}) for each in stored.outputs]
        else:
            meter.begun += 1
            async with shop.bench(order.cancelled, together=order.together) as bench:
                files, used = await shop.generate(request, bench, order.listen)
                meter.known.append(used)
                made = await keep(files, step, bench, shop)
        made = [await judged(order, each, made, shop) for each in made]
        blocking = [verdict for each in made for verdict in each.verdicts if verdict.outcome == "block"]
        if not blocking or shop.card(step.engine).determinism == "exact" or attempt == ATTEMPTS:
            break
        request = repaired(request, blocking, attempt)

    return StepResult(
        step=step.id,
        key=order.key,
        state="awaiting_review" if blocking else "done",
        outputs=tuple(made),
        attempts=attempt,
        seconds=round(time.monotonic() - started, 3),
        cost=meter.cost,
        usage=used.document() if used != NOTHING else {},
    )


def admit(order: Order) -> Request:
    """The request that the step's engine gets."""
    step = order.step
    return Request(
        engine=step.engine,
        model=step.model,
        parts=tuple(
            Part(port=item.port, name=item.name, artifact=item.artifact, text=item.text)
            for item in order.arrived
        ),
        params=step.params,
        seed=step.seed,
    )


async def keep(files: Sequence[Finished], step: Step, bench: Bench, shop: Workshop) -> list[Made]:
    """Store what an engine finished; off the event loop where that waits for a disk."""
    light = shop.artifacts.objects.light
    if all(file.path is None and len(file.data or b"") <= light for file in files):
        return _keep(files, step, bench, shop)
    return await asyncio.to_thread(_keep, files, step, bench, shop)


def _keep(files: Sequence[Finished], step: Step, bench: Bench, shop: Workshop) -> list[Made]:
    made: list[Made] = []
    for file in files:
        if file.path is not None:
            if not file.path.resolve().is_relative_to(bench.scratch.resolve()):
                raise EngineFailed("it wrote outside its folder", where=f"step '{step.id}'")
            artifact = shop.artifacts.put_file(file.path, file.media_type)
        else:
            artifact = shop.artifacts.put(file.data or b"", file.media_type, along=True)
        made.append(Made(port=file.port, artifact=artifact, details=file.details))
    if not made:
        raise EngineFailed("it finished without a file", where=f"step '{step.id}'")
    return made


async def judged(order: Order, made: Made, siblings: Sequence[Made], shop: Workshop) -> Made:
    """One output with what every check that applies to it said. A check that raises blocks."""
    verdicts: list[Verdict] = []
    locate = shop.artifacts.locate

    async def ask(request: Request) -> Sequence[Finished]:
        return await shop.ask(request, order.cancelled)

    for check_id, options in sorted(order.step.checks.items()):
        check = shop.check(check_id)
        if not applies(check.media_types, made.artifact.media_type):
            continue
        subject = Subject(
            artifact=made.artifact,
            path=locate(made.artifact),
            port=made.port,
            params=order.step.params,
            details=made.details,
            inputs=[InputFile(a.port, a.name, a.artifact, locate(a.artifact)) for a in order.arrived],
            passages=order.passages,
            computed=order.computed,
            goal=order.goal,
            language=order.language,
            siblings=_paths(siblings, locate),
            ask=ask,
        )
        try:
            verdicts.append(await check.judge(subject, check.options.model_validate(options)))
        except Cancelled:
            raise
        except Exception as error:  # noqa: BLE001 - a check that raises, blocks
            reason = f"the check could not decide: {type(error).__name__}: {error}"
            verdicts.append(Verdict(check=check_id, outcome="block", reason=reason[:500]))
    return made.model_copy(update={"verdicts": tuple(verdicts)}) if verdicts else made


def applies(patterns: Sequence[str], media_type: str) -> bool:
    """Whether a check made for these media types judges this one."""
    return any(fnmatch(media_type, pattern) for pattern in patterns)


def repaired(request: Request, blocking: Sequence[Verdict], attempt: int) -> Request:
    """The same request with one compact line that says what was wrong, and the next seed."""
    reasons = "; ".join(dict.fromkeys(verdict.reason for verdict in blocking))
    seed = None if request.seed is None else request.seed + attempt
    return request.model_copy(update={"feedback": reasons[:400], "seed": seed})


def reusable(step: Step, shop: Workshop) -> bool:
    """Whether another run may have this result: not when chance made it and no seed was given."""
    determinism = shop.card(step.engine).determinism
    return determinism == "exact" or (determinism == "seeded" and step.seed is not None)


def _paths(made: Sequence[Made], locate: Callable[[Artifact], Path]) -> Mapping[str, Path]:
    return {each.port: locate(each.artifact) for each in made}
