"""Requests to engines that one operation makes without steps of a plan, each paid by its accounts."""

import asyncio
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count
from threading import Event

from bottega.core.canonical import digest
from bottega.core.errors import BudgetExceeded, Cancelled, LeaseLost, StorageFailed
from bottega.core.plan import Step
from bottega.core.request import Finished, Output, Part, Request
from bottega.core.run import StepResult, StepState
from bottega.pipelines.charges import Meter, charge_for
from bottega.pipelines.leased import given_back, obtained
from bottega.pipelines.workshop import Workshop
from bottega.storage.leases import Claim, Lease


@dataclass
class Charged:
    """What an operation asks engines on the way to its own result; nothing of it is stored.

    Without ``accounts`` an engine is simply asked. With them the most that a request may use is reserved on every account
    before the engine hears of it, under a lease (``run/OPERATION-ID/step/N``), and what it used is settled after; when this
    process dies in between, whoever comes next to the accounts gives the reservation back. Neither the request's words
    nor the answer's get into the record.
    """

    shop: Workshop
    actor: str
    operation: str
    accounts: tuple[str, ...] = ()
    cancelled: Event = field(default_factory=Event)

    def __post_init__(self) -> None:
        """Name the operation."""
        self.id = f"{self.operation}-{uuid.uuid4().hex[:12]}"
        self._numbers = count(1)

    async def ask(self, request: Request) -> Sequence[Finished]:
        """The files that an engine makes for a request, in memory.

        Raises:
            BudgetExceeded: an account refuses it.
            BottegaError: as the engine raised it.
        """
        return [each for each in await self.outputs(request) if isinstance(each, Finished)]

    async def outputs(self, request: Request) -> list[Output]:
        """As `ask`, with all that the engine yields before its files.

        Raises:
            BudgetExceeded: an account refuses it.
            BottegaError: as the engine raised it.
        """
        if not self.accounts:
            return await self._generate(request, Meter())
        step = self._step(request)
        lease = await self._lease(step, sum(map(_size, request.parts)))
        meter, charge, card = Meter(), lease.claim.charge, self.shop.card(request.engine)
        assert charge is not None
        try:
            made = await self._generate(request, meter)
        except StorageFailed as error:
            await given_back(lease, self.shop, meter.used(charge, step, card, error), why=error.message)
            raise
        except BaseException as error:
            stopped = isinstance(error, Cancelled | asyncio.CancelledError)
            await self._end(lease, meter, step, "stopped" if stopped else "failed", error)
            raise
        await self._end(lease, meter, step, "done")
        return made

    async def _generate(self, request: Request, meter: Meter) -> list[Output]:
        outputs: list[Output] = []
        meter.begun += 1
        async with self.shop.bench(self.cancelled) as bench:
            _, used = await self.shop.generate(request, bench, outputs.append)
            meter.known.append(used)
            return [
                each.model_copy(update={"data": each.path.read_bytes(), "path": None})
                if isinstance(each, Finished) and each.path is not None
                else each
                for each in outputs
            ]

    def _step(self, request: Request) -> Step:
        card = self.shop.card(request.engine)
        model, weights = self.shop.weights(card, request.model)
        return Step(
            id=str(next(self._numbers)), engine=card.id, version=card.version, model=model, weights=weights,
            params=request.params, seed=request.seed, locality=card.locality,
        )  # fmt: skip

    async def _lease(self, step: Step, input_bytes: int) -> Lease:
        card = self.shop.card(step.engine)
        detail = {
            "engine_version": card.version, "model": step.model, "weights": step.weights, "charge": [*self.accounts],
        }  # fmt: skip
        claim = Claim(
            run=self.id,
            round=await asyncio.to_thread(self.shop.journal.size),
            step=step.id,
            key=digest(
                {self.operation: self.id, "n": step.id}
            ),  # never made before, and not guessed from words
            checks=digest({}),
            engine=step.engine,
            local=card.locality == "local",
            reuse=False,
            at_once=self.shop.limits.get(step.engine, 1),
            here_at_once=self.shop.limits.get("local", 1),
            detail=detail,
            behalf=self.actor,
            holder=self.shop.holder,
            charge=charge_for(step, self.accounts, input_bytes, self.shop),
        )
        place = asyncio.Semaphore(1)  # requests of one operation follow each other
        found = await obtained(claim, self.shop, self.cancelled, place)
        if isinstance(found, Lease):
            return found
        if found is None:
            raise Cancelled("stopped on request")
        raise BudgetExceeded(
            found.error, where=f"request to '{step.engine}'", remedy="raise the limit: bottega budget set"
        )

    async def _end(
        self,
        lease: Lease,
        meter: Meter,
        step: Step,
        state: StepState,
        error: BaseException | None = None,
    ) -> None:
        assert lease.claim.charge is not None
        used = meter.used(lease.claim.charge, step, self.shop.card(step.engine), error)
        result = StepResult(
            step=step.id, key=lease.claim.key, state=state, cost=meter.cost,
            error=type(error).__name__ if error else "",  # its words may quote what was asked
            usage=meter.known[-1].document() if meter.known else {},
        )  # fmt: skip
        try:
            await self.shop.runs.finish(lease, result, worker=self.shop.workers.id, used=used)
        except LeaseLost:
            if error is None:  # its data subject was erased meanwhile, or this worker was taken for dead
                raise


def _size(part: Part) -> int:
    return part.artifact.size if part.artifact else len((part.text or "").encode())
