"""Documents that entries of the journal refer to by digest: plans and results, small JSON beside the journal."""

from collections.abc import Iterable

from bottega.core.canonical import digest_bytes
from bottega.core.errors import NotFound
from bottega.storage.database import Database, Transaction
from bottega.storage.journal import Seal

# The digests that the tables refer to, and whose documents they are; a condition on the digest follows.
_REFERRED = (
    "SELECT kept, holder FROM runs WHERE kept",
    "SELECT result, holder FROM steps WHERE result",
    "SELECT result, holder FROM results WHERE result",
    "SELECT ticket, holder FROM tickets WHERE ticket",
    "SELECT d.decision, t.holder FROM decisions d JOIN tickets t ON t.id = d.ticket_id WHERE d.decision",
)
REFERRED = " UNION ".join(f"{query} <> ''" for query in _REFERRED)

AT_ONCE = 500  # digests that one statement asks for


def referred(transaction: Transaction, digests: Iterable[str]) -> set[tuple[str, str]]:
    """Those digests that the tables refer to, with the holders of their documents."""
    wanted, found = [*digests], set[tuple[str, str]]()
    for start in range(0, len(wanted), AT_ONCE):
        some = wanted[start : start + AT_ONCE]
        query = " UNION ALL ".join(f"{query} IN ({', '.join('?' * len(some))})" for query in _REFERRED)
        rows = transaction.execute(query, some * len(_REFERRED)).fetchall()
        found |= {(digest, holder) for digest, holder in rows}
    return found


class Contents:
    """Small immutable documents by their SHA-256; those of a data subject are kept under its key."""

    def __init__(self, database: Database, seal: Seal | None = None) -> None:
        self._database = database
        self._seal = seal

    def keep(self, transaction: Transaction, body: bytes, *, holder: str = "", name: str = "") -> str:
        """Keep a document, in the caller's transaction, and give its digest, which is ``name`` if that is known."""
        name = name or digest_bytes(body)
        stored = self._seal.close(holder, body) if holder and self._seal else body
        transaction.execute(
            "INSERT INTO contents (digest, holder, body) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
            (name, holder, stored),
        )
        return name

    def find(self, transaction: Transaction, name: str, *, holder: str = "") -> bytes | None:
        """A document as the transaction sees it, or None."""
        row = transaction.execute(
            "SELECT body FROM contents WHERE digest = ? AND holder = ?", (name, holder)
        ).fetchone()
        return self.read(row[0], holder=holder) if row else None

    def get(self, name: str, *, holder: str = "") -> bytes:
        """A document.

        Raises:
            NotFound: it is not kept here, or its data subject was erased.
        """
        rows = self._database.rows("SELECT body FROM contents WHERE digest = ? AND holder = ?", name, holder)
        body = self.read(rows[0][0], holder=holder) if rows else None
        if body is None:
            raise NotFound(
                f"the document {name[:12]} is not kept here", remedy="its data may have been erased"
            )
        return body

    def read(self, stored: bytes, *, holder: str = "") -> bytes | None:
        """The plain form of a stored document, or None once its key is destroyed."""
        return self._seal.open(holder, bytes(stored)) if holder and self._seal else bytes(stored)
