"""Where a PostgreSQL database is, connections to it, and its failures in our words."""

import hashlib
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, TypeVar
from urllib.parse import parse_qsl, urlencode, urlsplit

import psycopg
from psycopg.adapt import Buffer, Loader
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from bottega.core.errors import InvalidValue, StorageFailed
from bottega.storage.change import Cursor

T = TypeVar("T")

SCHEMA = "bottega"
FIRST_PAUSE, LONGEST_PAUSE = 0.05, 1.0  # seconds between two tries to connect

# A session whose program hangs or whose host is gone gives the writers' lock back by itself; times in milliseconds
# or, for keepalives, seconds.
SESSION = """
SET search_path = {path}; SET lock_timeout = 60000; SET idle_in_transaction_session_timeout = 60000;
SET tcp_keepalives_idle = 10; SET tcp_keepalives_interval = 5; SET tcp_keepalives_count = 3
"""
CLIENT = {
    "application_name": "bottega", "connect_timeout": 10, "client_encoding": "UTF8", "keepalives_idle": 10,
    "keepalives_interval": 5, "keepalives_count": 3, "tcp_user_timeout": 30000,
}  # fmt: skip
# Shut down, crashed, starting up, ended for idling: what a server says before it hangs up (SQLSTATE).
HANGING_UP = ("57P01", "57P02", "57P03", "57P05", "25P03")
LITERAL_OR_MARK = re.compile(r"""'(?:[^']|'')*'|"(?:[^"]|"")*"|\?""")


class _Whole(Loader):
    """Sums of whole numbers come as whole numbers: the tables hold no others."""

    def load(self, data: Buffer) -> int:
        return int(bytes(data))


@dataclass(frozen=True)
class Address:
    """A database and the schema in it that holds our tables; ``extensions`` is one where types are looked for after it."""

    schema: str
    where: str  # as people may see it
    conninfo: str = field(repr=False)  # as libpq takes it; may hold the password
    extensions: str = ""

    @classmethod
    def of(cls, url: str) -> "Address":
        """Read ``postgresql://user@host/database?schema=NAME``; every other option is libpq's.

        Raises:
            InvalidValue: it is no such address. The message does not repeat it, for the password's sake.
        """
        split = urlsplit(url)
        options = dict(parse_qsl(split.query, keep_blank_values=True))
        schema = options.pop("schema", SCHEMA)
        plain = f"{split.scheme}://{split.netloc}{split.path}?{urlencode(options)}"
        remedy = "set BOTTEGA_DATABASE to postgresql://USER@HOST/DATABASE, or leave it empty for SQLite"
        if split.scheme not in ("postgresql", "postgres"):
            raise InvalidValue(
                "it is not the address of a PostgreSQL database", where="database", remedy=remedy
            )
        if not re.fullmatch("[a-z_][a-z0-9_]{0,39}", schema):
            raise InvalidValue(f"'{schema}' is not a name for a schema", where="database", remedy=remedy)
        try:
            parts = conninfo_to_dict(plain)
        except psycopg.ProgrammingError:
            raise InvalidValue("its address cannot be read", where="database", remedy=remedy) from None
        user = f"{parts['user']}@" if parts.get("user") else ""
        port = f":{parts['port']}" if parts.get("port") else ""
        where = f"postgresql://{user}{parts.get('host', '')}{port}/{parts.get('dbname', '')} schema {schema}"
        return cls(schema, where, make_conninfo("", **{**CLIENT, **parts}))

    @property
    def lock(self) -> int:
        """The number of the advisory lock that writers of this schema take: 64 bits, signed."""
        digest = hashlib.sha256(f"bottega:{self.schema}".encode()).digest()
        return int.from_bytes(digest[:8], signed=True)

    @property
    def channel(self) -> str:
        """What writers of this schema notify, quoted."""
        return f'"bottega:{self.schema}"'

    def connect(self) -> "psycopg.Connection[tuple[Any, ...]]":
        """A new connection; every statement is a transaction unless one is begun.

        Raises:
            StorageFailed: it cannot be reached now; ``retryable``.
        """
        try:
            connection = psycopg.connect(self.conninfo, autocommit=True, cursor_factory=psycopg.RawCursor)
        except psycopg.Error as error:
            raise self.failed("cannot be reached", error, lost=True) from error
        connection.adapters.register_loader("numeric", _Whole)
        try:
            path = ", ".join(filter(None, [self.schema, self.extensions]))
            connection.execute(SESSION.format(path=path).encode(), prepare=False)
        except psycopg.Error as error:
            connection.close()
            raise self.failed("cannot be reached", error, lost=True) from error
        return connection

    def failed(self, what: str, error: Exception, *, lost: bool = False) -> StorageFailed:
        """An error in our words; ``retryable`` when the connection was lost and another may do."""
        words = " ".join(str(error).split())
        if password := conninfo_to_dict(self.conninfo).get("password"):
            words = words.replace(str(password), "***")
        remedy = "check that PostgreSQL runs and lets this user in, or set BOTTEGA_DATABASE to another"
        if isinstance(error, psycopg.errors.InsufficientPrivilege):
            remedy = (
                f"let this user create the schema '{self.schema}', or create it and make this user its owner"
            )
        elif isinstance(error, psycopg.errors.DiskFull):
            remedy = (
                "free some space on its host; finished work is safe, and the run goes on where it stopped"
            )
        elif isinstance(error, psycopg.errors.LockNotAvailable):
            remedy = "another process has been writing for a minute; try again when it is done"
        elif isinstance(error, psycopg.errors.ReadOnlySqlTransaction):
            remedy = (
                "it is a standby: give the address of the primary, or add target_session_attrs=read-write"
            )
        failure = StorageFailed(f"the state database {what}: {words}", where=self.where, remedy=remedy)
        failure.retryable = lost
        return failure


