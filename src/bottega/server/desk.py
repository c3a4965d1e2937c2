"""Where calls to engines come together: names, routing, admission, guards, the record."""

import asyncio
import random
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from time import perf_counter

from bottega.core.errors import (
    AnswerUnfit,
    BottegaError,
    Cancelled,
    EngineFailed,
    RateLimited,
    SetupError,
)
from bottega.core.request import AudioChunk, Delta, Output, Preview, Request
from bottega.core.run import StepResult
from bottega.governance.fetching import Fetcher
from bottega.server.access import Access
from bottega.server.answer import Answer, call_id, idempotency_key
from bottega.server.attempt import Attempts
from bottega.server.breaker import Breaker
from bottega.server.config import Config, Named, Target
from bottega.server.guard import Guards
from bottega.server.indexing import Indexings
from bottega.server.limits import Limits
from bottega.server.message import Call
from bottega.server.metrics import Metrics
from bottega.server.names import Names
from bottega.server.oidc import People
from bottega.server.once import Once
from bottega.server.preference import patience
from bottega.server.race import SPOKEN, Arm, Listen, Pace, Race
from bottega.server.routes import Route
from bottega.server.shelf import Shelf
from bottega.server.telemetry import traces_of
from bottega.service import Bottega
from bottega.service.keys import ApiKey

BACKOFF = 0.25  # seconds before the second attempt at a target, then doubling, with jitter
UNREAD = 16 << 20  # bytes of a stream that may wait for its client here
HEAD = 500  # bytes of an output beside what it carries
LOOK = 0.05  # seconds of a call after which it is looked whether its client is still there

Asking = Callable[[Target], Request]
GoingOn = Callable[[Target, str], Request]  # with what was said before


