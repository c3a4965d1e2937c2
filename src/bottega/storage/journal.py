"""The journal: one append-only list of entries, the truth for runs and the record for auditors."""

import hashlib
import json
import secrets
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from json.encoder import encode_basestring as quoted
from typing import Any, Protocol

from bottega.core.canonical import canonical_text, encoded
from bottega.core.entry import Act, Entry
from bottega.storage.database import Database, Transaction
from bottega.storage.merkle import TILE, leaf_hash, root_of
from bottega.storage.rows import insert

NEVER = 2**62  # a number that no entry reaches
PAGE = 1024  # entries read at once
SALT = 32  # bytes before a sealed detail
# What leases, ends and bills a step: it concerns who waits for a step, and nobody who waits for a run.
OF_STEPS = frozenset(act for act in Act if act.name.startswith("STEP_")) | {
    Act.BUDGET_RESERVED,
    Act.BUDGET_SETTLED,
}

# Entries about a subject: by the index up to the last whole tile, and by looking at those after it.
_IS = "(subject = ? OR (subject >= ? AND subject < ?))"
ABOUT = (
    f"SELECT n, entry FROM journal WHERE n IN (SELECT n FROM subjects WHERE {_IS}) "
    f"UNION ALL SELECT n, entry FROM journal WHERE n >= {TILE} * (SELECT COUNT(*) FROM tiles) AND {_IS}"
)

Detail = Mapping[str, Any]
Fold = Callable[[Transaction, "Line"], None]
Read = Callable[..., list[Any]]


class Seal(Protocol):
    """Keeps content of a data subject under a key that can be destroyed."""

    def close(self, holder: str, plain: bytes) -> bytes:
        """Encrypt for a holder (the pseudonym of a data subject)."""
        ...

    def open(self, holder: str, sealed: bytes) -> bytes | None:
        """Decrypt, or None once the key is destroyed."""
        ...


@dataclass(frozen=True)
class Line:
    """An entry as it is folded: ``detail`` is readable even when the journal holds only a seal over it."""

    n: int
    at: str
    act: Act
    actor: str
    subject: str
    detail: Detail
    cost: Mapping[str, int]
    holder: str = ""


