"""Workers live and end as processes do: real ones, killed and stopped."""

import asyncio
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.unit.storage.child import BEAT
from tests.unit.storage.conftest import claim, claim_of, finish, lease, step_state, submit

from bottega.bootstrap import now
from bottega.core.errors import StorageFailed
from bottega.core.run import StepResult
from bottega.storage.leases import Busy, Lease
from bottega.storage.state import State, open_state
from bottega.storage.workers import RESTARTED, Workers

TOP = Path(__file__).parents[3]
LOOK = """
import fcntl, sys
from pathlib import Path
print("looking", flush=True)
seen = set()
while True:
    for path in Path(sys.argv[1]).iterdir():
        if path.suffix != ".new" and path not in seen:
            with path.open("rb") as file:
                try:
                    fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
                    print(path.name, "is free", flush=True)
                except BlockingIOError:
                    seen.add(path)
"""
Start = Callable[[str], "subprocess.Popen[str]"]


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    opened = open_state(tmp_path / "state", now, beat=BEAT)
    opened.workers.register()
    yield opened
    opened.close()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start a process that works on the state; it is ended with the test."""
    children: list[subprocess.Popen[str]] = []

    def child(task: str) -> "subprocess.Popen[str]":
        command = [sys.executable, "-m", "tests.unit.storage.child", str(tmp_path / "state"), task]
        children.append(
            subprocess.Popen(
                command, cwd=TOP, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8"
            )
        )
        return children[-1]

    yield child
    for each in children:
        each.kill()
        each.communicate()


def heard(child: "subprocess.Popen[str]") -> str:
    assert child.stdout is not None
    return child.stdout.readline().strip()


async def until_leased(state: State) -> Lease:
    """Claim as a worker does: at each ring, and at each beat."""
    run, _ = state.runs.get("run")
    with state.runs.wakes.listen() as bell:
        while True:
            bell.clear()
            found = await claim(state, run, "a", "red")
            if isinstance(found, Lease):
                return found
            assert isinstance(found, Busy)
            state.workers.watch(found.worker)
            await bell.wait(BEAT)


async def test_a_killed_workers_step_is_taken_over_at_once(state: State, start: Start) -> None:
    state.workers.beat = 3600  # its silence plays no part
    run = submit(state, "red")
    child = start("work")
    worker = heard(child)
    assert heard(child) == "leased"
    assert state.workers.gone(worker) == ""
    assert isinstance(await claim(state, run, "a", "red"), Busy)
    with state.runs.wakes.listen() as bell:
        state.workers.watch(worker)
        bell.clear()
        child.send_signal(signal.SIGKILL)
        assert await bell.wait(20)  # rung by its end, not by a commit
    assert state.workers.gone(worker) == "its process has ended"
    held = await lease(state, run, "a", "red")
    assert held.attempt == 2
    await finish(state, held)


async def test_a_worker_that_hangs_is_taken_over_and_its_late_write_is_refused(
    state: State, start: Start
) -> None:
    submit(state, "red")
    child = start("work")
    worker = heard(child)
    assert heard(child) == "leased"
    child.send_signal(signal.SIGSTOP)
    held = await asyncio.wait_for(until_leased(state), 60)
    assert "no heartbeat" in state.workers.gone(worker)
    await finish(state, held)
    child.send_signal(signal.SIGCONT)
    assert child.stdin is not None
    child.stdin.write("go on\n")
    child.stdin.flush()
    assert await asyncio.to_thread(heard, child) == "refused"
    assert step_state(state, "a") == "done"


async def test_a_worker_that_only_works_long_is_left_alone(state: State, start: Start) -> None:
    run = submit(state, "red")
    child = start("work")
    heard(child)
    assert heard(child) == "leased"
    ours = state.database.rows("SELECT beat FROM workers WHERE id = ?", state.workers.id)[0][0]
    while state.database.rows("SELECT beat FROM workers WHERE id = ?", state.workers.id)[0][0] < ours + 8:
        assert isinstance(await claim(state, run, "a", "red"), Busy)
        await asyncio.sleep(BEAT)
    child.communicate("go on\n")
    assert isinstance(found := await claim(state, run, "a", "red"), StepResult)
    assert found.state == "done"


@pytest.mark.parametrize(("name", "attempt"), [("", 1), ("another", 2)])
async def test_a_death_that_took_the_host_along_does_not_count(state: State, name: str, attempt: int) -> None:
    """Of an earlier start of this machine, told by its boot id, beside one of a machine that is just silent."""
    run = submit(state, "red")
    host = f"{name or state.workers.host.rpartition('-')[0]}-00000000"
    before = f"worker:{host}:0:7:abcd"
    state.database.write(lambda t: t.execute("INSERT INTO workers VALUES (?, ?, 1)", (before, host)).rowcount)
    held = await state.runs.claim(claim_of(run, "a", "red"), worker=before, host=host)
    assert isinstance(held, Lease) and held.attempt == 1
    again = await asyncio.wait_for(until_leased(state), 60)
    assert again.attempt == attempt
    assert (state.workers.gone(before) == RESTARTED) == (attempt == 1)


def test_nobody_is_gone_while_nobody_can_write(tmp_path: Path) -> None:
    """Silence is counted in beats of one's own: when the database is away, for all, none is taken for gone."""
    one, two = (open_state(tmp_path / "state", now, beat=3600) for _ in range(2))
    one.workers.register()
    two.workers.register()
    assert [one.workers.gone(two.workers.id) for _ in range(50)] == [""] * 50
    two.close()
    assert one.workers.gone(two.workers.id) == "it has signed off"
    one.close()


