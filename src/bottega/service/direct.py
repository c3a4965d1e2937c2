"""A call to an engine elsewhere that needs nothing of this machine: begun and ended in groups with others.

It leaves the same entries and rows as a step of a plan. Whatever is not plain sailing is left to the way that every step goes.
"""

import asyncio
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

from pydantic import ValidationError

from bottega.core.artifact import Artifact
from bottega.core.canonical import Canonical, canonical_text, digest, digest_bytes
from bottega.core.errors import BottegaError, Cancelled, EngineFailed, InvalidValue, LeaseLost, StorageFailed
from bottega.core.plan import Step
from bottega.core.request import Finished, Output, Request
from bottega.core.run import Made, StepResult
from bottega.engines.base import Bench, Engine
from bottega.governance.redaction import recorded, told, unquoted
from bottega.pipelines.charges import Meter, ceilings_of, charge_of
from bottega.pipelines.leased import REMOTE_AT_ONCE, given_back
from bottega.pipelines.validate import first_fault
from bottega.pipelines.workshop import NOTHING, Workshop
from bottega.storage.clearing import NOBODY, Ending, Opening
from bottega.storage.leases import Claim, Lease, ended_detail

NO_CHECKS = digest({})
EMPTY: Sequence[object] = ("", None, {}, ())  # what an entry leaves out
UNCHECKED = Step(id="call", engine="")  # of which no attempt is a repair


def able(engine: Engine, request: Request) -> bool:
    """Whether a request needs no files and no place here, and nobody may take its result over."""
    card = engine.card
    return (
        card.locality == "remote" and card.determinism == "none" and card.isolation == "thread"
        and not (engine.writes or card.models or request.parts or request.feedback)
        and not any(port.required for port in card.inputs)
    )  # fmt: skip


async def directly(
    request: Request,
    shop: Workshop,
    *,
    step: str,
    run_id: str,
    actor: str,
    charge: Sequence[str],
    listen: Callable[[Output], None] | None,
    cancelled: threading.Event,
    failed: Callable[[BottegaError], None] | None,
) -> StepResult | None:
    """Make a call under an id that only this process knows; None when the general way shall decide, or begin anew.

    Raises:
        InvalidValue: the parameters are not the engine's.
        StorageFailed: the state cannot be used.
    """
    engine = shop.engine(request.engine)
    card, began, meter = engine.card, time.monotonic(), Meter(begun=1)
    try:
        params = engine.params.model_validate(request.params)
    except ValidationError as error:
        place, words = first_fault(error)
        raise InvalidValue(words, where=f"params.{place}" if place else "params") from error
    written = Canonical(canonical_text(request.params))
    kept = recorded(request.params, shop.policy.record)
    key = digest(
        {"engine": card.id, "version": card.version, "weights": "", "params": written,
         "seed": request.seed, "inputs": {}, "feedback": ""}
    )  # fmt: skip
    detail: dict[str, object] = {
        "engine_version": card.version, "model": request.model, "seed": request.seed,
        "params": written if kept and kept == request.params else kept, "charge": charge,
    }  # fmt: skip
    call = Opening(
        run=run_id, step=step, key=key, engine=card.id, at_once=shop.limits.get(card.id, REMOTE_AT_ONCE),
        round=shop.journal.moment(), worker=shop.workers.registered or await asyncio.to_thread(shop.workers.register),
        behalf=actor, detail={name: value for name, value in detail.items() if value not in EMPTY},
        charge=charge_of(ceilings_of(engine, params, 0), charge, card) if charge else NOBODY,
    )  # fmt: skip
    try:
        token = await shop.runs.clearing.open(call)
    except asyncio.CancelledError:
        if call.token is not None:
            await given_back(_lease(call), shop, {})
        raise
    if token is None:
        return None
    bench = Bench(
        scratch=shop.scratch, locate=shop.artifacts.locate, weights=shop.catalog.path, threads=shop.threads,
        secret=shop.secret, cancelled=cancelled, content=shop.artifacts.read, params=params,
    )  # fmt: skip
    try:
        files, used = await shop.generate(request, bench, listen)
        meter.known.append(used)
        made = await _kept(files, shop)
    except BaseException as error:  # noqa: BLE001 - whatever it is, the lease ends with it
        return await _broken(call, request, shop, meter, error, failed)
    result = StepResult(
        step=step, key=key, state="done", outputs=made, seconds=round(time.monotonic() - began, 3), cost=used.cost,
        usage=used.document() if used is not NOTHING else {},
    )  # fmt: skip
    stored = unquoted(result, request.params) if shop.policy.record == "digest" else result
    body = stored.canonical()
    end = Ending(
        call, detail=ended_detail(result), checks=NO_CHECKS, result=digest_bytes(body), body=body,
        files=[each.artifact.sha256 for each in made], used=_used(call, shop, meter),
        cost={"usd": round(used.cost * 1e6)} if used.cost else {},
    )  # fmt: skip
    try:
        await shop.runs.clearing.close(end)
    except LeaseLost:
        return None
    except StorageFailed as error:
        await given_back(_lease(call), shop, end.used, why=error.message)
        raise
    return result