class Desk:
    """One for a server."""

    def __init__(self, service: Bottega, config: Config, table: Sequence[Route]) -> None:
        self.table = table
        self.service = service
        self.indexings = Indexings(service.collections())  # opened once, for everybody
        self.config = config
        people = People(config.oidc, service.projects()) if config.oidc else None
        self.access = Access(service.keys(), config.requests_per_minute, people)
        self.names = Names(service.shop, config)
        self.guards = Guards(service.shop, config.guard)
        self.fetcher = Fetcher(config.fetch)
        self.metrics = Metrics()
        self.traces = traces_of(config.telemetry)
        written = service.shop.policy.record != "digest"
        self.shelf = Shelf(service.folder / "responses" if written else None, service.shop.workers.gone)
        self.once = Once()
        self.limits = Limits(self.access, service.state)
        self.batch_bell = asyncio.Event()  # rung when there is a new batch, or one is to end
        self.attempts = Attempts(service, config, self.metrics, self.traces)
        self._breaker = Breaker()
        self._paces: dict[str, Pace] = {}
        self._leaving = set[asyncio.Task[StepResult]]()  # arms that lost, until what they used is settled

    async def ask(
        self,
        call: Call,
        key: ApiKey,
        named: Named,
        asking: Asking,
        *,
        answer: Answer | None = None,
        listen: Callable[[Output], None] | None = None,
        part: int = 0,
        go_on: GoingOn | None = None,
    ) -> Answer:
        """Make one call: the first target by weight, others when it fails before anything was said.

        ``part`` tells the calls of one request apart, where it takes several; ``go_on`` is what is asked of a target that
        continues what another has said.

        Raises:
            BottegaError: what the caller shall hear.
        """
        answer = answer or Answer(call_id(call, key, part), named)
        began, pace = perf_counter(), self._paces.setdefault(named.name, Pace())
        heard = expired = False
        said: list[str] = []

        def told(output: Output) -> None:
            nonlocal heard
            if listen is None:
                if output.kind == "finished":
                    answer.said = output
                return
            if output.kind in SPOKEN and not heard:
                heard = True
                pace.add(perf_counter() - began)
            if output.kind == "delta" and go_on is not None and named.continues:
                said.append(output.text)
            listen(output)

        def expire() -> None:
            nonlocal expired
            expired = True
            call.cancelled.set()

        loop = asyncio.get_running_loop()
        within = patience(call, named.timeout)
        clock = loop.call_later(within, expire)
        watch = loop.call_later(LOOK, call.watched)
        error: BottegaError | None = None
        try:
            order = self._order(named)
            delay = pace.delay(named.hedge) if named.hedge is not None and len(order) > 1 else None
            if delay is not None and not idempotency_key(call, key, part):
                await self._raced(call, key, answer, asking, told, order[:2], delay)
                if not heard:
                    pace.add(perf_counter() - began)
                return answer
            for index in order:
                target = named.targets[index]
                for attempt in range(named.retries + 1):
                    request = go_on(target, "".join(said)) if said and go_on is not None else asking(target)
                    try:
                        answer.result = await self.attempts.make(
                            call, key, named, answer.id, request, told, part
                        )
                        answer.target = target
                        self._breaker.answered((named.name, index))
                        if not heard:
                            pace.add(perf_counter() - began)
                        return answer
                    except (EngineFailed, SetupError) as failure:
                        error = failure
                        self._failed((named.name, index), failure)
                        if call.cancelled.is_set():
                            raise
                        if heard:
                            if not said:
                                raise
                            heard = False
                            answer.continued.append(
                                {"after_characters": sum(map(len, said)), "broke": target.engine,
                                 "why": failure.message}
                            )  # fmt: skip
                            break
                        if not failure.retryable:
                            break
                        if attempt < named.retries:
                            await asyncio.sleep(BACKOFF * 2**attempt * random.uniform(0.5, 1.5))
            assert error is not None
            raise error
        except Cancelled:
            if expired:
                raise EngineFailed(f"there was no answer within {within:g} s", where="model") from None
            raise
        finally:
            clock.cancel()
            watch.cancel()
            call.unwatched()

    async def _raced(
        self,
        call: Call,
        key: ApiKey,
        answer: Answer,
        asking: Asking,
        listen: Listen,
        places: Sequence[int],
        delay: float,
    ) -> None:
        """Ask two targets, the second when the first has not spoken in time."""
        named = answer.named
        at = {answer.id: places[0], f"{answer.id}-2": places[1]}

        def arm(place: int) -> Arm:
            async def run(name: str, stop: threading.Event, told: Listen) -> StepResult:
                try:
                    request = asking(named.targets[place])
                    result = await self.attempts.make(call, key, named, name, request, told, 0, stop)
                except (EngineFailed, SetupError) as failure:
                    self._failed((named.name, place), failure)
                    raise
                self._breaker.answered((named.name, place))
                return result

            return run

        race = Race(call.cancelled, listen, lambda name: setattr(answer, "id", name), self._leave)
        answer.result = await race.run([(name, arm(place)) for name, place in at.items()], delay)
        answer.target = named.targets[at[race.winner]]

    def _failed(self, target: tuple[str, int], failure: BottegaError) -> None:
        if not isinstance(failure, AnswerUnfit):  # that an answer does not fit may lie in what was asked
            self._breaker.failed(target)

    def _leave(self, task: asyncio.Task[StepResult]) -> None:
        def left(task: asyncio.Task[StepResult]) -> None:
            self._leaving.discard(task)
            if not task.cancelled():
                task.exception()  # that it was stopped concerns nobody

        self._leaving.add(task)
        task.add_done_callback(left)

    async def stream(
        self,
        call: Call,
        key: ApiKey,
        named: Named,
        asking: Asking,
        go_on: GoingOn | None = None,
        answer: Answer | None = None,
    ) -> tuple[Answer, AsyncIterator[Output]]:
        """As `ask`, with the outputs as they come; returns when the first is there, so that an error is still a status.

        The iterator ends when the call has; what then went wrong is in the answer's ``error``.

        Raises:
            BottegaError: nothing was made at all.
        """
        answer = answer or Answer(call_id(call, key), named)
        queue: asyncio.Queue[Output | None] = asyncio.Queue()
        unread = 0  # bytes in the queue
        late: BottegaError | None = None

        def hear(output: Output) -> None:
            nonlocal unread, late
            unread += _weight(output)
            if unread > UNREAD:  # the engine cannot wait for a client, so it ends
                late = RateLimited(
                    "the answer was not taken as fast as it was made", where="stream", remedy="read faster"
                )
                call.cancelled.set()
            else:
                queue.put_nowait(output)

        work = asyncio.ensure_future(
            self.ask(call, key, named, asking, answer=answer, listen=hear, go_on=go_on)
        )
        work.add_done_callback(lambda _: queue.put_nowait(None))
        first = await queue.get()
        if first is None and work.exception() is not None:
            raise work.exception() or AssertionError

        async def outputs() -> AsyncIterator[Output]:
            nonlocal unread
            output = first
            while output is not None:
                unread -= _weight(output)
                yield output
                output = await queue.get()
            failure = work.exception()
            if failure is not None and not isinstance(failure, BottegaError):
                raise failure
            answer.error = late or failure

        return answer, outputs()

    def _order(self, named: Named) -> Sequence[int]:
        """The places of the targets, in the order in which they are tried."""
        places = range(len(named.targets))
        if len(places) == 1:
            return places
        able = [place for place in places if not self._breaker.open((named.name, place))] or [*places]
        weights = [named.targets[place].weight for place in able]
        first = random.choices(able, weights)[0] if sum(weights) else able[0]
        return [first, *(place for place in able if place != first)]


def _weight(output: Output) -> int:
    """About the bytes that an output takes in memory."""
    match output:
        case Delta():
            return HEAD + len(output.text)
        case AudioChunk():
            return HEAD + len(output.pcm)
        case Preview():
            return HEAD + len(output.data)
        case _:
            return HEAD
