"""Group commit: who waits is carried along, who is refused falls alone, who is interrupted leaves nothing."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from bottega.core.errors import InvalidValue, StorageFailed
from bottega.storage import sqlite
from bottega.storage.database import Transaction
from bottega.storage.sqlite import SQLite


@pytest.fixture
def database(tmp_path: Path) -> Iterator[SQLite]:
    opened = SQLite(tmp_path / "state.sqlite")
    opened.write(lambda transaction: transaction.execute("CREATE TABLE notes (word TEXT)").rowcount)
    yield opened
    opened.close()


def note(word: str) -> Callable[[Transaction], str]:
    def work(transaction: Transaction) -> str:
        transaction.execute("INSERT INTO notes (word) VALUES (?)", (word,))
        return word

    return work


def refused(word: str) -> Callable[[Transaction], str]:
    def work(transaction: Transaction) -> str:
        note(word)(transaction)
        raise InvalidValue("no")

    return work


def notes(database: SQLite) -> list[str]:
    return [word for (word,) in database.rows("SELECT word FROM notes ORDER BY rowid")]


class Gate:
    """A change that holds its turn until it is told to go on, so that others gather behind it."""

    def __init__(self, database: SQLite) -> None:
        self.entered, self.opened = threading.Event(), threading.Event()
        self._pool = ThreadPoolExecutor(1)
        self.passing: Future[Any] = self._pool.submit(database.write, self._work)
        assert self.entered.wait(20)

    def _work(self, transaction: Transaction) -> None:
        self.entered.set()
        assert self.opened.wait(20)

    def open(self) -> None:
        self.opened.set()
        self.passing.result(20)
        self._pool.shutdown()


async def gathered(database: SQLite, *works: Callable[[Transaction], str]) -> list[Any]:
    """What comes of changes that wait behind one another, in this order."""
    gate = Gate(database)
    tasks: list[asyncio.Task[str]] = []
    for work in works:
        tasks.append(asyncio.create_task(database.write_async(work)))
        await asyncio.sleep(0)
    await asyncio.to_thread(gate.open)
    return await asyncio.gather(*tasks, return_exceptions=True)


async def test_what_waits_is_committed_as_one_group(database: SQLite, tmp_path: Path) -> None:
    commits: list[str] = []
    database._writer.set_trace_callback(lambda said: commits.append(said) if said == "COMMIT" else None)  # pyright: ignore[reportPrivateUsage]
    assert await gathered(database, *[note(str(each)) for each in range(64)]) == [str(n) for n in range(64)]
    assert notes(database) == [str(each) for each in range(64)]
    assert len(commits) == 2  # the gate's, and one for all that waited behind it


async def test_a_refusal_is_undone_alone(database: SQLite) -> None:
    first, no, last = await gathered(database, note("first"), refused("refused"), note("last"))
    assert (first, last) == ("first", "last")
    assert isinstance(no, InvalidValue)
    assert notes(database) == ["first", "last"]
    with pytest.raises(InvalidValue):
        database.write(refused("alone"))
    assert notes(database) == ["first", "last"]


async def test_a_database_that_cannot_write_refuses_the_whole_group(database: SQLite) -> None:
    def broken(transaction: Transaction) -> str:
        transaction.execute("INSERT INTO nothing VALUES (1)")
        return ""

    came = await gathered(database, note("first"), broken, note("last"))
    assert all(isinstance(each, StorageFailed) for each in came)
    assert notes(database) == []
    assert database.write(note("again")) == "again"  # and the next one works


async def test_an_interrupt_in_the_turn_leaves_nothing_and_tells_the_others(database: SQLite) -> None:
    def interrupted(transaction: Transaction) -> str:
        note("interrupted")(transaction)
        raise KeyboardInterrupt

    came = await gathered(database, note("before"), interrupted, note("behind"))
    assert [str(each) for each in came] == ["interrupted; it may not have been written"] * 3
    assert notes(database) == []
    assert database.write(note("after")) == "after"


def test_an_interrupt_reaches_whoever_is_interrupted(database: SQLite) -> None:
    def interrupted(transaction: Transaction) -> str:
        note("interrupted")(transaction)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        database.write(interrupted)
    assert notes(database) == []
    assert database.write(note("after")) == "after"


async def test_who_is_cancelled_before_the_turn_leaves_nothing(database: SQLite) -> None:
    gate = Gate(database)
    task = asyncio.create_task(database.write_async(note("cancelled")))
    other = asyncio.create_task(database.write_async(note("other")))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.to_thread(gate.open)
    assert await other == "other"
    assert notes(database) == ["other"]


async def test_threads_and_coroutines_write_side_by_side(database: SQLite) -> None:
    words = [f"{kind} {each}" for kind in ("sync", "async") for each in range(40)]

    def write(word: str) -> str:
        return database.write(note(word), durable=word.endswith("7"))

    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(8) as pool:
        came = await asyncio.gather(
            *[
                loop.run_in_executor(pool, write, word)
                if word.startswith("sync")
                else database.write_async(note(word))
                for word in words
            ]
        )
    assert came == words
    assert sorted(notes(database)) == sorted(words)


async def test_closing_finishes_what_waits(tmp_path: Path) -> None:
    database = SQLite(tmp_path / "state.sqlite")
    database.write(lambda transaction: transaction.execute("CREATE TABLE notes (word TEXT)").rowcount)
    tasks = [asyncio.create_task(database.write_async(note(str(each)))) for each in range(8)]
    await asyncio.sleep(0)
    await asyncio.to_thread(database.close)
    assert await asyncio.gather(*tasks) == [str(each) for each in range(8)]


def test_what_comes_after_the_end_is_told(database: SQLite, tmp_path: Path) -> None:
    """As a failure of the storage, which a thread that still beats is prepared for."""
    closed = SQLite(tmp_path / "other.sqlite")
    closed.close()
    for durable in (False, True):
        with pytest.raises(StorageFailed, match="closed"):
            closed.write(note("late"), durable=durable)
    with pytest.raises(StorageFailed, match="closed"):
        closed.offer(note("late")).result()
    with pytest.raises(StorageFailed, match="closed"):
        closed.rows_at_hand("SELECT 1")


def test_rows_at_hand_are_those_that_are_committed(database: SQLite) -> None:
    database.write(note("one"))
    gate = Gate(database)
    try:
        assert database.rows_at_hand("SELECT word FROM notes") == [
            ("one",)
        ]  # by the reader: another has the turn
    finally:
        gate.open()

    def within(transaction: Transaction) -> list[Any]:
        note("two")(transaction)
        return database.rows_at_hand("SELECT word FROM notes")

    assert database.write(within) == [("one",)]
    assert database.rows_at_hand("SELECT word FROM notes") == [("one",), ("two",)]


def test_the_log_of_a_writer_that_never_rests_stays_small(
    database: SQLite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "WAL", 1 << 20)
    word = "long" * 250
    for _ in range(4000):
        database.write(note(word))
    assert (tmp_path / "state.sqlite-wal").stat().st_size < 16 << 20
    assert notes(database) == [word] * 4000