@dataclass
class Journal:
    """Appends entries inside a transaction and folds each into the tables that answer questions.

    Source of the leaf hash and of the tree that `bottega.storage.merkle` builds over it: RFC 6962, section 2.1.
    """

    database: Database
    now: Callable[[], str]
    fold: Fold
    seal: Seal | None = None
    _moment: int = 0

    def moment(self) -> int:
        """A number for a round of work that only this process knows: beyond every earlier one of its, and every entry of its."""
        self._moment += 1
        return self._moment

    def append(
        self,
        transaction: Transaction,
        act: Act,
        subject: str,
        *,
        actor: str,
        detail: Detail | None = None,
        behalf: str = "",
        why: str = "",
        cost: Mapping[str, int] | None = None,
        holder: str = "",
    ) -> int:
        """Write one entry, fold it, and give its number."""
        line = self.note(
            transaction,
            act,
            subject,
            actor=actor,
            detail=detail,
            behalf=behalf,
            why=why,
            cost=cost,
            holder=holder,
        )
        self.fold(transaction, line)
        return line.n

    def note(
        self,
        transaction: Transaction,
        act: Act,
        subject: str,
        *,
        actor: str,
        detail: Detail | None = None,
        behalf: str = "",
        why: str = "",
        cost: Mapping[str, int] | None = None,
        holder: str = "",
    ) -> Line:
        """Write one entry for the caller to fold. Of a holder's detail and reason only a salted hash is in the entry."""
        if holder and self.seal is not None and why:
            detail, why = {**(detail or {}), "why": why}, ""
        text, sealed, body = canonical_text(detail) if detail else "", "", b""
        if detail and holder and self.seal is not None:
            salted = secrets.token_bytes(SALT) + encoded(text)
            text, sealed, body = "", commitment(salted), self.seal.close(holder, salted)
        spent = canonical_text(dict(cost)) if cost else ""
        n, at = self.inscribe(
            transaction,
            act,
            subject,
            actor=actor,
            detail=text,
            behalf=behalf,
            why=why,
            cost=spent,
            sealed=sealed,
        )
        if sealed:
            transaction.execute("INSERT INTO sealed (n, holder, body) VALUES (?, ?, ?)", (n, holder, body))
        return Line(n, at, act, actor, subject, detail or {}, cost or {}, holder)

    def inscribe(
        self,
        transaction: Transaction,
        act: Act,
        subject: str,
        *,
        actor: str,
        detail: str = "",
        behalf: str = "",
        why: str = "",
        cost: str = "",
        sealed: str = "",
        rows: "list[tuple[object, ...]] | None" = None,
    ) -> tuple[int, str]:
        """Write one entry, of which ``detail`` and ``cost`` are canonical JSON already; gives its number and time.

        With ``rows`` it is left there for `keep`, which is called before the transaction ends.
        """
        last: tuple[int, str] | None = self.database.tail
        if last is None:
            last = transaction.execute("SELECT n, at FROM journal ORDER BY n DESC LIMIT 1").fetchone()
        n, at = (0, self.now()) if last is None else (last[0] + 1, max(self.now(), last[1]))
        self.database.tail = n, at
        self._moment = max(self._moment, n)
        text = (  # the members of an `Entry` in canonical order
            f'{{"act":"{act.value}","actor":{quoted(actor)},"at":{quoted(at)}'
            + (f',"behalf":{quoted(behalf)}' if behalf else "")
            + (f',"cost":{cost}' if cost else "")
            + (f',"detail":{detail}' if detail else "")
            + f',"n":{n}'
            + (f',"sealed":{quoted(sealed)}' if sealed else "")
            + f',"subject":{quoted(subject)}'
            + (f',"why":{quoted(why)}}}' if why else "}")
        )
        row = (n, at, subject, text, leaf_hash(encoded(text)))
        whole = n % TILE == TILE - 1
        if rows is not None:
            rows.append(row)
        if rows is None or whole:
            self.keep(transaction, [row] if rows is None else rows)
        if whole:
            self._tile(transaction, n // TILE)
        if act not in OF_STEPS:
            self.database.rings = "all"
        elif not self.database.rings:
            self.database.rings = "steps"
        return n, at

    def keep(self, transaction: Transaction, rows: "list[tuple[object, ...]]") -> None:
        """Write what `inscribe` has left in a list, and empty it."""
        insert(transaction, "journal (n, at, subject, entry, leaf)", rows)
        rows.clear()

    def write(self, act: Act, subject: str, *, durable: bool = False, **more: Any) -> int:
        """One entry in a transaction of its own."""
        return self.database.write(
            lambda transaction: self.append(transaction, act, subject, **more), durable=durable
        )

    def size(self) -> int:
        """How many entries there are."""
        return self.database.rows("SELECT COALESCE(MAX(n) + 1, 0) FROM journal")[0][0]

    def since(self, moment: str) -> int:
        """The number of the first entry at a moment or after it; times never go back."""

        def at(n: int) -> str:
            return self.database.rows("SELECT at FROM journal WHERE n >= ? ORDER BY n LIMIT 1", n)[0][0]

        return bisect_left(range(self.size()), moment, key=at)

    def indexed(self) -> int:
        """How many of the first entries are in the index of subjects."""
        return TILE * self.database.rows("SELECT COUNT(*) FROM tiles")[0][0]

    def entries(self, start: int, end: int) -> Iterator[tuple[int, bytes, bytes]]:
        """Number, canonical JSON and stored leaf hash of the entries from ``start`` to before ``end``."""
        for first in range(start, end, PAGE):
            rows = self.database.rows(
                "SELECT n, entry, leaf FROM journal WHERE n >= ? AND n < ? ORDER BY n",
                first,
                min(first + PAGE, end),
            )
            for n, text, leaf in rows:
                yield n, text.encode(), bytes(leaf)

    def leaves(self, start: int, end: int) -> list[bytes]:
        """Leaf hashes of a range."""
        rows = self.database.rows("SELECT leaf FROM journal WHERE n >= ? AND n < ? ORDER BY n", start, end)
        return [bytes(leaf) for (leaf,) in rows]

    def tile(self, index: int) -> bytes | None:
        """The stored root over leaves ``index * 256`` to ``index * 256 + 255``, once they are complete."""
        rows = self.database.rows("SELECT root FROM tiles WHERE i = ?", index)
        return bytes(rows[0][0]) if rows else None

    def about(self, subject: str = "", *, last: int = NEVER) -> list[Entry]:
        """Entries about a subject and what is under it (``run/ID`` and ``run/ID/...``), or all, oldest first.

        ``last`` gives only so many of the newest.
        """
        if subject:
            rows = self.database.rows(f"{ABOUT} ORDER BY n DESC LIMIT ?", *_under(subject), last)
        else:
            rows = self.database.rows("SELECT n, entry FROM journal ORDER BY n DESC LIMIT ?", last)
        return [Entry.model_validate_json(text) for _, text in reversed(rows)]

    def names(self, subject: str, actor: str) -> bool:
        """Whether an entry about a subject, or what is under it, tells of somebody as its actor or on whose behalf it was."""
        written = quoted(actor)
        rows = self.database.rows(ABOUT, *_under(subject))
        found = (Entry.model_validate_json(text) for _, text in rows if written in text)
        return any(actor in (entry.actor, entry.behalf) for entry in found)

    def numbers(self, transaction: Transaction, subject: str, last: int) -> list[int]:
        """The numbers of the newest entries about a subject and what is under it, in order."""
        rows = transaction.execute(f"{ABOUT} ORDER BY n DESC LIMIT ?", (*_under(subject), last)).fetchall()
        return [n for n, _ in reversed(rows)]

    def detail(self, entry: Entry) -> tuple[Detail, str]:
        """The detail of an entry, opened if it is sealed, and its holder. Empty once the holder's key is destroyed."""
        if not entry.sealed:
            return entry.detail, ""
        salted, holder = self.unsealed(entry.n)
        return (json.loads(salted[SALT:]) if salted else {}), holder

    def unsealed(self, n: int) -> tuple[bytes | None, str]:
        """The salted detail of a sealed entry, or None once the key is destroyed, and its holder."""
        rows = self.database.rows("SELECT holder, body FROM sealed WHERE n = ?", n)
        if not rows or self.seal is None:
            return None, rows[0][0] if rows else ""
        return self.seal.open(rows[0][0], bytes(rows[0][1])), rows[0][0]

    def replay(
        self, transaction: Transaction, start: int = 0, end: int = NEVER, read: Read | None = None
    ) -> None:
        """Fold entries again, all of them or those from ``start`` to before ``end``.

        What can no longer be opened is left out, as its erasure left it.

        Args:
            transaction: where they are folded.
            start: first number.
            end: number after the last.
            read: gives rows of the journal; default: as the transaction sees them.
        """

        def seen(query: str, *values: object) -> list[Any]:
            return transaction.execute(query, values).fetchall()

        while rows := (read or seen)(
            "SELECT j.n, j.entry, s.holder, s.body FROM journal j LEFT JOIN sealed s ON s.n = j.n "
            "WHERE j.n >= ? AND j.n < ? ORDER BY j.n LIMIT ?",
            start,
            end,
            PAGE,
        ):
            start = rows[-1][0] + 1
            for _, text, holder, body in rows:
                entry = Entry.model_validate_json(text)
                detail: Detail = entry.detail
                if entry.sealed:
                    salted = self.seal.open(holder, bytes(body)) if body and self.seal else None
                    if salted is None:
                        continue
                    detail = json.loads(salted[SALT:])
                line = Line(
                    entry.n, entry.at, entry.act, entry.actor, entry.subject, detail, entry.cost, holder or ""
                )
                self.fold(transaction, line)

    def _tile(self, transaction: Transaction, index: int) -> None:
        rows = transaction.execute(
            "SELECT leaf FROM journal WHERE n >= ? AND n < ? ORDER BY n", (index * TILE, (index + 1) * TILE)
        ).fetchall()
        root = root_of([bytes(leaf) for (leaf,) in rows])
        transaction.execute("INSERT INTO tiles (i, root) VALUES (?, ?)", (index, root))
        transaction.execute(
            "INSERT INTO subjects (subject, n) SELECT subject, n FROM journal WHERE n >= ? AND n < ? ORDER BY subject, n",
            (index * TILE, (index + 1) * TILE),
        )


def _under(subject: str) -> tuple[str, ...]:
    under = (subject, f"{subject}/", f"{subject}0")  # the character after "/"
    return under * 2


def commitment(salted: bytes) -> str:
    """What a sealed entry shows of its detail: SHA-256 over a secret salt and the detail's canonical JSON."""
    return hashlib.sha256(salted).hexdigest()
