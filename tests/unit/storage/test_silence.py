"""Who is taken for gone, and who is not."""

import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from bottega.storage.database import Transaction
from bottega.storage.sqlite import SQLite
from bottega.storage.workers import Workers

THERE = "worker:elsewhere-1:7:abcd"  # of another host


@pytest.fixture
def database(tmp_path: Path) -> Iterator[SQLite]:
    with closing(SQLite(tmp_path / "bottega.sqlite")) as made:

        def begin(transaction: Transaction) -> None:
            transaction.execute("CREATE TABLE workers (id TEXT PRIMARY KEY, host TEXT, beat INTEGER)")
            transaction.execute("CREATE TABLE leases (worker TEXT)")
            transaction.execute("INSERT INTO workers VALUES (?, 'elsewhere-1', 0)", (THERE,))

        made.write(begin)
        yield made


@pytest.fixture
def workers(database: SQLite, tmp_path: Path) -> Iterator[Workers]:
    with closing(Workers(database, tmp_path / "workers", beat=0.02)) as made:
        made.register()
        yield made


def gone_within(workers: Workers, seconds: float) -> str:
    until = time.monotonic() + seconds
    while not (why := workers.gone(THERE)) and time.monotonic() < until:
        time.sleep(0.01)
    return why


def test_a_silent_worker_of_another_host_is_gone(workers: Workers) -> None:
    assert workers.gone(THERE) == ""
    assert gone_within(workers, 30).startswith("no heartbeat")


def test_a_worker_that_beats_is_not(workers: Workers, database: SQLite) -> None:
    def beat(transaction: Transaction) -> None:
        transaction.execute("UPDATE workers SET beat = beat + 1 WHERE id = ?", (THERE,))

    until = time.monotonic() + 0.5
    while time.monotonic() < until:
        database.write(beat)
        assert workers.gone(THERE) == ""
        time.sleep(0.01)
    assert gone_within(workers, 30)


def test_while_nothing_can_be_written_silence_counts_for_nobody(workers: Workers, database: SQLite) -> None:
    begun, gate = threading.Event(), threading.Event()

    def hold(transaction: Transaction) -> None:
        begun.set()
        assert gate.wait(30)

    assert workers.gone(THERE) == ""
    holding = threading.Thread(target=database.write, args=(hold,))
    holding.start()
    assert begun.wait(30)
    assert gone_within(workers, 0.5) == ""  # six times the silence that would be too much
    gate.set()
    holding.join()
    assert gone_within(workers, 30)


def test_who_signed_off_is_gone(workers: Workers, database: SQLite, tmp_path: Path) -> None:
    assert workers.gone("worker:elsewhere-1:8:abcd") == "it has signed off"
    other = Workers(database, tmp_path / "workers")
    other.register()
    assert workers.gone(other.id) == ""
    other.close()
    assert workers.gone(other.id) == "it has signed off"
    assert workers.gone(workers.id) == ""
