"""One step under a lease: claimed, made, settled and written down once, however many workers there are."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass

from bottega.core.canonical import digest
from bottega.core.errors import (
    BottegaError,
    Cancelled,
    EngineBusy,
    EngineDied,
    EngineFailed,
    LeaseLost,
    StorageFailed,
)
from bottega.core.moment import later, seconds_between
from bottega.core.plan import Plan
from bottega.core.run import Run, StepResult
from bottega.core.value import JsonObject
from bottega.governance.redaction import recorded, told, unquoted
from bottega.pipelines.charges import Meter, ask, charge_for
from bottega.pipelines.machine import machine
from bottega.pipelines.step import Order, make, reusable
from bottega.pipelines.workshop import Workshop
from bottega.storage.budgets import Charge
from bottega.storage.leases import Busy, Claim, Found, Lease

REMOTE_AT_ONCE = 4  # calls of one remote engine, on all hosts
NO_CHECKS = digest({})
DELAYS = 5  # times that an engine may ask to come back later

Settle = Callable[[StepResult], Awaitable[StepResult]]


@dataclass
class Closing:
    """The end of a run, to be written with that of its last step. ``here``: in the event loop, which nobody else uses."""

    run: Run
    here: bool
    kept: Plan | None = None  # in the place of its plans, when they are not to be kept
    done: bool = False  # this ended the round


Follow = Callable[[StepResult], Order | Closing | None]


@dataclass(frozen=True)
class Handed:
    """The step that comes next, and what came of claiming it in the change that ended the one before."""

    order: Order
    claim: Claim
    found: Found

    @property
    def lease(self) -> Lease | None:
        """The lease, if it came to one: the place is handed on with it, and only with it."""
        return self.found if isinstance(self.found, Lease) else None


async def as_made(result: StepResult) -> StepResult:
    """Nobody has more to say about a result."""
    return result


async def settled(
    order: Order,
    shop: Workshop,
    settle: Settle = as_made,
    *,
    place: asyncio.Semaphore | None = None,
    began: Callable[[], None] = lambda: None,
) -> StepResult:
    """What comes of one step, as `in_turn` says, when none is known to come next."""
    return (await in_turn(order, shop, settle, place=place, began=began))[0]


async def in_turn(
    order: Order,
    shop: Workshop,
    settle: Settle = as_made,
    *,
    place: asyncio.Semaphore | None = None,
    began: Callable[[], None] = lambda: None,
    handed: Handed | None = None,
    follow: Follow = lambda result: None,
) -> tuple[StepResult, Handed | None]:
    """What comes of a step: made here, taken over from an equal one, or made by another worker meanwhile.

    Args:
        order: the step and all it needs.
        shop: where it is made.
        settle: has the last word on what was made, for example that a person must look at it.
        place: taken while the step is made here, and not while it waits for another worker.
        began: called when it is leased here.
        handed: what came of claiming it already.
        follow: given its result, the step to be claimed in the change that writes it down; it takes the same place.

    Returns: the result, and what came of claiming the next step, which is to be gone on with or given back.

    Raises:
        StorageFailed: the state cannot be used: nothing is known to be wrong with the step, and it may be tried again.
        asyncio.CancelledError: this task was cancelled; the lease is given back.
    """
    claim = handed.claim if handed else claim_for(order, shop)
    place = place or asyncio.Semaphore(1)
    early = handed.found if handed else None
    while True:
        if early is None or isinstance(early, Busy):
            found = await obtained(claim, shop, order.cancelled, place)
        else:
            found = early
        early, after = None, None
        if isinstance(found, StepResult) and found.state == "awaiting_review" and claim.charge is not None:
            await asyncio.to_thread(ask, order.run_id, order.step, order.plan, order.behalf, shop)
        if not isinstance(found, Lease):
            return found or _ended(order, "skipped", "stopped on request"), None
        try:
            began()
            result, after = await _under(found, order, shop, settle, follow)
        finally:
            if after is None or after.lease is None:
                place.release()
        if result is not None and result.state != "delayed":
            return result, after


async def obtained(
    claim: Claim,
    shop: Workshop,
    cancelled: threading.Event | None = None,
    place: asyncio.Semaphore | None = None,
) -> Lease | StepResult | None:
    """A lease on what is claimed, or its result; waits while another worker has it. None when stopped meanwhile.

    With a lease the ``place`` is taken, for the caller to release.

    Nothing is polled: a change of the journal wakes it, and so does the end of the worker in the way. Only a worker
    that hangs, or is on another host, is looked at once a heartbeat.
    """
    worker = shop.workers.registered or await asyncio.to_thread(shop.workers.register)
    place = place or asyncio.Semaphore(1)
    found = await _claimed(claim, shop, worker, place)
    if not isinstance(found, Busy):
        return found
    with shop.runs.wakes.listen() as bell:
        while True:
            bell.clear()
            found = await _claimed(claim, shop, worker, place)
            if not isinstance(found, Busy):
                return found
            if found.worker:
                shop.workers.watch(found.worker)
            seconds = shop.workers.beat
            if found.until:
                seconds = min(seconds, seconds_between(shop.now(), found.until))
            await bell.wait(seconds)
            if cancelled is not None and cancelled.is_set():
                return None


async def _claimed(
    claim: Claim, shop: Workshop, worker: str, place: asyncio.Semaphore
) -> Lease | StepResult | Busy:
    """One attempt to claim; the place is kept with a lease only."""
    await place.acquire()
    leased = False
    try:
        found = await shop.runs.claim(claim, worker=worker, host=shop.workers.host)
        leased = isinstance(found, Lease)
    finally:
        if not leased:
            place.release()
    return found


async def given_back(
    lease: Lease,
    shop: Workshop,
    used: Mapping[str, int] | None = None,
    *,
    why: str = "its worker was asked to leave",
) -> None:
    """Give a lease back unfinished, even when the state cannot be written: then whoever wants it next takes it over."""
    with suppress(LeaseLost, StorageFailed):
        await shop.runs.let_go(lease, worker=shop.workers.id, used=used, why=why)


def claim_for(order: Order, shop: Workshop) -> Claim:
    """The claim on a step; it tells the journal with what the step is made."""
    step, card = order.step, shop.card(order.step.engine)
    local = card.locality == "local"
    with_what = {
        "engine_version": card.version,
        "model": step.model,
        "weights": step.weights,
        "seed": step.seed,
        "params": recorded(step.params, shop.policy.record),
        "inputs": {item.name: item.artifact.sha256 for item in order.arrived},
        "charge": [*order.charge],
        **(machine(shop.threads) if local else {}),
    }
    return Claim(
        run=order.run_id,
        round=order.round,
        step=step.id,
        key=order.key,
        checks=_checks(order),
        engine=step.engine,
        local=local and not order.together,
        reuse=order.reuse,
        judge_again=bool(order.step.checks) and not order.tenant,
        shown=order.shown,
        lane="together" if order.together else "",
        at_once=shop.limits.get(
            step.engine, (card.together if order.together else 1) if local else REMOTE_AT_ONCE
        ),
        here_at_once=shop.limits.get("local", 1),
        detail={name: value for name, value in with_what.items() if value or value == 0},
        behalf=order.behalf,
        holder=order.holder,
        charge=_charge(order, shop) if order.charge else None,
    )


def _checks(order: Order) -> str:
    """Digest of all that a result was judged by: under another one it has to be judged again."""
    checks = order.step.checks
    if order.tenant:
        return digest({"checks": checks, "tenant": order.tenant})
    if not checks:
        return NO_CHECKS
    return digest({"checks": checks, "language": order.language, "context": order.context})


def _charge(order: Order, shop: Workshop) -> Charge:
    size = sum(item.artifact.size for item in order.arrived)
    return charge_for(order.step, order.charge, size, shop)


async def _under(
    lease: Lease, order: Order, shop: Workshop, settle: Settle, follow: Follow
) -> tuple[StepResult | None, Handed | None]:
    """Make and settle a leased step, and claim the next one with its end; no result when somebody must try again."""
    worker, meter = shop.workers.id, Meter()
    until = ""
    ended: BottegaError | None = None
    try:
        result = _as_new(lease.before) if lease.before else await make(order, shop, meter, lease.stored)
        result = await settle(_stored(result, order, shop) if order.plan else result)
    except EngineDied as death:
        with suppress(LeaseLost):
            used = _used(lease, order, shop, meter, death)
            await shop.runs.died(lease, _evidence(death, order, shop), worker=worker, used=used)
        return None, None
    except asyncio.CancelledError as stop:
        used = _used(lease, order, shop, meter, stop)
        if order.cancelled.is_set():
            stopped = _ended(order, "stopped", "stopped with its run")
            with suppress(LeaseLost, StorageFailed):
                await shop.runs.finish(lease, stopped, worker=worker, used=used)
        else:
            await given_back(lease, shop, used)
        raise
    except StorageFailed as error:
        await given_back(lease, shop, _used(lease, order, shop, meter, error), why=error.message)
        raise
    except Cancelled as stop:
        ended = stop
        result = _ended(order, "stopped", stop.message).model_copy(update={"usage": dict(stop.used)})
    except EngineBusy as busy:
        ended = busy
        patient = order.patient and lease.delays < DELAYS
        result = _ended(order, "delayed" if patient else "failed", str(busy))
        until = later(shop.now(), busy.retry_after or 2.0**lease.delays) if patient else ""
    except BottegaError as error:
        ended = error
        result = _ended(order, "failed", str(error))
    except Exception as error:  # noqa: BLE001 - a failure of one step must not take the run with it
        ended = EngineFailed(f"{type(error).__name__}: {error}", where=f"step '{order.step.id}'")
        result = _ended(order, "failed", str(ended))
    if ended is not None:
        result = result.model_copy(update={"cost": meter.cost})
        if order.failed is not None and result.state == "failed":
            order.failed(ended)
    if result.error:
        said = told(result.error, order.step.params, shop.policy.record)
        result = result.model_copy(update={"error": said})
    try:
        keep = reusable(order.step, shop) and not result.blocked
        used = _used(lease, order, shop, meter, ended)
        after, stored = _after_it(result, follow, shop), _stored(result, order, shop)
        if isinstance(after, Closing):
            after.done = await shop.runs.finish_last(
                lease, stored, after.run, worker=worker, reusable=keep, used=used, here=after.here, kept=after.kept
            )  # fmt: skip
            return result, None
        found = await shop.runs.finish(
            lease, stored, worker=worker, reusable=keep, until=until, used=used,
            then=after[1] if after else None, host=shop.workers.host,
        )  # fmt: skip
    except LeaseLost:
        return None, None
    except StorageFailed as error:
        await given_back(lease, shop, _used(lease, order, shop, meter, ended), why=error.message)
        raise
    return result, Handed(*after, found) if after and found else None


def _after_it(result: StepResult, follow: Follow, shop: Workshop) -> tuple[Order, Claim] | Closing | None:
    """The step that comes next and the claim on it, or the run's end. What is wrong with a step is said in its own turn."""
    with suppress(Exception):
        if result.state == "done" and (after := follow(result)):
            return after if isinstance(after, Closing) else (after, claim_for(after, shop))
    return None


def _used(
    lease: Lease, order: Order, shop: Workshop, meter: Meter, error: BaseException | None
) -> Mapping[str, int] | None:
    if not lease.charged or lease.claim.charge is None:
        return None
    return meter.used(lease.claim.charge, order.step, shop.card(order.step.engine), error)


def _stored(result: StepResult, order: Order, shop: Workshop) -> StepResult:
    """The result as it is kept: under a policy of digests it quotes neither parameters nor goal."""
    if shop.policy.record != "digest" or not result.outputs:
        return result
    return unquoted(result, {"params": order.step.params, "goal": order.goal})


def _ended(order: Order, state: str, error: str) -> StepResult:
    return StepResult.model_validate(
        {"step": order.step.id, "key": order.key, "state": state, "error": error[:2000]}
    )


def _as_new(before: StepResult) -> StepResult:
    """What was made earlier, in the state that `make` would give it."""
    return before.model_copy(update={"state": "awaiting_review" if before.blocked else "done"})


def _evidence(death: EngineDied, order: Order, shop: Workshop) -> JsonObject:
    stderr = told(death.stderr, order.step.params, shop.policy.record)
    return {"ended": death.ended, "stderr": stderr, "used": dict(death.used)}
