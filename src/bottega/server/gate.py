"""Admission: how many calls an engine has in hand, and how many may wait; who comes too late is told when to return."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from time import perf_counter

from bottega.core.errors import RateLimited


@dataclass
class Gate:
    """The queue of one engine. Whoever came first goes first."""

    engine: str
    at_once: int
    queue: int
    inside: int = 0
    waiting: int = 0
    average: float = 1.0  # seconds that a call takes, lately
    _turn: asyncio.Semaphore = field(init=False)

    def __post_init__(self) -> None:
        self._turn = asyncio.Semaphore(self.at_once)

    @asynccontextmanager
    async def entered(self) -> AsyncGenerator[None]:
        """Wait for a turn, and have it.

        Raises:
            RateLimited: too many wait already; says when a place will be free by what calls have lately taken.
        """
        if self._turn.locked() and self.waiting >= self.queue:
            wait = self.average * self.waiting / self.at_once
            raise RateLimited(
                f"{self.waiting} calls wait for '{self.engine}'", where="model",
                remedy=f"come back in {wait:.0f} s", retry_after=max(1.0, wait),
            )  # fmt: skip
        self.waiting += 1
        try:
            await self._turn.acquire()
        finally:
            self.waiting -= 1
        self.inside += 1
        began = perf_counter()
        try:
            yield
        finally:
            self.inside -= 1
            self.average += 0.2 * (perf_counter() - began - self.average)
            self._turn.release()
