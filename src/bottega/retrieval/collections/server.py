"""Collections in PostgreSQL with pgvector: one schema for each, which the processes of several hosts share."""

import hashlib
import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any

from bottega.core.errors import StorageFailed
from bottega.retrieval.collections.schema import ADDED, TABLES, VERSION
from bottega.retrieval.collections.tables import Tables
from bottega.storage.database import Transaction
from bottega.storage.postgres_link import Address, Link, patiently

PATIENCE = 60.0  # seconds that a read waits for a server that went away
OPENING = 5.0  # seconds that opening waits for one that is starting
NAMES = 'CREATE TABLE IF NOT EXISTS collections (name TEXT COLLATE "C" PRIMARY KEY, schema TEXT NOT NULL)'
FORGET = """
CREATE OR REPLACE FUNCTION forget() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN UPDATE turns SET said = '[]', asked = '', outcome = 'forgotten' WHERE id = OLD.turn; RETURN NULL; END $$;
CREATE OR REPLACE TRIGGER forget AFTER DELETE ON rests_on FOR EACH ROW EXECUTE FUNCTION forget()
"""


class Server:
    """A PostgreSQL database (14 or later) with the extension ``vector``; ``url`` as for the state's database.

    Raises:
        InvalidValue: it is not the address of a PostgreSQL database.
    """

    def __init__(self, url: str) -> None:
        self._address = Address.of(url)
        self._lock = threading.Lock()
        self._link = Link(self._address, "refused a change")
        self._known = False

    def names(self) -> dict[str, str]:
        """Every collection, with the schema that holds it."""

        def read() -> dict[str, str]:
            return dict(self._opened().execute("SELECT name, schema FROM collections").fetchall())

        with self._lock:
            return patiently(read, OPENING)

    def tables(self, name: str) -> "ServerTables":
        """The tables of a collection, made when there are none.

        Raises:
            StorageFailed: the server cannot be reached, has no pgvector, or holds tables of a later version.
        """
        schema = f"{self._address.schema[:22]}_{hashlib.sha256(name.encode()).hexdigest()[:16]}"
        if name not in self.names():
            with self._lock:
                patiently(lambda: self._make(name, schema), OPENING)
        return ServerTables(replace(self._address, schema=schema, extensions=self._extensions()))

    def drop(self, name: str) -> None:
        """Remove a collection, with all that stands in it."""
        schema = self.names().get(name)
        if schema is None:
            return
        with self._lock:
            link = self._opened()
            try:
                link.script(f"BEGIN; DROP SCHEMA IF EXISTS {schema} CASCADE")
                link.execute("DELETE FROM collections WHERE name = ?", (name,))
                link.script("COMMIT")
            except BaseException:
                link.drop()  # and the server undoes what was begun
                raise

    @contextmanager
    def writing(self, name: str, work: str = "writing") -> Generator[bool]:
        """Be the one at this work on a collection on all hosts, or learn at once that somebody else is.

        The server gives the turn back when this session ends: at once when its process is killed, within half a minute
        when its host is gone.
        """
        what = f"bottega:{self._address.schema}:{name}" + ("" if work == "writing" else f":{work}")
        turn = int.from_bytes(hashlib.sha256(what.encode()).digest()[:8], signed=True)
        link = Link(self._address, "refused a change")
        held = False
        try:
            patiently(link.open, OPENING)
            held = bool(link.execute("SELECT pg_try_advisory_lock(?)", (turn,)).fetchone()[0])
            yield held
        finally:
            if held:  # a server may see late that a session has ended, and would send the next writer away until then
                with suppress(StorageFailed):
                    link.execute("SELECT pg_advisory_unlock(?)", (turn,))
            link.drop()

    def close(self) -> None:
        """Close the connection."""
        with self._lock:
            self._link.drop()

    def _opened(self) -> Link:
        self._link.open()
        if not self._known:
            self._link.script(f"CREATE SCHEMA IF NOT EXISTS {self._address.schema}; {NAMES}")
            self._known = True
        return self._link

    def _extensions(self) -> str:
        """The schema of pgvector."""
        query = (
            "SELECT nspname FROM pg_extension JOIN pg_namespace n ON n.oid = extnamespace "
            "WHERE extname = 'vector'"
        )
        with self._lock:
            link = self._opened()
            if not (found := link.execute(query).fetchone()):
                try:
                    link.script("CREATE EXTENSION IF NOT EXISTS vector")
                except StorageFailed as failure:
                    failure.remedy = (
                        "install pgvector on its host and run CREATE EXTENSION vector there, or leave BOTTEGA_COLLECTIONS "
                        "empty for files"
                    )
                    raise
                found = link.execute(query).fetchone()
            return str(found[0])

    def _make(self, name: str, schema: str) -> None:
        self._opened().script(f"CREATE SCHEMA IF NOT EXISTS {schema}")
        self._link.execute("INSERT INTO collections VALUES (?, ?) ON CONFLICT DO NOTHING", (name, schema))


