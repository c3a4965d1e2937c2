"""One attempt at one target: its engine's queue, what it shares with equal ones, the call, and what it used."""

import math
import threading
from contextlib import AbstractAsyncContextManager
from time import perf_counter

from bottega.core.canonical import digest
from bottega.core.errors import BottegaError, Cancelled, EngineFailed
from bottega.core.request import Output, Request
from bottega.core.run import StepResult
from bottega.server.answer import idempotency_key
from bottega.server.config import Config, Named
from bottega.server.gate import Gate
from bottega.server.message import Call
from bottega.server.metrics import Metrics
from bottega.server.preference import patience, urgency
from bottega.server.race import SPOKEN, Listen
from bottega.server.sharing import Sharing
from bottega.server.telemetry import Traces
from bottega.service import Bottega
from bottega.service.keys import ApiKey

REMOTE_AT_ONCE = 4  # calls of a remote engine that nobody set a limit for


class Attempts:
    """The queues of a server's engines, and the calls that come through them."""

    def __init__(self, service: Bottega, config: Config, metrics: Metrics, traces: Traces) -> None:
        self._service = service
        self._config = config
        self._metrics = metrics
        self.traces = traces
        self._gates: dict[str, Gate] = {}
        self._sharing = Sharing()

    def gate(self, engine: str) -> Gate:
        """The queue of an engine."""
        if engine not in self._gates:
            card = self._service.shop.card(engine)
            ours = card.together if card.locality == "local" else REMOTE_AT_ONCE
            at_once = self._service.shop.limits.get(engine, ours)
            gate = self._gates[engine] = Gate(engine, at_once, self._config.queue)
            self._metrics.inside.labels(engine).set_function(lambda: gate.inside)
            self._metrics.waiting.labels(engine).set_function(lambda: gate.waiting)
        return self._gates[engine]

    def turn(
        self, engine: str, call: Call, key: ApiKey, most: float = math.inf
    ) -> AbstractAsyncContextManager[None]:
        """A turn at an engine for a call that is of use for ``most`` seconds, as `Gate.entered` gives it."""
        level = urgency(call, key, self._config.urgency)
        return self.gate(engine).entered(level, call.began + patience(call, most))

    async def make(
        self,
        call: Call,
        key: ApiKey,
        named: Named,
        name: str,
        request: Request,
        listen: Listen,
        part: int,
        stop: threading.Event | None = None,
    ) -> StepResult:
        """One attempt at one target. Where the route shares and nothing is left to chance, an equal one is waited for."""
        with self.traces.engine(request, self._service.shop.card(request.engine), named.name, name) as ended:
            if not (named.share or named.cache) or not self._repeatable(request):
                result = await self._once(call, key, named, name, request, listen, part, stop)
            else:
                content = digest({"tenant": key.owner, "request": request.document()})
                async with self._sharing.one_at_a_time(content) as waited:
                    reuse = named.cache or waited
                    result = await self._once(
                        call, key, named, name, request, listen, part, stop, reuse=reuse, tenant=key.owner
                    )
            ended(result)
        return result

    def _repeatable(self, request: Request) -> bool:
        determinism = self._service.shop.card(request.engine).determinism
        return determinism == "exact" or (determinism == "seeded" and request.seed is not None)

    async def _once(
        self,
        call: Call,
        key: ApiKey,
        named: Named,
        name: str,
        request: Request,
        listen: Listen,
        part: int,
        stop: threading.Event | None = None,
        *,
        reuse: bool = False,
        tenant: str = "",
    ) -> StepResult:
        errors: list[BottegaError] = []
        given = idempotency_key(call, key, part)
        stop = stop or call.cancelled
        async with self.turn(request.engine, call, key, named.timeout):
            if stop.is_set():
                raise Cancelled("stopped before it began")
            began, heard = perf_counter(), 0.0

            def told(output: Output) -> None:
                nonlocal heard
                if not heard and output.kind in SPOKEN:  # a stream's headers are sent next
                    heard = perf_counter() - began
                    call.engine_seconds += heard
                listen(output)

            result = await self._service.call(
                request, actor=key.actor, idempotency_key=given, charge=key.charge,
                call_id=name, reuse=reuse, listen=told, cancelled=stop, patient=False,
                failed=errors.append, together=True, tenant=tenant,
            )  # fmt: skip
        worked = result.seconds or perf_counter() - began  # of a failure the result does not say it
        call.engine_seconds += worked - heard
        self._count(request.engine, result)
        if errors:
            raise errors[0]
        if result.state == "stopped":
            raise Cancelled("stopped on request")
        if result.state not in ("done", "reused"):
            raise EngineFailed(result.error or result.state, where=request.engine)
        return result

    def _count(self, engine: str, result: StepResult) -> None:
        self._metrics.count(self._metrics.engine_seconds, engine, by=result.seconds)
        unit = str(result.usage.get("unit", ""))
        if unit:
            units = float(result.usage.get("input_units", 0)) * (unit == "token")
            used = units + float(result.usage.get("output_units", 0))
            self._metrics.count(self._metrics.used, engine, unit, by=used)
