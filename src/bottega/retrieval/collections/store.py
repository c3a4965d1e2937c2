"""What a collection knows; everything else can be made again from it."""

import json
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bottega.core.errors import ExtraMissing, StorageFailed
from bottega.core.passage import Passage
from bottega.core.value import JsonObject
from bottega.retrieval.collections.files import MEMBER
from bottega.retrieval.collections.tables import SQLiteTables, Tables
from bottega.storage.database import Transaction

if TYPE_CHECKING:
    from bottega.retrieval.collections.server import Server

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

    def shown(self) -> JsonObject:
        """What a user may be told: no place, and no number of the row, because hidden documents are counted in it."""
        return {
            "name": self.name, "digest": self.digest, "media_type": self.media_type, "size": self.size,
            "labels": sorted(self.labels), "notes": list(self.notes), "pages": self.pages,
        }  # fmt: skip


@dataclass(frozen=True)
class Piece:
    """A passage on its way in: its language, its analyser, and what stands for its vector, if it has one."""

    passage: Passage
    language: str
    analyser: str
    vector: object = None


class Store:
    """What is known of a collection, in a file of its folder or, with a ``server``, in tables that hosts share.

    Raises:
        StorageFailed: the tables cannot be opened, are damaged, or are from a later version.
    """

    def __init__(self, folder: Path, server: "Server | None" = None) -> None:
        self.folder = folder
        self._tables: Tables = server.tables(folder.name) if server else SQLiteTables(folder)
        self.shared = self._tables.shared
        self.transaction = self._tables.transaction
        self.rows = self._tables.rows
        self.scrub = self._tables.scrub
        self._replaced = self._tables.replaced
        self.close = self._tables.close
        if not self.stamp:
            with self.transaction() as db:
                db.execute("UPDATE state SET stamp = ? WHERE stamp = ''", (uuid.uuid4().hex,))
        self._opened_as = self.stamp

    @property
    def replaced(self) -> bool:
        """Whether the collection was deleted since it was opened, and perhaps made anew."""
        return self._replaced() or self.stamp != self._opened_as

    @property
    def generation(self) -> int:
        """Counts changes of what can be found; whatever was worked out from a collection is good for one of them."""
        return int(self.rows("SELECT generation FROM state")[0][0])

    def last_change(self, allowed: Labels) -> int:
        """The last generation at which a document changed that somebody with these labels may see; 0 for none."""
        rows = self.rows("SELECT labels, generation FROM changes")
        return max((at for labels, at in rows if allowed.issuperset(json.loads(labels))), default=0)

    @property
    def stamp(self) -> str:
        """Tells this collection from another that had its name."""
        return str(self.rows("SELECT stamp FROM state")[0][0])

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

    def languages(self, labels: Labels) -> Counter[str]:
        """How many passages under just these labels are in each language."""
        rows = self.rows(
            "SELECT language, count(*) FROM passages JOIN shelves ON shelf = shelves.id WHERE labels = ? GROUP BY language",
            _json(labels),
        )
        return Counter(dict(rows))

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
            return _id(
                db,
                "INSERT INTO documents (digest, media_type, size, labels, state) VALUES (?, ?, ?, ?, 'partial')",
                digest, media_type, size, _json(labels),
            )  # fmt: skip

    def add(self, document: int, pieces: Sequence[Piece], labels: Labels, space: int | None = None) -> None:
        """Passages of a document that is being read; ``space`` is where their vectors lie."""
        with self.transaction(durable=False) as db:
            shelves = {
                name: _shelf(db, labels, name) for name in dict.fromkeys(each.analyser for each in pieces)
            }
            for piece in pieces:
                one = piece.passage
                passage = _id(
                    db,
                    'INSERT INTO passages (document, n, page, start, "end", heading, language, shelf, text, boxes, '
                    "lines) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    document, int(one.id.rpartition("#")[2]), one.page, one.start, one.end, one.heading,
                    piece.language, shelves[piece.analyser], one.text,
                    *(json.dumps(each, separators=(",", ":")) if each else "" for each in (one.boxes, one.lines)),
                )  # fmt: skip
                if space is not None:
                    db.execute("INSERT INTO vectors VALUES (?, ?, ?)", (space, passage, piece.vector))
            if space is not None and pieces:
                note_rows(db, space, pieces[-1].vector)

    def finish(self, document: int, place: str, name: str, pages: int, notes: Sequence[str]) -> bool:
        """Acknowledge a document: in one step it is there, and what stood at its place is gone.

        False when somebody took out what is at this place meanwhile: the document is thrown away.
        """
        with self.transaction() as db:
            alone(db)
            if self.is_withdrawn(place):
                self._remove(db, [document], self.generation)
                return False
            old = db.execute("SELECT id FROM documents WHERE place = ?", (place,)).fetchall()
            gone = [id_ for (id_,) in old]
            generation = _next(db, _labels(db, [document, *gone]))
            self._remove(db, gone, generation)
            done = db.execute(
                "UPDATE documents SET place = ?, name = ?, pages = ?, notes = ?, state = 'indexed', generation = ? "
                "WHERE id = ?",
                (place, name, pages, json.dumps(list(notes)), generation, document),
            )
            if not done.rowcount:
                raise StorageFailed(
                    "another process took the collection over",
                    where=name,
                    remedy="give the same command again",
                )
            return True

    def skip(
        self, place: str, name: str, digest: str, media_type: str, size: int, error: str, remedy: str
    ) -> None:
        """Note why a file cannot be indexed, unless an earlier state of it is indexed, which stays, or was taken out just now."""
        with self.transaction() as db:
            alone(db)
            if self.is_withdrawn(place):
                return
            db.execute(
                "INSERT INTO documents (place, name, digest, media_type, size, labels, state, error, remedy) "
                "VALUES (?, ?, ?, ?, ?, '[]', 'skipped', ?, ?) ON CONFLICT (place) DO UPDATE SET "
                "digest = excluded.digest, media_type = excluded.media_type, size = excluded.size, "
                "error = excluded.error, remedy = excluded.remedy WHERE documents.state = 'skipped'",
                (place, name, digest, media_type, size, error, remedy),
            )

    def drop_partial(self) -> None:
        """Throw away what a killed writer had not finished."""
        if partial := self.rows("SELECT id FROM documents WHERE state = 'partial'"):
            with self.transaction() as db:
                self._remove(db, [id_ for (id_,) in partial], self.generation)

    def remove(self, documents: Iterable[int]) -> None:
        """Take documents out, with their passages."""
        gone = list(documents)
        with self.transaction() as db:
            self._remove(db, gone, _next(db, _labels(db, gone)))

    # what people take out, while others index

    def withdraw(self, chosen: Callable[[], Sequence[DocumentRow]]) -> Sequence[DocumentRow]:
        """Take documents out at once, chosen from what is there when nobody changes it; who is indexing does not bring them back."""
        with self.transaction() as db:
            alone(db)
            gone = chosen()
            ids = [each.id for each in gone]
            generation = _next(db, _labels(db, ids))
            self._remove(db, ids, generation)
            for each in gone:
                db.execute(
                    "INSERT INTO withdrawn VALUES (?, ?) "
                    "ON CONFLICT (place) DO UPDATE SET generation = excluded.generation",
                    (each.place, generation),
                )
        return gone

    def is_withdrawn(self, place: str) -> bool:
        """Whether what is at this place, or an archive that it stands in, was taken out while it may have been read."""
        parts = place.split(MEMBER)
        places = [MEMBER.join(parts[:count]) for count in range(1, len(parts) + 1)]
        return bool(self.rows(f"SELECT 1 FROM withdrawn WHERE place IN ({marks(places)})", *places))

    def withdrawn(self) -> int:
        """The generation of the last such removal of which files may still hold something; 0 when there is none."""
        return int(self.rows("SELECT coalesce(max(generation), 0) FROM withdrawn")[0][0])

    def settled(self, generation: int) -> None:
        """Files hold nothing any more of what was taken out up to this generation, and nobody is indexing."""
        with self.transaction() as db:
            db.execute("DELETE FROM withdrawn WHERE generation <= ?", (generation,))

    def rename(self, old: DocumentRow, place: str, name: str) -> None:
        """The same bytes at another place, with all that stands in them."""
        with self.transaction() as db:
            db.execute("DELETE FROM documents WHERE place = ? AND state = 'skipped'", (place,))
            members = db.execute(
                "SELECT id, place, name FROM documents WHERE substr(place, 1, ?) = ?",
                (len(old.place) + len(MEMBER), old.place + MEMBER),
            ).fetchall()
            _next(db, _labels(db, [old.id, *(id_ for id_, _, _ in members)]))
            for id_, its_place, its_name in ((old.id, old.place, old.name), *members):
                db.execute(
                    "UPDATE documents SET place = ?, name = ? WHERE id = ?",
                    (place + its_place[len(old.place) :], name + its_name[len(old.name) :], id_),
                )

    def relabel(self, documents: Sequence[DocumentRow], labels: Labels) -> None:
        """Move documents to the shelves of other labels."""
        with self.transaction() as db:
            generation = _next(db, {_json(labels), *(_json(each.labels) for each in documents)})
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

    def _remove(self, db: Transaction, documents: Sequence[int], generation: int) -> None:
        for document in documents:
            db.execute(
                "INSERT INTO removals SELECT DISTINCT ?, shelf, document FROM passages WHERE document = ?",
                (generation, document),
            )
            if not self.shared:
                db.execute(
                    'INSERT INTO freed SELECT space, "row" FROM vectors JOIN passages ON passage = passages.id '
                    "WHERE document = ? ON CONFLICT DO NOTHING",
                    (document,),
                )
            db.execute("DELETE FROM documents WHERE id = ?", (document,))


