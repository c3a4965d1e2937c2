"""How workers learn that others have ended."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from bottega.bootstrap import now
from bottega.storage.state import State, open_state


@pytest.fixture
def states(tmp_path: Path) -> Iterator[tuple[State, State]]:
    """The same state, opened twice."""
    pair = open_state(tmp_path, now), open_state(tmp_path, now)
    yield pair
    for state in pair:
        state.close()


def watching() -> int:
    return sum(thread.name == "bottega-watch" for thread in threading.enumerate())


async def test_one_thread_watches_a_worker_however_often_it_is_asked_for(states: tuple[State, State]) -> None:
    one, other = states
    worker = one.workers.register()
    with other.database.wakes.listen() as bell:
        for _ in range(20):
            other.workers.watch(worker)
        assert watching() == 1
        assert other.workers.gone(worker) == ""
        bell.clear()
        one.workers.close()
        assert await bell.wait(10)
    assert other.workers.gone(worker) == "its process has ended"


def test_who_comes_strikes_out_those_that_have_ended(tmp_path: Path, states: tuple[State, State]) -> None:
    one, other = states
    ended = one.workers.register()
    one.database.write(
        lambda transaction: transaction.execute("INSERT INTO workers VALUES ('w:away:1', 'away', 0)")
    )
    (tmp_path / "workers" / ended.removeprefix("worker:").replace(":", "_")).unlink()  # as if it were killed
    other.workers.register()
    known = {worker for (worker,) in other.database.rows("SELECT id FROM workers")}
    assert known == {other.workers.id, "w:away:1"}  # of another host nobody here can tell