def test_a_worker_with_another_folder_of_locks_is_not_taken_for_dead(tmp_path: Path, state: State) -> None:
    """Two processes of one host that share a database server, each with a state folder of its own."""
    other = Workers(state.database, tmp_path / "elsewhere", beat=3600)
    other.register()
    assert state.workers.gone(other.id) == ""
    other.close()


def test_many_threads_register_one_worker(tmp_path: Path) -> None:
    """Each is told the worker's id only when its lock is held: a step leased before that would seem left."""
    state, watcher = (open_state(tmp_path / "state", now, beat=3600) for _ in range(2))

    def register(_: int) -> str:
        return watcher.workers.gone(state.workers.register())

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(register, range(64))) == {""}
    assert len([*(tmp_path / "state" / "workers").iterdir()]) == 1
    state.close()
    watcher.close()


def test_a_lock_file_is_locked_from_the_moment_it_is_seen(tmp_path: Path, state: State) -> None:
    """A process that looks all the time never finds the lock of a live worker free."""
    locks = tmp_path / "locks"
    locks.mkdir()
    looking = subprocess.Popen([sys.executable, "-c", LOOK, locks], stdout=subprocess.PIPE, text=True)
    assert looking.stdout is not None
    looking.stdout.readline()
    workers = [Workers(state.database, locks, beat=3600) for _ in range(200)]
    for worker in workers:
        worker.register()
    looking.kill()
    assert looking.communicate()[0] == ""
    for worker in workers:
        worker.close()


def test_waiting_long_for_a_worker_takes_one_thread(state: State, tmp_path: Path) -> None:
    other = open_state(tmp_path / "state", now, beat=3600)
    other.workers.register()
    before = threading.active_count()
    for _ in range(100):
        state.workers.watch(other.workers.id)
    assert threading.active_count() == before + 1
    other.close()


def test_the_dead_are_forgotten_once_nothing_of_theirs_is_left(
    state: State, start: Start, tmp_path: Path
) -> None:
    submit(state, "red")
    child = start("work")
    worker = heard(child)
    assert heard(child) == "leased"
    child.kill()
    child.wait()
    ids = "SELECT id FROM workers ORDER BY id"
    one = open_state(tmp_path / "state", now, beat=3600)
    one.workers.register()
    assert (worker,) in one.database.rows(ids)  # it still has a lease, and its end shall count
    asyncio.run(until_leased(one))
    two = open_state(tmp_path / "state", now, beat=3600)
    two.workers.register()
    assert two.database.rows(ids) == sorted((each.workers.id,) for each in (state, one, two))
    assert len([*(tmp_path / "state" / "workers").iterdir()]) == 3
    one.close()
    two.close()


def test_who_has_signed_off_does_not_come_back(tmp_path: Path) -> None:
    state = open_state(tmp_path / "state", now, beat=3600)
    state.workers.register()
    state.workers.close()
    with pytest.raises(StorageFailed, match="signed off"):
        state.workers.register()
    state.close()


async def test_a_ring_from_another_process_arrives(state: State, start: Start) -> None:
    child = start("hear")
    heard(child)
    assert heard(child) == "listening"
    submit(state, "red")
    assert await asyncio.to_thread(heard, child) == "rung"
