"""Hedging: when a target has not begun to answer in time a second one is asked too, and whoever speaks first answers."""

import asyncio
import threading
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from time import monotonic

from bottega.core.errors import BottegaError, Cancelled
from bottega.core.request import Output
from bottega.core.run import StepResult
from bottega.server.config import Hedge

FEW = 20  # calls before which there is no percentile
LATELY = 200  # calls that it is taken of
SPOKEN = ("delta", "audio", "preview")

Listen = Callable[[Output], None]
Arm = Callable[[str, threading.Event, Listen], Awaitable[StepResult]]  # id, stop signal, listener


class Stop(threading.Event):
    """Set by itself, or with the call that it belongs to."""

    def __init__(self, call: threading.Event) -> None:
        super().__init__()
        self._call = call

    def is_set(self) -> bool:
        """Whether to stop."""
        return super().is_set() or self._call.is_set()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for it."""
        until = None if timeout is None else monotonic() + timeout
        while not self.is_set() and (until is None or monotonic() < until):
            super().wait(0.05 if until is None else min(0.05, max(until - monotonic(), 0)))
        return self.is_set()


@dataclass
class Pace:
    """How long a name's calls have lately taken to their first word, in seconds."""

    _lately: deque[float] = field(default_factory=lambda: deque[float](maxlen=LATELY))

    def add(self, seconds: float) -> None:
        """One more."""
        self._lately.append(seconds)

    def delay(self, hedge: Hedge) -> float | None:
        """Seconds after which a second target is asked; None while too few calls tell."""
        if hedge != "p95":
            return hedge
        if len(self._lately) < FEW:
            return None
        return sorted(self._lately)[int(0.95 * len(self._lately))]


@dataclass
class Race:
    """Two arms of one call. The loser is stopped; what it used until then is billed, and stands in the record."""

    call: threading.Event
    listen: Listen
    won: Callable[[str], None]  # is told the winner's id before anything is heard of it
    left: Callable[[asyncio.Task[StepResult]], None]  # is given what is still being settled
    winner: str = ""
    _stops: dict[str, Stop] = field(default_factory=dict[str, Stop])

    async def run(self, arms: Sequence[tuple[str, Arm]], delay: float) -> StepResult:
        """The result of the arm that spoke first, or ended first. ``winner`` is then its id.

        Raises:
            BottegaError: as the last arm raised it; none has answered.
        """
        running: set[asyncio.Task[StepResult]] = set()
        names: dict[asyncio.Task[StepResult], str] = {}
        last: BottegaError | None = None
        waiting = [*arms]
        try:
            while running or waiting:
                if waiting and not self.winner:
                    name, arm = waiting.pop(0)
                    stop = self._stops[name] = Stop(self.call)
                    task = asyncio.ensure_future(arm(name, stop, self._heard(name)))
                    names[task] = name
                    running.add(task)
                timeout = delay if waiting and not self.winner else None
                done, running = await asyncio.wait(running, timeout=timeout, return_when="FIRST_COMPLETED")
                for task in done:
                    try:
                        result = task.result()
                    except Cancelled:
                        if self.call.is_set():
                            raise
                    except BottegaError as failure:
                        last = failure
                        if self.winner == names[task]:
                            raise
                    else:
                        if self._wins(names[task]):
                            return result
            raise last or Cancelled("stopped on request")
        finally:
            for stop in self._stops.values():
                stop.set()
            for task in running:
                self.left(task)

    def _heard(self, name: str) -> Listen:
        def told(output: Output) -> None:
            if self._wins(name) if output.kind in SPOKEN else self.winner == name:
                self.listen(output)

        return told

    def _wins(self, name: str) -> bool:
        if not self.winner:
            self.winner = name
            self.won(name)
            for other, stop in self._stops.items():
                if other != name:
                    stop.set()
        return self.winner == name
