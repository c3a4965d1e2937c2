"""State in PostgreSQL, for the processes of several hosts."""

import secrets
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from bottega.core.errors import StorageFailed
from bottega.storage.database import Database, Transaction
from bottega.storage.postgres_link import Address, Link, patiently
from bottega.storage.postgres_wakes import Notified
from bottega.storage.schema import FOLDED_TABLES, statements

OPENING = 5.0  # seconds that opening waits for a server that is starting
PATIENCE = 60.0  # seconds that a read or a change waits for a server that went away

# `writers` holds the number of the last group that each process committed.
OWN_TABLES = """
CREATE TABLE IF NOT EXISTS tables_version (version BIGINT NOT NULL);
INSERT INTO tables_version SELECT 0 WHERE NOT EXISTS (SELECT 1 FROM tables_version);
CREATE TABLE IF NOT EXISTS writers (
    id BIGINT PRIMARY KEY, committed BIGINT NOT NULL, at TIMESTAMPTZ NOT NULL
);
DELETE FROM writers WHERE at < now() - INTERVAL '7 days'
"""


class PostgreSQL(Database):
    """A schema of a PostgreSQL database (13 or later).

    **Order.** Writers of all processes take turns by an advisory lock that is held from begin to commit, so entries
    have no gaps and no races. Readers never wait.

    **Durability.** Every change waits for the server's own disk: with ``synchronous_commit = off`` a server that is
    killed would lose changes that callers were told of, among them leases whose tokens would be given out again.
    ``durable`` changes also wait for the synchronous standbys, where there are any (``on``), the others do not (``local``).

    **A server that goes away.** What was not committed is done again from its beginning on a new connection, for up to
    `PATIENCE` seconds; so ``work`` may be called more than once. When the connection was lost while COMMIT was under
    way, the number of the group, written in the same transaction, tells whether it was committed. (PostgreSQL's
    ``pg_xact_status`` cannot tell for certain: after a crash it may give the same transaction id to somebody else.) Reads
    are asked again.
    """

    def __init__(self, url: str) -> None:
        """Connect; the schema is made when it is not there.

        Raises:
            InvalidValue: it is not the address of a PostgreSQL database.
            StorageFailed: it cannot be reached, or this user may not create the schema.
        """
        self._address = Address.of(url)
        self._id = secrets.randbits(63)  # of this process as a writer
        self._group = 0
        super().__init__(Notified(self._address, self._id))
        self._reading = threading.Lock()
        self._writer = Link(self._address, "refused a change")
        self._reader = Link(self._address, "cannot be read")
        try:
            patiently(self._prepare, OPENING)
        except BaseException:
            self.close()
            raise

    def rows(self, query: str, *values: object) -> list[Any]:
        """All rows of a query, as committed."""

        def read() -> list[Any]:
            self._reader.open()
            return self._reader.execute(query, values).fetchall()

        with self._reading:
            return patiently(read, PATIENCE)

    def version(self, transaction: Transaction | None = None) -> int:
        """The number in ``tables_version``."""
        query = "SELECT version FROM tables_version"
        return (transaction.execute(query).fetchall() if transaction else self.rows(query))[0][0]

    def set_version(self, transaction: Transaction, version: int) -> None:
        """Note the version."""
        transaction.execute("UPDATE tables_version SET version = ?", (version,))

    def statements(self, text: str) -> list[str]:
        """Text is compared by its bytes, as SQLite does, whatever the language of the database."""
        made = statements(text, integer="BIGINT", bytes_="BYTEA", strict="", keyed="")
        return [statement.replace(" TEXT ", ' TEXT COLLATE "C" ') for statement in made]

    def purge(self, *, waited_for: bool = True) -> bool:
        """Write the tables anew, because deleted rows stay in the old files until they are written over; others wait meanwhile.

        Not covered: the server's own write-ahead log and its archive.
        """
        if not waited_for:
            return False
        with self._in_turn():
            self._writer.open()
            for table in (*FOLDED_TABLES, "contents", "sealed", "documents", "small"):
                self._writer.script(f"VACUUM FULL {table}")
        return True

    def _commit_group(self, group: Sequence[Any], durable: bool) -> list[Callable[[], object]]:
        return patiently(lambda: super(PostgreSQL, self)._commit_group(group, durable), PATIENCE)

    def _begin(self, durable: bool) -> Transaction:
        self._writer.open()
        try:
            self._writer.script(
                f"BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; "
                f"SET LOCAL synchronous_commit = {'on' if durable else 'local'}; "
                f"SELECT pg_advisory_xact_lock({self._address.lock})"
            )
        except BaseException:
            self._undo()
            raise
        return self._writer

    def _end(self) -> None:
        self._group += 1
        notify = f"NOTIFY {self._address.channel}, '{self._id} {self.rings}'; " if self.rings else ""
        try:
            self._writer.script(
                f"INSERT INTO writers (id, committed, at) VALUES ({self._id}, {self._group}, now()) "
                f"ON CONFLICT (id) DO UPDATE SET committed = excluded.committed, at = excluded.at; {notify}COMMIT"
            )
        except StorageFailed as failure:
            if not failure.retryable or not self._was_committed():
                raise

    def _was_committed(self) -> bool:
        """Whether the last group was committed although nobody said so.

        Raises:
            StorageFailed: nobody can tell now; not ``retryable``, as doing it again could do it twice.
        """

        def look() -> bool:
            self._begin(durable=False)  # behind whatever the lost connection still does
            row = self._writer.execute("SELECT committed FROM writers WHERE id = ?", (self._id,)).fetchone()
            self._undo()
            return row is not None and row[0] == self._group

        try:
            return patiently(look, PATIENCE)
        except StorageFailed as failure:
            failure.message = f"{failure.message}; whether the last change was written is not known"
            failure.retryable = False
            raise

    def _undo(self) -> None:
        try:
            self._writer.script("ROLLBACK")
        except BaseException:  # noqa: BLE001 - a connection in an unknown state is of no use
            self._writer.drop()

    def _close(self) -> None:
        self.wakes.close()
        with suppress(StorageFailed):
            self._writer.execute("DELETE FROM writers WHERE id = ?", (self._id,))
        self._writer.drop()
        with self._reading:
            self._reader.drop()

    def _prepare(self) -> None:
        """Make the schema and the tables of this class, once, whoever comes first."""
        self._begin(durable=True)
        try:
            known = self._writer.execute("SELECT to_regnamespace(?)", (self._address.schema,)).fetchone()
            if known[0] is None:
                self._writer.script(f"CREATE SCHEMA {self._address.schema}")
            self._writer.script(f"{OWN_TABLES}; COMMIT")
        except BaseException:
            self._undo()
            raise
