"""What a collection knows, in one SQLite file; everything else can be made again from it."""

import json
import sqlite3
import threading
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bottega.core.errors import StorageFailed
from bottega.core.passage import Passage
from bottega.retrieval.collections.files import MEMBER
from bottega.retrieval.collections.schema import ADDED, TABLES, VERSION

FILE = "collection.sqlite"
BUSY = 30.0  # seconds
FIELDS = (
    "id", "place", "name", "digest", "media_type", "size", "labels", "state", "error", "remedy", "notes", "pages"
)  # fmt: skip
Labels = frozenset[str]


@dataclass(frozen=True)
class DocumentRow:
    """A document as the collection knows it. ``state`` is ``indexed`` or ``skipped``, then ``error`` says why."""

    id: int
    place: str
    name: str
    digest: str
    media_type: str
    size: int
    labels: Labels
    state: str
    error: str
    remedy: str
    notes: tuple[str, ...]
    pages: int


@dataclass(frozen=True)
class Piece:
    """A passage on its way in: its language, its analyser, and the row of its vector, if it has one."""

    passage: Passage
    language: str
    analyser: str
    row: int = -1


class Store:
    """One connection: one writer at a time holds the collection's lock, readers never wait.

    Raises:
        StorageFailed: the file cannot be opened, is damaged, or is from a later version.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._path = folder / FILE
        self._lock = threading.RLock()
        with self._failing("cannot be opened"):
            folder.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(
                self._path, timeout=BUSY, isolation_level=None, check_same_thread=False
            )
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
    def transaction(self, *, durable: bool = True) -> Generator[sqlite3.Connection]:
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
        """All rows of a query, as committed."""
        with self._lock, self._failing("cannot be read"):
            return self._db.execute(query, values).fetchall()

    def scrub(self) -> None:
        """Empty the write-ahead log, where what was erased may still stand, unless somebody is reading just now."""
        self.rows("PRAGMA wal_checkpoint(TRUNCATE)")

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()

    @property
    def generation(self) -> int:
        """Counts changes of what can be found; whatever was worked out from a collection is good for one of them."""
        return int(self.rows("SELECT generation FROM state")[0][0])

    # documents

    def documents(self, where: str = "state <> 'partial'", *values: object) -> list[DocumentRow]:
        """Documents, by name."""
        rows = self.rows(
            f"SELECT {', '.join(FIELDS)} FROM documents WHERE {where} ORDER BY name",
            *values,
        )
        return [DocumentRow(**{**dict(zip(FIELDS, row, strict=True)), **_parsed(row)}) for row in rows]

    def at(self, place: str) -> DocumentRow | None:
        """The document read from this place."""
        return next(iter(self.documents("place = ?", place)), None)

    def free_name(self, wanted: str, place: str, labels: Labels) -> str:
        """``wanted``, or the place when another document with these labels has that name."""
        taken = self.rows(
            "SELECT 1 FROM documents WHERE name = ? AND labels = ? AND place <> ?",
            wanted,
            _json(labels),
            place,
        )
        return place if taken else wanted

    def begin(self, digest: str, media_type: str, size: int, labels: Labels) -> int:
        """A document that is being read: nobody finds it, and after a kill it is thrown away."""
        with self.transaction(durable=False) as db:
            found = db.execute(
                "INSERT INTO documents (digest, media_type, size, labels, state) VALUES (?, ?, ?, ?, 'partial')",
                (digest, media_type, size, _json(labels)),
            ).lastrowid
            assert found is not None
            return found

    def add(self, document: int, pieces: Sequence[Piece], labels: Labels, space: int | None = None) -> None:
        """Passages of a document that is being read; ``space`` is where their vectors lie."""
        with self.transaction(durable=False) as db:
            for piece in pieces:
                one = piece.passage
                passage = db.execute(
                    'INSERT INTO passages (document, n, page, start, "end", heading, language, shelf, text, boxes) '
                    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    (
                        document, int(one.id.rpartition("#")[2]), one.page, one.start, one.end, one.heading,
                        piece.language, _shelf(db, labels, piece.analyser), one.text,
                        json.dumps(one.boxes, separators=(",", ":")) if one.boxes else "",
                    ),
                ).lastrowid  # fmt: skip
                if space is not None:
                    db.execute("INSERT INTO vectors VALUES (?, ?, ?)", (space, passage, piece.row))
            if space is not None and pieces:
                db.execute("UPDATE spaces SET rows = ? WHERE id = ?", (pieces[-1].row + 1, space))

    def finish(self, document: int, place: str, name: str, pages: int, notes: Sequence[str]) -> list[int]:
        """Acknowledge a document: in one step it is there, and what stood at its place is gone.

        Gives the vector rows of what is gone.
        """
        with self.transaction() as db:
            generation = _next(db)
            old = [id_ for (id_,) in db.execute("SELECT id FROM documents WHERE place = ?", (place,))]
            freed = _remove(db, old, generation)
            db.execute(
                "UPDATE documents SET place = ?, name = ?, pages = ?, notes = ?, state = 'indexed', generation = ? "
                "WHERE id = ?",
                (place, name, pages, json.dumps(list(notes)), generation, document),
            )
            return freed

    def skip(
        self, place: str, name: str, digest: str, media_type: str, size: int, error: str, remedy: str
    ) -> None:
        """Note why a file cannot be indexed, unless an earlier state of it is indexed: that one stays."""
        with self.transaction() as db:
            db.execute(
                "INSERT INTO documents (place, name, digest, media_type, size, labels, state, error, remedy) "
                "VALUES (?, ?, ?, ?, ?, '[]', 'skipped', ?, ?) ON CONFLICT (place) DO UPDATE SET "
                "digest = excluded.digest, media_type = excluded.media_type, size = excluded.size, "
                "error = excluded.error, remedy = excluded.remedy WHERE state = 'skipped'",
                (place, name, digest, media_type, size, error, remedy),
            )

    def drop_partial(self) -> None:
        """Throw away what a killed writer had not finished."""
        if self.rows("SELECT 1 FROM documents WHERE state = 'partial' LIMIT 1"):
            with self.transaction() as db:
                db.execute("DELETE FROM documents WHERE state = 'partial'")

    def remove(self, documents: Iterable[int]) -> list[int]:
        """Take documents out, with their passages; gives the vector rows that nobody needs any more."""
        gone = list(documents)
        with self.transaction() as db:
            return _remove(db, gone, _next(db))

    def rename(self, old: DocumentRow, place: str, name: str) -> None:
        """The same bytes at another place, with all that stands in them."""
        with self.transaction() as db:
            _next(db)
            db.execute("DELETE FROM documents WHERE place = ? AND state = 'skipped'", (place,))
            members = db.execute(
                "SELECT id, place, name FROM documents WHERE substr(place, 1, ?) = ?",
                (len(old.place) + len(MEMBER), old.place + MEMBER),
            ).fetchall()
            for id_, its_place, its_name in ((old.id, old.place, old.name), *members):
                db.execute(
                    "UPDATE documents SET place = ?, name = ? WHERE id = ?",
                    (place + its_place[len(old.place) :], name + its_name[len(old.name) :], id_),
                )

    def relabel(self, documents: Iterable[DocumentRow], labels: Labels) -> None:
        """Move documents to the shelves of other labels."""
        with self.transaction() as db:
            generation = _next(db)
            for document in documents:
                shelves = db.execute(
                    "SELECT DISTINCT shelves.id, analyser FROM passages JOIN shelves ON shelf = shelves.id "
                    "WHERE document = ?",
                    (document.id,),
                ).fetchall()
                for shelf, analyser in shelves:
                    db.execute("INSERT INTO removals VALUES (?, ?, ?)", (generation, shelf, document.id))
                    db.execute(
                        "UPDATE passages SET shelf = ? WHERE document = ? AND shelf = ?",
                        (_shelf(db, labels, analyser), document.id, shelf),
                    )
                db.execute(
                    "UPDATE documents SET name = ?, labels = ?, generation = ? WHERE id = ?",
                    (
                        self.free_name(document.name, document.place, labels),
                        _json(labels),
                        generation,
                        document.id,
                    ),
                )


def _parsed(row: Sequence[Any]) -> dict[str, Any]:
    given = dict(zip(FIELDS, row, strict=True))
    return {"labels": frozenset(json.loads(given["labels"])), "notes": tuple(json.loads(given["notes"]))}


def _json(labels: Labels) -> str:
    return json.dumps(sorted(labels))


def _next(db: sqlite3.Connection) -> int:
    db.execute("DELETE FROM answers")  # none outlives what it was made from
    return int(db.execute("UPDATE state SET generation = generation + 1 RETURNING generation").fetchone()[0])


def _shelf(db: sqlite3.Connection, labels: Labels, analyser: str) -> int:
    db.execute(
        "INSERT INTO shelves (labels, analyser) VALUES (?, ?) ON CONFLICT DO NOTHING",
        (_json(labels), analyser),
    )
    found = db.execute(
        "SELECT id FROM shelves WHERE labels = ? AND analyser = ?", (_json(labels), analyser)
    ).fetchone()
    return int(found[0])


def _remove(db: sqlite3.Connection, documents: Sequence[int], generation: int) -> list[int]:
    rows: list[int] = []
    for document in documents:
        db.execute(
            "INSERT INTO removals SELECT DISTINCT ?, shelf, document FROM passages WHERE document = ?",
            (generation, document),
        )
        rows += [
            row
            for (row,) in db.execute(
                'SELECT "row" FROM vectors JOIN passages ON passage = passages.id WHERE document = ?',
                (document,),
            )
        ]
        db.execute("DELETE FROM documents WHERE id = ?", (document,))
    return rows
