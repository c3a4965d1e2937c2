"""Where a collection's tables lie: the seam under `Store`, and SQLite as the one that ships."""

import sqlite3
import threading
from abc import ABC, abstractmethod
from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from bottega.core.errors import StorageFailed
from bottega.retrieval.collections.schema import ADDED, FILE, TABLES, VERSION
from bottega.storage.database import Transaction

BUSY = 30.0  # seconds


class Tables(ABC):
    """The tables of one collection. Statements use ``?`` for values and are the same in every database.

    ``shared`` says that processes of several hosts use them: the vectors then lie in them too, and no host knows how far the
    word indexes of another have come.
    """

    shared: bool

    @abstractmethod
    def transaction(self, *, durable: bool = True) -> AbstractContextManager[Transaction]:
        """All or nothing; on the disk at the end, or with the next durable one.

        Raises:
            StorageFailed: it cannot be written; nothing has changed.
        """

    @abstractmethod
    def rows(self, query: str, *values: object) -> list[Any]:
        """All rows of a query, as committed, or as the transaction that is under way has them.

        Raises:
            StorageFailed: they cannot be read.
        """

    @abstractmethod
    def replaced(self) -> bool:
        """Whether the collection was deleted since these tables were opened."""

    @abstractmethod
    def scrub(self) -> None:
        """Take what was deleted out of the database's files, as far as it can be told to."""

    @abstractmethod
    def close(self) -> None:
        """Close the connection."""


class SQLiteTables(Tables):
    """One file. One writer at a time holds the collection's lock, readers never wait.

    Raises:
        StorageFailed: the file cannot be opened, is damaged, or is from a later version.
    """

    shared = False

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE
        self._lock = threading.RLock()
        with self._failing("cannot be opened"):
            folder.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(
                self._path, timeout=BUSY, isolation_level=None, check_same_thread=False
            )
            self._number = self._path.stat().st_ino  # not given again while it is open
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA secure_delete = ON")
            self._db.execute("PRAGMA foreign_keys = ON")
            (version,) = self._db.execute("PRAGMA user_version").fetchone()
            if version < VERSION:
                with self.transaction():
                    for statement in TABLES.split(";\n"):
                        self._db.execute(statement)
                    for (table, column), statement in ADDED.items():
                        if (column,) not in self.rows(f"SELECT name FROM pragma_table_info('{table}')"):
                            self._db.execute(statement)
                    self._db.execute(
                        "DELETE FROM answers"
                    )  # a cache: what it says of its answers may be missing
                    self._db.execute(f"PRAGMA user_version = {VERSION}")
        if version > VERSION:
            raise StorageFailed(
                f"this collection was written by a later version of Bottega (format {version})",
                where=str(folder),
                remedy="upgrade Bottega",
            )

    @contextmanager
    def _failing(self, what: str) -> Generator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise StorageFailed(
                f"the collection {what}: {error}",
                where=str(self._path),
                remedy="free some disk space or check the folder; if the file is damaged, remove it and index again",
            ) from error

    @contextmanager
    def transaction(self, *, durable: bool = True) -> Generator[Transaction]:
        """All or nothing; on the disk at the end, or with the next durable one."""
        with self._lock, self._failing("cannot be written"):
            self._db.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")

    def rows(self, query: str, *values: object) -> list[Any]:
        """All rows of a query."""
        with self._lock, self._failing("cannot be read"):
            return self._db.execute(query, values).fetchall()

    def replaced(self) -> bool:
        """Whether the file that is open is not the one in the folder any more."""
        return not self._path.exists() or self._path.stat().st_ino != self._number

    def scrub(self) -> None:
        """Empty the write-ahead log, where what was erased may still stand, unless somebody is reading just now."""
        self.rows("PRAGMA wal_checkpoint(TRUNCATE)")

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()