class Link:
    """One connection, made when it is opened and made again after it was lost. Used by one thread at a time."""

    def __init__(self, address: Address, does: str) -> None:
        self._address = address
        self._does = does  # for messages: "cannot be read"
        self._connection: psycopg.Connection[tuple[Any, ...]] | None = None

    def open(self) -> None:
        """Connect, unless it is connected.

        Raises:
            StorageFailed: as `Address.connect`.
        """
        if self._connection is None:
            self._connection = self._address.connect()

    def execute(self, query: str, values: Sequence[object] = ()) -> Cursor:
        """Run one statement with ``?`` for values. A link that was lost stays so until it is opened again."""
        return self._run(numbered(query), [_storable(value) for value in values])

    def script(self, statements: str) -> Cursor:
        """Run statements without values, in one message."""
        return self._run(statements.encode(), None)

    def drop(self) -> None:
        """Close the connection, if there is one."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _run(self, query: bytes, values: Sequence[object] | None) -> Cursor:
        if self._connection is None:
            raise self._address.failed(self._does, ConnectionError("the connection was lost"), lost=True)
        try:
            return self._connection.execute(query, values, prepare=None if values is not None else False)
        except psycopg.Error as error:
            lost = self._connection.closed or error.sqlstate in HANGING_UP
            if lost:
                self.drop()
            raise self._address.failed(self._does, error, lost=lost) from error


def patiently(work: Callable[[], T], seconds: float) -> T:
    """Do it, and again each time the connection was lost, until ``seconds`` after the first loss.

    Raises:
        StorageFailed: any other failure, at once, or the last loss.
    """
    until, pause = 0.0, FIRST_PAUSE
    while True:
        try:
            return work()
        except StorageFailed as failure:
            until = until or time.monotonic() + seconds
            if not failure.retryable or time.monotonic() + pause > until:
                raise
        time.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE)


@lru_cache(maxsize=1024)
def numbered(query: str) -> bytes:
    """A query with PostgreSQL's ``$1``, ``$2`` for each ``?`` that is not inside a literal or a quoted name."""
    count = 0

    def mark(found: re.Match[str]) -> str:
        nonlocal count
        if found[0] != "?":
            return found[0]
        count += 1
        return f"${count}"

    return LITERAL_OR_MARK.sub(mark, query).encode()


def _storable(value: object) -> object:
    """Text without NUL, which PostgreSQL does not keep: a mark stands in its place. The journal's own JSON escapes it."""
    return value.replace("\0", "\ufffd") if isinstance(value, str) else value
