"""Admission: how many calls an engine has in hand, and how many may wait; who comes too late is told when to return."""

import asyncio
import itertools
import math
from bisect import bisect, insort
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from time import perf_counter
from typing import NamedTuple

from bottega.core.errors import RateLimited

AGE = 10.0  # seconds of waiting that outweigh one level of urgency, so that nobody waits for ever
USUAL = 3  # urgency of who says nothing (RFC 9218: 0 the most urgent, 7 the least)


class Turn(NamedTuple):
    """Who waits. ``rank`` is when it came, a level of urgency being worth `AGE` seconds; the least is next."""

    rank: float
    number: int
    taken: asyncio.Future[None]


@dataclass
class Gate:
    """The queue of one engine. The more urgent go first, and of equals whoever came first."""

    engine: str
    at_once: int
    queue: int
    inside: int = 0
    average: float = 1.0  # seconds that a call takes, lately
    _turns: list[Turn] = field(default_factory=list[Turn])  # who waits, the next one first
    _count: "itertools.count[int]" = field(default_factory=itertools.count)

    @property
    def waiting(self) -> int:
        """How many wait for a turn."""
        return len(self._turns)

    @asynccontextmanager
    async def entered(self, urgency: int = USUAL, until: float = math.inf) -> AsyncGenerator[None]:
        """Wait for a turn, and have it.

        Args:
            urgency: 0 to 7, as in RFC 9218.
            until: when waiting has no use any more, on the clock of `time.perf_counter`.

        Raises:
            RateLimited: too many wait already that are as urgent, or no turn will come, or has come, in time; says when a
                place will be free by what calls have lately taken.
        """
        if self.inside >= self.at_once:
            await self._wait(urgency, until)
        else:
            self.inside += 1
        began = perf_counter()
        try:
            yield
        finally:
            self.average += 0.2 * (perf_counter() - began - self.average)
            self._pass_on()

    async def _wait(self, urgency: int, until: float) -> None:
        """Until `_pass_on` hands over a place."""
        came = perf_counter()
        turn = Turn(came + AGE * urgency, next(self._count), asyncio.get_running_loop().create_future())
        wait = self.average * max(bisect(self._turns, turn), 1) / self.at_once
        if came + wait > until:
            raise self._refusal(f"a turn at '{self.engine}' will not come in time", wait)
        if self.waiting >= self.queue:
            whole = self.average * self.waiting / self.at_once
            if self._turns[-1] < turn:
                raise self._refusal(f"{self.waiting} calls wait for '{self.engine}'", whole)
            last = self._turns.pop()
            if not last.taken.done():
                last.taken.set_exception(self._refusal(f"more urgent calls wait for '{self.engine}'", whole))
        insort(self._turns, turn)
        try:
            async with asyncio.timeout(None if until == math.inf else until - came):
                await turn.taken
        except BaseException as error:
            if turn in self._turns:
                self._turns.remove(turn)
            if turn.taken.done() and not turn.taken.cancelled() and turn.taken.exception() is None:
                self._pass_on()  # it was handed over in the very moment in which it was given up
            turn.taken.cancel()
            if isinstance(error, TimeoutError):
                raise self._refusal(f"no turn at '{self.engine}' came in time", self.average) from None
            raise

    def _pass_on(self) -> None:
        """Give a place to who is next, or leave it free."""
        while self._turns:
            turn = self._turns.pop(0)
            if not turn.taken.done():  # else it is being given up
                turn.taken.set_result(None)
                return
        self.inside -= 1

    def _refusal(self, what: str, wait: float) -> RateLimited:
        return RateLimited(
            what, where="model", remedy=f"come back in {wait:.0f} s", retry_after=max(1.0, wait)
        )
