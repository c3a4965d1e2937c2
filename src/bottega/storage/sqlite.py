"""State in one SQLite file: write-ahead log, one writer, readers that never wait."""

import os
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from functools import partial
from pathlib import Path
from typing import Any

from bottega.core.errors import StorageFailed
from bottega.storage.change import Change
from bottega.storage.database import Database, Transaction
from bottega.storage.schema import statements
from bottega.storage.wakes import Wakes

READING = 5.0  # seconds in which others may end what they read, before old pages are said to be left
BUSY = 30.0  # seconds that a change waits for another process's
WAL = (
    16 << 20
)  # bytes of log after which it is carried over into the file: pages that change often are carried once
PAGES = 16 << 10  # KiB of pages that the writer keeps: rows named by a digest lie all over their tables
PAGE = 4096  # bytes, SQLite's own choice
STATEMENTS = 512  # kept compiled
LOOK = 64  # commits between two looks at its size


class SQLite(Database):
    """A file for the processes of one machine.

    Durable changes are committed with ``synchronous = FULL``; they carry every earlier change to the disk with them. So does
    `sync`, which brings the log to the disk and leaves the writer to others meanwhile. (SQLite takes no lock on the log, so
    that closing another handle on it takes none away.)
    """

    keyed = True
    failures = (StorageFailed, sqlite3.Error)
    syncs_aside = True

    def __init__(self, path: Path) -> None:
        """Open or create the file.

        Raises:
            StorageFailed: it cannot be opened, or is damaged.
        """
        super().__init__(Wakes(path.parent / "wakes"))
        self._path = path
        self._wal = path.with_name(f"{path.name}-wal")
        self._commits = self._carried = 0  # so far, and when the log was last carried over
        self._look = LOOK  # at its size next, when there are so many
        self._log: int | None = None  # a handle on the write-ahead log, which stays while the writer is open
        self._reading = threading.Lock()
        self._durable = True
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._writer = _connect(path)
            self._writer.execute("PRAGMA journal_mode = WAL")
            self._writer.execute("PRAGMA synchronous = FULL")
            self._writer.execute("PRAGMA secure_delete = ON")  # what is erased leaves no trace in free pages
            self._writer.execute("PRAGMA wal_autocheckpoint = 0")
            self._writer.execute("PRAGMA busy_timeout = 0")
            self._writer.execute(f"PRAGMA cache_size = -{PAGES}")
            self._reader = _connect(path)
        except (sqlite3.Error, OSError) as error:
            raise _failed(self._path, "cannot be opened", error) from error

    def rows(self, query: str, *values: object) -> list[Any]:
        """All rows of a query, as committed."""
        with self._reading:
            try:
                return self._reader.execute(query, values).fetchall()
            except sqlite3.Error as error:
                raise _failed(self._path, "cannot be read", error) from error

    def rows_at_hand(self, query: str, *values: object) -> list[Any]:
        """By the writer while it is idle: it has the pages that it wrote, and a reader has to fetch them."""
        with self._in_turn(wait=False) as mine:
            if mine:
                try:
                    return self._writer.execute(query, values).fetchall()
                except sqlite3.Error as error:
                    raise _failed(self._path, "cannot be read", error) from error
        return self.rows(query, *values)

    def version(self, transaction: Transaction | None = None) -> int:
        """The file's ``user_version``."""
        if transaction is not None:
            return transaction.execute("PRAGMA user_version").fetchone()[0]
        return self.rows("PRAGMA user_version")[0][0]

    def set_version(self, transaction: Transaction, version: int) -> None:
        """Note the version in the file."""
        transaction.execute(f"PRAGMA user_version = {version:d}")

    def statements(self, text: str) -> list[str]:
        """Strict tables."""
        return statements(
            text, integer="INTEGER", bytes_="BLOB", strict="STRICT", keyed="STRICT, WITHOUT ROWID"
        )

    def _begun_at_once(self, durable: bool) -> bool:
        try:
            self._level(durable=durable)
            self._writer.execute("BEGIN IMMEDIATE")
        except sqlite3.Error:  # another process is writing; what else is wrong shows in the thread
            return False
        return True

    def purge(self, *, waited_for: bool = True) -> bool:
        """Carry the write-ahead log into the file and cut it off; deleted rows were overwritten with zeros there.

        Who reads just now is waited for a while.
        """
        until = time.monotonic() + READING
        while True:
            with self._in_turn():
                try:
                    busy = self._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
                except sqlite3.Error as error:
                    raise _failed(self._path, "cannot be cleaned", error) from error
            if not busy or time.monotonic() > until:
                return not busy
            time.sleep(0.05)

    def sync(self, then: Callable[[StorageFailed | None], object]) -> None:
        """In the thread that commits."""
        self._aside(partial(self._sync, then))

    def _sync(self, then: Callable[[StorageFailed | None], object]) -> None:
        failure: StorageFailed | None = None
        try:
            if self._log is None:
                self._log = os.open(self._wal, os.O_RDONLY | os.O_CLOEXEC)
            os.fdatasync(self._log)
        except OSError as error:  # what of it the system still tries to write nobody knows: from now on SQLite syncs its commits
            self.syncs_aside = False
            failure = _failed(self._path, "did not reach the disk", error)
        then(failure)

    def copy_to(self, path: Path) -> None:
        """SQLite's online backup: one consistent state, whoever writes meanwhile."""
        try:
            source, target = _connect(self._path), sqlite3.connect(path)
            try:
                source.backup(target)
            finally:
                source.close()
                target.close()
        except sqlite3.Error as error:
            raise _failed(path, "cannot be copied", error) from error

    def _made(
        self, group: Sequence[Change[Any]], durable: bool, *, apart: bool
    ) -> list[Callable[[], object]]:
        try:
            return super()._made(group, durable, apart=apart)
        except sqlite3.Error as error:  # it may be closed: a heartbeat that came too late
            raise _failed(self._path, "refused a change", error) from error

    def _begin(self, durable: bool) -> Transaction:
        if not self._writer.in_transaction:
            self._level(durable=durable)
            self._wait_for_others()
        return self._writer

    def _level(self, *, durable: bool) -> None:
        if durable != self._durable:
            self._writer.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
            self._durable = durable

    def _wait_for_others(self) -> None:
        """Begin when no other process is writing; the connection itself waits for nothing, see `_begun_at_once`."""
        deadline = time.monotonic() + BUSY
        pause = 0.0005  # seconds
        while True:
            try:
                self._writer.execute("BEGIN IMMEDIATE")
                return
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                    raise
            time.sleep(pause)
            pause = min(2 * pause, 0.02)

    def _end(self) -> None:
        self._writer.execute("COMMIT")
        self._commits += 1
        if self._commits >= self._look:
            self._look += LOOK
            if self._wal.stat().st_size > WAL:
                with suppress(RuntimeError):  # it is being closed
                    self._flusher.submit(self._carry_over)

    def _carry_over(self) -> None:
        """Move the log's pages into the file: most beside the writer, and within its turn the few that it wrote meanwhile.

        Then the log begins again, and its file keeps its size: what was committed says when it is full once more.
        """
        carry = "PRAGMA wal_checkpoint(PASSIVE)"
        with suppress(sqlite3.Error), closing(_connect(self._path)) as connection:
            connection.execute(carry)
            with self._in_turn():
                _, pages, carried = self._writer.execute(carry).fetchone()
                commits, self._carried = self._commits - self._carried, self._commits
                if pages == carried > 0:
                    self._look = self._commits + max(commits * WAL // (pages * PAGE), LOOK)

    def _undo(self) -> None:
        with suppress(sqlite3.Error):  # a full disk has rolled it back already, or it is closed
            if self._writer.in_transaction:
                self._writer.execute("ROLLBACK")

    def _close(self) -> None:
        self.wakes.close()
        self._reader.close()
        self._writer.close()
        if self._log is not None:
            os.close(self._log)
            self._log = None


def _connect(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(
        path, check_same_thread=False, timeout=BUSY, isolation_level=None, cached_statements=STATEMENTS
    )


def _failed(path: Path, what: str, error: Exception) -> StorageFailed:
    words = str(error)
    remedy = "check the disk, or set BOTTEGA_STATE to another folder"
    if "malformed" in words or "not a database" in words:
        remedy = "restore a backup (docs/guides/record.md), or set BOTTEGA_STATE to another folder"
    elif "full" in words:
        remedy = "free some space; finished work is safe, and the run goes on where it stopped"
    elif "readonly" in words:
        remedy = "make the folder writable, or set BOTTEGA_STATE to another folder"
    return StorageFailed(f"the state database {what}: {words}", where=str(path), remedy=remedy)