def server_of(url: str) -> "Server | None":
    """The database that holds collections; None for files.

    Raises:
        InvalidValue: it is not the address of a PostgreSQL database.
        ExtraMissing: the driver of PostgreSQL is not installed.
    """
    if not url:
        return None
    try:
        from bottega.retrieval.collections.server import Server
    except ImportError as error:
        raise ExtraMissing(
            "the package 'psycopg' is not installed", remedy="pip install 'bottega[postgres]'"
        ) from error
    return Server(url)


def marks(values: Sequence[object]) -> str:
    """A question mark for each value, to stand in ``IN (...)``; ``NULL``, which nothing equals, for none."""
    return ", ".join("?" * len(values)) or "NULL"


def alone(db: Transaction) -> None:
    """Wait for who changes the collection just now, and keep others waiting until this transaction ends."""
    db.execute("UPDATE state SET generation = generation")


def note_rows(db: Transaction, space: int, last: object) -> None:
    """Note how many rows of a space's file are given away, where its vectors lie in one."""
    if isinstance(last, int):
        db.execute("UPDATE spaces SET rows = ? WHERE id = ?", (last + 1, space))


def _parsed(row: Sequence[Any]) -> dict[str, Any]:
    given = dict(zip(FIELDS, row, strict=True))
    return {"labels": frozenset(json.loads(given["labels"])), "notes": tuple(json.loads(given["notes"]))}


