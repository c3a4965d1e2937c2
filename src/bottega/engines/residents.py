"""The processes of engines within a budget of memory: the one that was used least lately makes room for the next."""

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from bottega.engines.base import Bench
from bottega.engines.process import EngineProcess

LOOK = 0.05  # seconds between two looks, for who waits until another engine is idle


@dataclass
class Residents:
    """Engines that hold memory. ``most`` is in bytes; 0 sets no limit.

    What an engine holds is the resident memory of its process as the system tells it, weights that are mapped from files
    among it; before it has been seen at work, what its caller expects. An engine that alone needs more than the budget
    is let in when it is alone. Not covered: that it grows while it works.
    """

    most: int = 0
    _processes: dict[str, EngineProcess] = field(default_factory=dict[str, EngineProcess])
    _used: dict[str, float] = field(default_factory=dict[str, float])  # when, last
    _expected: dict[str, int] = field(default_factory=dict[str, int])  # bytes

    @asynccontextmanager
    async def using(
        self, engine: str, lanes: int, expected: int, bench: Bench
    ) -> AsyncGenerator[EngineProcess]:
        """The process of an engine, for one request; whoever needs room waits here, and nobody else does.

        Raises:
            Cancelled: the request was stopped while it waited for room.
        """
        process = self._processes.setdefault(engine, EngineProcess(engine, lanes))
        while self.most and not self._fits(engine, process, expected):
            bench.check_cancelled()
            await asyncio.sleep(LOOK)
        try:
            with process.coming():
                yield process
        finally:
            self._used[engine] = time.monotonic()
            if held := process.memory():
                self._expected[engine] = held
            if self.most:
                self._evict(self.most - self._held(engine), but=engine)  # it may have grown

    def resident(self) -> dict[str, int]:
        """Bytes that each engine holds now."""
        return {engine: held for engine, process in self._processes.items() if (held := process.memory())}

    def close(self) -> None:
        """End every process."""
        for process in self._processes.values():
            process.close()
        self._processes.clear()

    def _fits(self, engine: str, process: EngineProcess, expected: int) -> bool:
        """Whether it may begin; it is then counted with what it is expected to hold."""
        needed = max(self._expected.get(engine, 0), expected, process.memory())
        if process.pids:
            self._expected[engine] = needed
            return True
        self._evict(self.most - needed, but=engine)
        if self._others(engine) + needed > self.most and self._crowd(engine):
            return False
        self._expected[engine] = needed
        return True

    def _evict(self, room: int, *, but: str) -> None:
        """End idle processes, the least lately used first, until the others fit into so many bytes."""
        idle = [
            name
            for name, process in self._processes.items()
            if name != but and process.pids and not process.at_work
        ]
        for name in sorted(idle, key=lambda name: self._used.get(name, 0.0)):
            if self._others(but) <= room:
                return
            self._processes[name].close()

    def _crowd(self, engine: str) -> bool:
        """Whether other engines are at work."""
        return any(process.at_work for name, process in self._processes.items() if name != engine)

    def _others(self, engine: str) -> int:
        return sum(self._held(name) for name in self._processes if name != engine)

    def _held(self, engine: str) -> int:
        """Bytes: of an engine that begins, what it will hold."""
        process = self._processes[engine]
        if not process.pids and not process.at_work:
            return 0
        return max(process.memory(), self._expected.get(engine, 0) if process.at_work else 0)
