"""Two arms of one call: who speaks first answers, the other is stopped, and errors are told only when nobody answers."""

import asyncio
import threading

import pytest

from bottega.core.errors import Cancelled, EngineFailed
from bottega.core.request import Delta, Output
from bottega.core.run import StepResult
from bottega.server.race import FEW, Listen, Pace, Race, Stop


def result(name: str) -> StepResult:
    return StepResult(step="call", key=name, state="done")


class Arms:
    """Arms that speak when they are told to."""

    def __init__(self) -> None:
        self.heard: list[Output] = []
        self.stopped: list[str] = []
        self.left: list[asyncio.Task[StepResult]] = []
        self.call = threading.Event()

    def race(self) -> Race:
        return Race(self.call, self.heard.append, lambda name: None, self.left.append)

    async def mute(self, name: str, stop: threading.Event, listen: Listen) -> StepResult:
        await asyncio.to_thread(stop.wait)
        self.stopped.append(name)
        raise Cancelled("stopped")

    async def quick(self, name: str, stop: threading.Event, listen: Listen) -> StepResult:
        listen(Delta(text=name))
        await asyncio.sleep(0.005)
        assert not stop.is_set()
        return result(name)

    async def broken(self, name: str, stop: threading.Event, listen: Listen) -> StepResult:
        raise EngineFailed(f"{name} broke")


async def test_the_second_answers_when_the_first_says_nothing_and_the_first_is_stopped() -> None:
    arms = Arms()
    race = arms.race()
    made = await race.run([("a", arms.mute), ("b", arms.quick)], delay=0.01)
    assert (made.key, race.winner) == ("b", "b") and arms.heard == [Delta(text="b")]
    await asyncio.gather(*arms.left, return_exceptions=True)
    assert arms.stopped == ["a"]


async def test_the_second_is_not_asked_when_the_first_speaks_in_time() -> None:
    arms = Arms()
    made = await arms.race().run([("a", arms.quick), ("b", arms.broken)], delay=20)
    assert made.key == "a" and not arms.left


async def test_a_first_that_breaks_before_the_delay_is_followed_at_once_and_the_last_error_is_told() -> None:
    arms = Arms()
    assert (await arms.race().run([("a", arms.broken), ("b", arms.quick)], delay=3600)).key == "b"
    with pytest.raises(EngineFailed, match="b broke"):
        await arms.race().run([("a", arms.broken), ("b", arms.broken)], delay=3600)


async def test_a_call_that_is_stopped_stops_both() -> None:
    arms = Arms()
    racing = asyncio.create_task(arms.race().run([("a", arms.mute), ("b", arms.mute)], delay=0.001))
    await asyncio.sleep(0.02)
    arms.call.set()
    with pytest.raises(Cancelled):
        await racing
    await asyncio.gather(*arms.left, return_exceptions=True)
    assert sorted(arms.stopped) == ["a", "b"]


def test_a_stop_is_its_own_or_the_calls() -> None:
    call = threading.Event()
    own, other = Stop(call), Stop(call)
    own.set()
    assert own.is_set() and not other.is_set() and not other.wait(0.01)
    call.set()
    assert other.is_set() and other.wait()


def test_a_percentile_needs_some_calls() -> None:
    pace = Pace()
    for n in range(FEW):
        assert pace.delay("p95") is None and pace.delay(2.5) == 2.5
        pace.add(float(n))
    assert pace.delay("p95") == 19.0
    for _ in range(1000):
        pace.add(1.0)
    assert pace.delay("p95") == 1.0, "only the latest count"