def _json(labels: Labels) -> str:
    return json.dumps(sorted(labels))


def _next(db: Transaction, changed: Iterable[str]) -> int:
    """The next generation, after a change of documents with these labels. No answer of who sees one of them outlives it.

    Answers of others stay: that theirs are made again would tell them of a hidden document.
    """
    row = db.execute("UPDATE state SET generation = generation + 1 RETURNING generation").fetchone()
    sets = [frozenset[str](json.loads(labels)) for labels in changed]
    for labels in sets:
        db.execute(
            "INSERT INTO changes VALUES (?, ?) ON CONFLICT (labels) DO UPDATE SET generation = excluded.generation",
            (_json(labels), row[0]),
        )
    for (asker,) in db.execute("SELECT DISTINCT labels FROM answers").fetchall():
        if any(labels.issubset(json.loads(asker)) for labels in sets):
            db.execute("DELETE FROM answers WHERE labels = ?", (asker,))
    return int(row[0])


def _labels(db: Transaction, documents: Sequence[int]) -> set[str]:
    """The sets of labels of these documents, as they are kept."""
    found = [
        db.execute("SELECT labels FROM documents WHERE id = ?", (each,)).fetchone() for each in documents
    ]
    return {row[0] for row in found if row}


def _id(db: Transaction, insert: str, *values: object) -> int:
    return int(db.execute(f"{insert} RETURNING id", values).fetchone()[0])


def _shelf(db: Transaction, labels: Labels, analyser: str) -> int:
    db.execute(
        "INSERT INTO shelves (labels, analyser) VALUES (?, ?) ON CONFLICT DO NOTHING",
        (_json(labels), analyser),
    )
    found = db.execute(
        "SELECT id FROM shelves WHERE labels = ? AND analyser = ?", (_json(labels), analyser)
    ).fetchone()
    return int(found[0])
