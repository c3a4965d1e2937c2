"""The logs that are measured: plain ones that bound what is possible, and those that take entries from many callers."""

import asyncio
import hashlib
import os
import queue
import sqlite3
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from typing import Protocol

from bottega.bootstrap import now
from bottega.core.entry import Act
from bottega.storage.database import Transaction
from bottega.storage.state import open_state


class Log(Protocol):
    """A log that writes a group of entries and is durable when it returns."""

    def write(self, entries: list[bytes]) -> None: ...

    def read(self) -> Iterator[tuple[bytes, bytes]]:
        """(entry, leaf hash), in order, from the disk."""
        ...

    def close(self) -> None: ...


def entry(number: int) -> bytes:
    """An entry as the record writes them: canonical JSON, about 300 bytes."""
    return (
        b'{"act":"runner:step_finished","actor":"operator","at":"2026-01-01T00:00:00.000000Z","detail":{"attempt":1,'
        b'"key":"%064x","step":"draft"},"previous":"%064x","subject":"run-%010d"}' % (number, number, number)
    )


def leaf(data: bytes) -> bytes:
    """Leaf hash of RFC 6962, section 2.1."""
    return hashlib.sha256(b"\0" + data).digest()


class Sqlite:
    """One table in plain sqlite3, WAL, one commit a group."""

    def __init__(self, path: Path, level: str) -> None:
        self.path = path
        self.connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self.connection.execute("PRAGMA journal_mode = WAL")
        self.connection.execute(f"PRAGMA synchronous = {level}")
        self.connection.execute(
            "CREATE TABLE log (sequence INTEGER PRIMARY KEY, entry BLOB NOT NULL, leaf BLOB NOT NULL) STRICT"
        )

    def write(self, entries: list[bytes]) -> None:
        self.connection.execute("BEGIN IMMEDIATE")
        self.connection.executemany(
            "INSERT INTO log (entry, leaf) VALUES (?, ?)", [(data, leaf(data)) for data in entries]
        )
        self.connection.execute("COMMIT")

    def read(self) -> Iterator[tuple[bytes, bytes]]:
        reader = sqlite3.connect(self.path)
        yield from reader.execute("SELECT entry, leaf FROM log ORDER BY sequence")
        reader.close()

    def close(self) -> None:
        self.connection.close()


class Lines:
    """A file of lines, ``hash entry``, one fdatasync a group."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.file = path.open("ab", buffering=0)

    def write(self, entries: list[bytes]) -> None:
        self.file.write(b"".join(b"%s %s\n" % (leaf(data).hex().encode(), data) for data in entries))
        os.fdatasync(self.file.fileno())

    def read(self) -> Iterator[tuple[bytes, bytes]]:
        with self.path.open("rb") as file:
            for line in file:
                stored, _, data = line.rstrip(b"\n").partition(b" ")
                yield data, bytes.fromhex(stored.decode())

    def close(self) -> None:
        self.file.close()


class SharedLog(Protocol):
    """A log that takes entries from many callers at once; each call ends when its entry is durable."""

    def append(self, data: bytes) -> None: ...

    async def append_async(self, data: bytes) -> None: ...

    def read(self) -> Iterator[tuple[bytes, bytes]]: ...

    def close(self) -> None: ...


class Grouped:
    """A thread that writes whatever has come in since its last commit: the floor of group commit."""

    def __init__(self, level: str, path: Path, largest: int = 1024) -> None:
        self.log, self.largest = Sqlite(path, level), largest
        self.waiting: queue.SimpleQueue[tuple[bytes, Future[None]] | None] = queue.SimpleQueue()
        self.thread = threading.Thread(target=self._work)
        self.thread.start()

    def append(self, data: bytes) -> None:
        self._submit(data).result()

    async def append_async(self, data: bytes) -> None:
        await asyncio.wrap_future(self._submit(data))

    def _submit(self, data: bytes) -> "Future[None]":
        done: Future[None] = Future()
        self.waiting.put((data, done))
        return done

    def _work(self) -> None:
        opened = True
        while opened:
            taken = [self.waiting.get()]
            while len(taken) < self.largest and not self.waiting.empty():
                taken.append(self.waiting.get())
            group = [item for item in taken if item is not None]
            opened = len(group) == len(taken)
            try:
                self.log.write([data for data, _ in group])
            except sqlite3.Error as error:
                for _, done in group:
                    done.set_exception(error)
                continue
            for _, done in group:
                done.set_result(None)

    def read(self) -> Iterator[tuple[bytes, bytes]]:
        return self.log.read()

    def close(self) -> None:
        self.waiting.put(None)
        self.thread.join()
        self.log.close()


class OurJournal:
    """Bottega's journal: each entry is canonical JSON, numbered, hashed into the tree, folded, and others are woken."""

    def __init__(self, durable: bool, path: Path) -> None:
        self.folder, self.durable = path.with_suffix(".state"), durable
        self.state = open_state(self.folder, now)

    def append(self, data: bytes) -> None:
        self.state.database.write(self._work(data), durable=self.durable)

    async def append_async(self, data: bytes) -> None:
        await self.state.database.write_async(self._work(data), durable=self.durable)

    def _work(self, data: bytes) -> Callable[[Transaction], int]:
        detail = {"entry": data.decode()}
        return lambda transaction: self.state.journal.append(
            transaction, Act.STATE_RESTORED, "state/bench", actor="user:bench", detail=detail
        )

    def read(self) -> Iterator[tuple[bytes, bytes]]:
        reader = sqlite3.connect(self.folder / "bottega.sqlite")
        for text, leaf_hash in reader.execute("SELECT entry, leaf FROM journal ORDER BY n"):
            yield text.encode(), leaf_hash
        reader.close()

    def close(self) -> None:
        self.state.close()


SHARED_LOGS: dict[str, Callable[[Path], SharedLog]] = {
    "bottega's journal, durable": partial(OurJournal, True),
    "bottega's journal": partial(OurJournal, False),
    **{f"sqlite {level}, group commit": partial(Grouped, level) for level in ("FULL", "NORMAL")},
}
