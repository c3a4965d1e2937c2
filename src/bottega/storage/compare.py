"""Holds the tables against the journal: it is folded once more beside them, and every row is compared."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from bottega.core.canonical import digest_bytes
from bottega.core.entry import Entry
from bottega.core.errors import BottegaError
from bottega.storage import schema
from bottega.storage.contents import REFERRED, Contents
from bottega.storage.database import Transaction
from bottega.storage.journal import PAGE, Journal, commitment
from bottega.storage.merkle import TILE

CATCH_UP = 1000  # entries that may be folded while nobody else writes
MOST = 20  # differences that are named


@dataclass(frozen=True)
class Difference:
    """One row that is not as the journal says."""

    table: str
    row: str
    what: str

    def __str__(self) -> str:
        return f"table '{self.table}', {self.row}: {self.what}"


@dataclass(frozen=True)
class Compared:
    """What was looked at, and the first `MOST` differences."""

    rows: int
    documents: int
    sealed: int  # sealed details that were opened and fit
    erased: int  # sealed details of which only the hash is left
    differences: tuple[Difference, ...]


def compare(journal: Journal, contents: Contents) -> Compared:
    """Compare tables, documents and sealed details with the journal; changes nothing.

    The journal is folded into tables of our own in memory, because they may hold what is sealed. Others write on meanwhile,
    except at the end, when the last entries are folded and the rows are read.
    """
    database = journal.database
    with closing(_beside()) as beside:
        done = 0

        def fold(until: int) -> list[Difference]:
            try:
                journal.replay(beside, done, until, database.rows)
            except (sqlite3.Error, BottegaError, ValueError, KeyError) as error:
                return [Difference("journal", f"entries {done} to {until - 1}", f"cannot be folded: {error}")]
            return []

        broken: list[Difference] = []
        while not broken and (size := journal.size()) - done > CATCH_UP:
            broken = fold(size)
            done = size
        documents, sealed, erased = [0], [0], [0]
        found = [
            *_documents(journal, contents, documents),
            *_details(journal, sealed, erased),
            *_columns(journal),
        ]

        def work(transaction: Transaction) -> Compared:
            rows = [0]
            faults = broken or fold(journal.size()) or [*_tables(beside, transaction, rows)]
            named = [*faults, *_missing(transaction), *_subjects(transaction), *found]
            return Compared(rows[0], documents[0], sealed[0], erased[0], tuple(named[:MOST]))

        return database.write(work)


def _beside() -> sqlite3.Connection:
    """Empty tables; whichever thread commits reads them."""
    beside = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    for statement in schema.statements(
        schema.FOLDED, integer="INTEGER", bytes_="BLOB", strict="STRICT", keyed=""
    ):
        beside.execute(statement)
    beside.execute("BEGIN")
    return beside


def _tables(beside: sqlite3.Connection, transaction: Transaction, count: list[int]) -> Iterator[Difference]:
    for table in schema.FOLDED_TABLES:
        info = beside.execute(f"PRAGMA table_info({table})").fetchall()
        columns = [row[1] for row in info]
        keys = [row[1] for row in sorted(info, key=lambda row: row[5]) if row[5]]
        look_up = (
            f"SELECT {', '.join(columns)} FROM {table} WHERE {' AND '.join(f'{key} = ?' for key in keys)}"
        )
        known = 0
        for row in transaction.execute(f"SELECT {', '.join(columns)} FROM {table}").fetchall():
            count[0] += 1
            is_ = dict(zip(columns, row, strict=True))
            said = beside.execute(look_up, [is_[key] for key in keys]).fetchone()
            if said is None:
                yield Difference(table, _row(keys, is_), "the journal knows nothing of it")
                continue
            known += 1
            differ = [
                f"{name} is {one!r}, by the journal {other!r}"
                for (name, one), other in zip(is_.items(), said, strict=True)
                if one != other
            ]
            if differ:
                yield Difference(table, _row(keys, is_), "; ".join(differ))
        if known == beside.execute(f"SELECT COUNT(*) FROM {table}").fetchone()[0]:
            continue
        for row in beside.execute(f"SELECT {', '.join(columns)} FROM {table}"):
            should = dict(zip(columns, row, strict=True))
            if transaction.execute(look_up, [should[key] for key in keys]).fetchone() is None:
                yield Difference(table, _row(keys, should), "it is missing; the journal made it")


def _documents(journal: Journal, contents: Contents, count: list[int]) -> Iterator[Difference]:
    """Whether every document has the hash that it is kept under."""
    last = ("", "")
    while page := journal.database.rows(
        "SELECT digest, holder, body FROM contents WHERE (digest, holder) > (?, ?) ORDER BY digest, holder LIMIT ?",
        *last,
        PAGE,
    ):
        for digest, holder, body in page:
            count[0] += 1
            try:
                plain = contents.read(body, holder=holder)
            except BottegaError as error:
                yield Difference("contents", f"digest {digest}", error.message)
                continue
            if plain is not None and digest_bytes(plain) != digest:
                yield Difference("contents", f"digest {digest}", f"it hashes to {digest_bytes(plain)}")
        last = page[-1][:2]


def _missing(transaction: Transaction) -> Iterator[Difference]:
    rows = transaction.execute(
        f"SELECT kept, holder FROM ({REFERRED}) AS r WHERE NOT EXISTS "
        "(SELECT 1 FROM contents AS c WHERE c.digest = r.kept AND c.holder = r.holder)"
    ).fetchall()
    for digest, _ in rows:
        yield Difference("contents", f"digest {digest}", "it is missing; an entry refers to it")


def _subjects(transaction: Transaction) -> Iterator[Difference]:
    """Whether the index of subjects names each entry of the whole tiles, and only these, under its own subject."""
    (tiles,) = transaction.execute("SELECT COUNT(*) FROM tiles").fetchone()
    for n, is_, should in transaction.execute(
        "SELECT s.n, s.subject, j.subject FROM subjects s LEFT JOIN journal j ON j.n = s.n "
        "WHERE j.subject IS NULL OR j.subject <> s.subject OR s.n >= ? LIMIT ?",
        (TILE * tiles, MOST),
    ).fetchall():
        yield Difference("subjects", f"n {n}", f"subject is {is_!r}, by the journal {should!r}")
    for (n,) in transaction.execute(
        "SELECT n FROM journal WHERE n < ? AND n NOT IN (SELECT n FROM subjects) LIMIT ?",
        (TILE * tiles, MOST),
    ).fetchall():
        yield Difference("subjects", f"n {n}", "it is missing; the journal has it")


def _columns(journal: Journal) -> Iterator[Difference]:
    """Whether what entries are looked up by is what they say."""
    for first in range(0, journal.size(), PAGE):
        for n, at, subject, text in journal.database.rows(
            "SELECT n, at, subject, entry FROM journal WHERE n >= ? AND n < ?", first, first + PAGE
        ):
            try:
                entry = json.loads(text)
            except ValueError as error:
                yield Difference("journal", f"n {n}", str(error))
                continue
            if (entry.get("at"), entry.get("subject")) != (at, subject):
                yield Difference("journal", f"n {n}", f"is kept as one about {subject!r} at {at}")


def _details(journal: Journal, sealed: list[int], erased: list[int]) -> Iterator[Difference]:
    """Whether what sealed entries commit to is what is kept for them."""
    for n, text, _ in journal.entries(0, journal.size()):
        if b'"sealed":' not in text:
            continue
        try:
            entry = Entry.model_validate_json(text)
            salted = journal.unsealed(n)[0]
        except (BottegaError, ValueError) as error:
            yield Difference("sealed", f"n {n}", str(error))
            continue
        if salted is None:
            erased[0] += 1
        elif commitment(salted) != entry.sealed:
            yield Difference("sealed", f"n {n}", "it is not what its entry commits to")
        else:
            sealed[0] += 1


def _row(keys: list[str], values: dict[str, Any]) -> str:
    return ", ".join(f"{key} {values[key]}" for key in keys)
