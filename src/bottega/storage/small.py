"""Small artifacts in the database, durable in order with the entries that name them; no sync, and no commit, of their own."""

import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from bottega.storage.database import Database, Transaction
from bottega.storage.disk import appearing, disk
from bottega.storage.objects import Objects, Stored, checked

SMALL = 4096  # bytes; two thirds of what a run makes are larger, and most of its files are smaller
FRESH = 600  # seconds for which a renewal need not be written again


class SmallObjects(Objects):
    """Blobs of at most `SMALL` bytes as rows, the others where ``inner`` keeps them."""

    light = SMALL

    def __init__(self, database: Database, inner: Objects) -> None:
        self._database = database
        self.inner = inner
        self.where = inner.where
        self.staging = inner.staging
        self._coming: dict[str, bytes] = {}  # with the next commit

    def put_bytes(self, name: str, data: bytes) -> None:
        """A row, if they are few; durable with the next entry that is."""
        if len(data) > SMALL:
            return self.inner.put_bytes(name, data)
        self._insert(checked(name), data)

    def along(self, name: str, data: bytes) -> None:
        """A row of the next commit."""
        self._coming[checked(name)] = data
        self._database.along(_kept(name, data), partial(self._coming.pop, name, None))

    def put(self, name: str, source: Path) -> None:
        """A row or a file."""
        if source.stat().st_size > SMALL:
            return self.inner.put(name, source)
        self._insert(checked(name), source.read_bytes())
        source.unlink()

    def read(self, name: str) -> bytes | None:
        """The bytes, if they are a row, or will be."""
        if (coming := self._coming.get(name)) is not None:
            return coming
        rows = self._database.rows_at_hand("SELECT body FROM small WHERE name = ?", checked(name))
        return bytes(rows[0][0]) if rows else None

    def fetch(self, name: str, target: Path) -> None:
        """Write them to a file."""
        data = self.read(name)
        if data is None:
            return self.inner.fetch(name, target)
        with disk(target.parent), appearing(target) as made:
            made.write_bytes(data)

    def size(self, name: str) -> int | None:
        """Bytes of the row or file."""
        if (coming := self._coming.get(name)) is not None:
            return len(coming)
        rows = self._database.rows("SELECT LENGTH(body) FROM small WHERE name = ?", checked(name))
        return rows[0][0] if rows else self.inner.size(name)

    def renew(self, name: str, size: int) -> bool:
        """Note the time in the row, now and then."""
        if size > SMALL:
            return self.inner.renew(name, size)
        rows = self._database.rows("SELECT LENGTH(body), kept_at FROM small WHERE name = ?", checked(name))
        if not rows or rows[0][0] != size:
            # A file of an earlier release; without one there is nothing to renew, which is the common case.
            return self.inner.size(name) is not None and self.inner.renew(name, size)
        if time.time() - rows[0][1] < FRESH:
            return True
        return self._database.write(lambda transaction: _renewed(transaction, name), durable=True)

    def delete(self, name: str, *, older_than: float | None = None) -> bool:
        """Remove the row, or the file."""
        limit = float("inf") if older_than is None else older_than

        def work(transaction: Transaction) -> bool:
            row = transaction.execute("SELECT kept_at FROM small WHERE name = ?", (name,)).fetchone()
            if row is None or row[0] >= limit:
                return False
            return transaction.execute("DELETE FROM small WHERE name = ?", (name,)).rowcount > 0

        return self._database.write(work) or self.inner.delete(name, older_than=older_than)

    def list(self) -> Iterator[Stored]:
        """Rows, then files."""
        for name, size, kept_at in self._database.rows("SELECT name, LENGTH(body), kept_at FROM small"):
            yield Stored(name, size, float(kept_at))
        yield from self.inner.list()

    def local(self, name: str) -> Path | None:
        """The file, if it is one and lies on this disk."""
        return self.inner.local(name)

    def _insert(self, name: str, data: bytes) -> None:
        self._database.write(_kept(name, data))


def _kept(name: str, data: bytes) -> Callable[[Transaction], int]:
    return lambda transaction: (
        transaction.execute(
            "INSERT INTO small (name, kept_at, body) VALUES (?, ?, ?) "
            "ON CONFLICT (name) DO UPDATE SET kept_at = excluded.kept_at",
            (name, int(time.time()), data),
        ).rowcount
    )


def _renewed(transaction: Transaction, name: str) -> bool:
    query = "UPDATE small SET kept_at = ? WHERE name = ?"
    return transaction.execute(query, (int(time.time()), name)).rowcount > 0
