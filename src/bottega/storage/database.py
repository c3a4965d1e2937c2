"""The SQLite file under the state folder: its schema and its connection."""

import sqlite3
import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from bottega.core.errors import StorageFailed

SCHEMA = """
CREATE TABLE IF NOT EXISTS runs (
    id TEXT PRIMARY KEY, brief TEXT NOT NULL, plan TEXT NOT NULL, run TEXT NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS results (
    key TEXT NOT NULL, checks TEXT NOT NULL, run_id TEXT NOT NULL, reusable INTEGER NOT NULL,
    result TEXT NOT NULL, PRIMARY KEY (key, checks, run_id)
) STRICT;
CREATE TABLE IF NOT EXISTS documents (
    source TEXT NOT NULL, name TEXT NOT NULL, converter TEXT NOT NULL, document TEXT NOT NULL,
    PRIMARY KEY (source, name, converter)
) STRICT;
CREATE TABLE IF NOT EXISTS tickets (
    id TEXT PRIMARY KEY, run_id TEXT NOT NULL, ticket TEXT NOT NULL, decision TEXT
) STRICT;
CREATE TABLE IF NOT EXISTS record (
    sequence INTEGER PRIMARY KEY, event TEXT NOT NULL, hash TEXT NOT NULL
) STRICT;
PRAGMA user_version = 1;
"""


class Database:
    """One connection, shared by threads under a lock. Write-ahead log, ``FULL`` durability."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.RLock()
        self._path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = sqlite3.connect(
                path, check_same_thread=False, timeout=30, isolation_level=None
            )
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("PRAGMA synchronous = FULL")
            self._connection.executescript(SCHEMA)
        except (sqlite3.Error, OSError) as error:
            raise self._failed("cannot be opened", error) from error

    @contextmanager
    def transaction(self) -> Generator[sqlite3.Connection]:
        """One atomic change; other processes wait, a failure changes nothing.

        Raises:
            StorageFailed: when SQLite cannot write.
        """
        with self._lock:
            try:
                self._connection.execute("BEGIN IMMEDIATE")
                try:
                    yield self._connection
                except BaseException:
                    self._connection.execute("ROLLBACK")
                    raise
                self._connection.execute("COMMIT")
            except sqlite3.Error as error:
                raise self._failed("refused a change", error) from error

    def rows(self, query: str, *values: str) -> list[tuple[str, ...]]:
        """All rows of a query.

        Raises:
            StorageFailed: when SQLite cannot read.
        """
        with self._lock:
            try:
                return self._connection.execute(query, values).fetchall()
            except sqlite3.Error as error:
                raise self._failed("cannot be read", error) from error

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()

    def _failed(self, what: str, error: Exception) -> StorageFailed:
        return StorageFailed(
            f"the state database {what}: {error}",
            where=str(self._path),
            remedy="check the disk, or set BOTTEGA_STATE to another folder",
        )