class ServerTables(Tables):
    """One connection to the schema of one collection."""

    shared = True

    def __init__(self, address: Address) -> None:
        self._lock = threading.RLock()
        self._link = Link(address, "cannot be used")
        self._within = False
        patiently(self._link.open, OPENING)
        with self.transaction() as db:
            self._link.script(f"SELECT pg_advisory_xact_lock({address.lock})")  # two may come at once
            if self.rows("SELECT to_regclass(?)", f"{address.schema}.tables_version")[0][0] is None:
                self._link.script(f"{in_postgres(TABLES)}; {FORGET}")
                self._link.script("CREATE TABLE tables_version (version BIGINT NOT NULL)")
                db.execute("INSERT INTO tables_version VALUES (?)", (VERSION,))
            version = self.rows("SELECT version FROM tables_version")[0][0]
            if version < VERSION:
                self._link.script(in_postgres(TABLES))
                for statement in ADDED.values():
                    self._link.script(
                        in_postgres(statement).replace("ADD COLUMN", "ADD COLUMN IF NOT EXISTS")
                    )
                self._link.script(f"DELETE FROM answers; UPDATE tables_version SET version = {VERSION}")
        if version > VERSION:
            self.close()
            raise StorageFailed(
                f"this collection was written by a later version of Bottega (format {version})",
                where=address.where,
                remedy="upgrade Bottega",
            )

    @contextmanager
    def transaction(self, *, durable: bool = True) -> Generator[Transaction]:
        """All or nothing. What is not durable may be lost when the server crashes, and nothing before it without it."""
        with self._lock:
            self._link.open()
            self._link.script(f"BEGIN; SET LOCAL synchronous_commit = {'on' if durable else 'off'}")
            self._within = True
            try:
                yield self._link
                self._link.script("COMMIT")
            except BaseException:
                try:
                    self._link.script("ROLLBACK")
                except StorageFailed:
                    self._link.drop()
                raise
            finally:
                self._within = False

    def rows(self, query: str, *values: object) -> list[Any]:
        """All rows of a query; asked again when the connection was lost, unless a transaction was lost with it."""

        def read() -> list[Any]:
            self._link.open()
            return self._link.execute(query, values).fetchall()

        with self._lock:
            return self._link.execute(query, values).fetchall() if self._within else patiently(read, PATIENCE)

    def replaced(self) -> bool:
        """Whether there are no tables any more."""
        return self.rows("SELECT to_regclass('state')")[0][0] is None

    def scrub(self) -> None:
        """Have the server clear away what was deleted.

        Not covered: bytes on its pages until it uses them again, its write-ahead log and its archive.
        """
        with self._lock:
            self._link.open()
            for table in ("documents", "passages", "vectors", "answers", "turns"):
                self._link.script(f"VACUUM {table}")

    def close(self) -> None:
        """Close the connection."""
        with self._lock:
            self._link.drop()


def in_postgres(tables: str) -> str:
    """The tables of a collection in PostgreSQL's words; what stands for a vector is the vector."""
    made = tables.partition("CREATE TRIGGER")[0]
    for ours, theirs in (
        ("INTEGER PRIMARY KEY AUTOINCREMENT", "BIGINT GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY"),
        (" STRICT, WITHOUT ROWID", ""),
        (" STRICT", ""),
        ('"row" INTEGER', '"row" vector'),
        (" INTEGER", " BIGINT"),
        (" TEXT", ' TEXT COLLATE "C"'),
    ):
        made = made.replace(ours, theirs)
    return made