async def _kept(files: Sequence[Finished], shop: Workshop) -> tuple[Made, ...]:
    if not files:
        raise EngineFailed("it finished without a file", where="call")
    made: list[Made] = []
    for file in files:
        data = file.data or b""
        if len(data) <= shop.artifacts.objects.light:
            artifact: Artifact = shop.artifacts.put(data, file.media_type, along=True)
        else:
            artifact = await asyncio.to_thread(shop.artifacts.put, data, file.media_type)
        made.append(Made(port=file.port, artifact=artifact, details=file.details))
    return tuple(made)


async def _broken(
    call: Opening,
    request: Request,
    shop: Workshop,
    meter: Meter,
    error: BaseException,
    failed: Callable[[BottegaError], None] | None,
) -> StepResult | None:
    """Write down that a call has not ended well, and settle what it used until then.

    Raises:
        asyncio.CancelledError, StorageFailed: that is what ended it; its lease is given back.
    """
    lease, used = _lease(call), _used(call, shop, meter, error)
    if isinstance(error, StorageFailed) or not isinstance(error, Exception | asyncio.CancelledError):
        await given_back(lease, shop, used, why=str(error) or type(error).__name__)
        raise error
    state, said = "failed", error
    if isinstance(error, Cancelled | asyncio.CancelledError):
        state, said = "stopped", error if isinstance(error, Cancelled) else Cancelled("stopped on request")
    elif not isinstance(error, BottegaError):
        said = EngineFailed(f"{type(error).__name__}: {error}", where=f"step '{call.step}'")
    assert isinstance(said, BottegaError)
    words = said.message if state == "stopped" else str(said)
    result = StepResult(
        step=call.step, key=call.key, state="stopped" if state == "stopped" else "failed", cost=meter.cost,
        error=told(words[:2000], request.params, shop.policy.record), usage=dict(said.used) if state == "stopped" else {},
    )  # fmt: skip
    if isinstance(error, asyncio.CancelledError):
        with suppress(LeaseLost, StorageFailed):
            await shop.runs.finish(lease, result, worker=call.worker, used=used)
        raise error
    if failed is not None and state == "failed":
        failed(said)
    try:
        await shop.runs.finish(lease, result, worker=call.worker, used=used)
    except LeaseLost:
        return None
    except StorageFailed as failure:
        await given_back(lease, shop, used, why=failure.message)
        raise
    return result


def _used(
    call: Opening, shop: Workshop, meter: Meter, error: BaseException | None = None
) -> Mapping[str, int]:
    if not call.charge.accounts:
        return {}
    return meter.used(call.charge, UNCHECKED, shop.card(call.engine), error)


def _lease(call: Opening) -> Lease:
    """The lease of a call, for who knows leases."""
    assert call.token is not None
    claim = Claim(
        run=call.run, round=call.round, step=call.step, key=call.key, checks=NO_CHECKS, engine=call.engine, local=False,
        at_once=call.at_once, detail=call.detail, behalf=call.behalf, charge=call.charge if call.charge.accounts else None,
    )  # fmt: skip
    return Lease(claim, call.token, charged=bool(call.charge.accounts))
