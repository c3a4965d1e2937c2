"""One call to one engine without a plan: leased, keyed and journaled as a step of a plan is."""

import asyncio
import threading
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pydantic import ValidationError

from bottega.core.artifact import Artifact
from bottega.core.canonical import digest, digest_bytes
from bottega.core.errors import BottegaError, BudgetExceeded, InvalidValue
from bottega.core.plan import Step
from bottega.core.request import Output, Part, Request
from bottega.core.run import StepResult
from bottega.pipelines.leased import settled
from bottega.pipelines.step import Arrived, Order
from bottega.pipelines.validate import first_fault, ready
from bottega.pipelines.workshop import Workshop
from bottega.service.direct import able, directly
from bottega.storage.budgets import named

STEP = "call"  # the step's name in the journal: run/call-ID/step/call


@dataclass(frozen=True)
class Calls:
    """A call is a step without a run: two entries of the journal, and `bottega runs` lists commissions only."""

    shop: Workshop
    actor: str

    async def call(
        self,
        request: Request,
        *,
        idempotency_key: str = "",
        charge: Sequence[str] = (),
        call_id: str = "",
        reuse: bool = True,
        listen: Callable[[Output], None] | None = None,
        cancelled: threading.Event | None = None,
        patient: bool = True,
        failed: Callable[[BottegaError], None] | None = None,
        together: bool = False,
        tenant: str = "",
    ) -> StepResult:
        """Make what one request asks for; an equal request that was answered before is not made again.

        The same ``idempotency_key`` gives the result of the first call, also where the engine leaves things to chance;
        a call that was killed or failed is made then. No check judges what comes out: that is the caller's part.

        Args:
            request: what is asked of which engine.
            idempotency_key: names the call; whoever asks under one name shares its keys.
            charge: budget accounts that pay.
            call_id: what the record calls it; a new one when empty.
            reuse: take an equal result of another call over.
            listen: is told of every output as it comes.
            cancelled: set it to stop the engine; what was used until then is charged.
            patient: wait and ask again when an engine is busy.
            failed: is told the error of a result that has failed.
            tenant: only its results are taken over, and only it may take this one over.
            together: without a seed, let the engine make it in one batch with others.

        Raises:
            NotFound: unknown engine or model.
            InvalidValue: the request does not fit its engine, or the key was used for another request.
            WeightsMissing: the engine's model is not on this machine.
            BudgetExceeded: an account of ``charge`` refuses it; a call has no run that could wait for a person.
        """
        accounts = tuple(named(account) for account in charge)
        run_id = call_id or f"call-{uuid.uuid4().hex[:12]}"
        if not (idempotency_key or patient or tenant or self.shop.holder) and able(
            self.shop.engine(request.engine), request
        ):
            clearing = self.shop.runs.clearing
            clearing.inside += 1
            try:
                result = await directly(
                    request, self.shop, step=STEP, run_id=run_id, actor=self.actor, charge=accounts, listen=listen,
                    cancelled=cancelled or threading.Event(), failed=failed,
                )  # fmt: skip
            finally:
                clearing.inside -= 1
            if result is not None:
                return result
        step, arrived = self._step(request)
        ready([step], self.shop)
        round_ = self.shop.journal.moment()
        if idempotency_key:
            asked = digest({"call": request.document(), "charge": [*charge]})
            run_id = await asyncio.to_thread(
                self.shop.runs.accept_call, idempotency_key, asked, run_id, actor=self.actor
            )
            round_ = (
                self.shop.journal.size()
            )  # the id may be that of an earlier call, also of another process
        order = Order(
            step, arrived, run_id, round=round_, behalf=self.actor, charge=accounts,
            holder=self.shop.holder, reuse=reuse, listen=listen, cancelled=cancelled or threading.Event(),
            names=self.shop.card(request.engine).reads_names, tenant=tenant, together=together and request.seed is None and self.shop.card(request.engine).together > 1,
            patient=patient, failed=failed,
        )  # fmt: skip
        result = await settled(order, self.shop)
        if result.state == "awaiting_review" and not result.outputs:
            raise BudgetExceeded(
                result.error,
                where=f"call of '{request.engine}'",
                remedy="raise the limit: bottega budget set",
            )
        return result

    def _step(self, request: Request) -> tuple[Step, Sequence[Arrived]]:
        engine = self.shop.engine(request.engine)
        card = engine.card
        if request.feedback:
            raise InvalidValue("a call is not a repair", where="feedback", remedy="say it in the parameters")
        try:
            engine.params.model_validate(request.params)
        except ValidationError as error:
            place, words = first_fault(error)
            raise InvalidValue(words, where=f"params.{place}" if place else "params") from error
        arrived = [Arrived(part.port, part.name, _artifact(part), part.text) for part in request.parts]
        ports = {port.name: port for port in card.inputs}
        for item in arrived:
            port = ports.get(item.port)
            if port is None or not port.accepts(item.artifact.media_type):
                wanted = " or ".join(port.media_types) if port else f"one of: {', '.join(ports)}"
                raise InvalidValue(
                    f"'{card.id}' does not take {item.artifact.media_type} there",
                    where=f"part '{item.port}'",
                    remedy=f"it takes {wanted}",
                )
        for port in ports.values():
            count = sum(item.port == port.name for item in arrived)
            if (port.required and not count) or (count > 1 and not port.many):
                raise InvalidValue(
                    f"'{card.id}' takes {'some' if port.many else 'one'}, {count} were given",
                    where=f"part '{port.name}'",
                )
        model, weights = self.shop.weights(card, request.model)
        step = Step(
            id=STEP,
            engine=card.id,
            version=card.version,
            model=model,
            weights=weights,
            params=request.params,
            seed=request.seed,
            locality=card.locality,
        )
        return step, arrived


def _artifact(part: Part) -> Artifact:
    """What the part refers to. A text is stored nowhere; that it would be this artifact lets the journal name it."""
    data = (part.text or "").encode()
    return part.artifact or Artifact(sha256=digest_bytes(data), media_type="text/plain", size=len(data))
