"""The shelves of a collection and their word indexes, brought up to what the database says."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bottega.core.errors import StorageFailed
from bottega.retrieval.collections.store import Labels, Store
from bottega.retrieval.collections.words import Entry, ShelfIndex
from bottega.retrieval.lexical import searched

AT_ONCE = 2_000  # passages read from the database at a time
MOST_DEAD = 0.1  # share of an index that may be passages taken out, before it is written again


@dataclass(frozen=True)
class Shelf:
    """The passages of one set of labels and one analyser; ``generation`` is how far its index has come."""

    id: int
    labels: Labels
    analyser: str
    folder: str
    generation: int

    def visible(self, allowed: Labels) -> bool:
        """Whether a user with these labels may see it: he needs all of its own."""
        return self.labels <= allowed


def shelves_of(store: Store) -> list[Shelf]:
    """Every shelf."""
    rows = store.rows("SELECT id, labels, analyser, folder, generation FROM shelves ORDER BY id")
    return [Shelf(id_, frozenset(json.loads(labels)), *rest) for id_, labels, *rest in rows]


def catch_up(store: Store, folder: Path, *, erase: bool = False) -> None:
    """Bring every index to the present generation; the caller holds the collection's lock.

    With ``erase``, an index that still holds bytes of what was taken out is written again.
    """
    generation, caught_up = store.rows("SELECT generation, caught_up FROM state")[0]
    shelves = shelves_of(store)
    if generation == caught_up and not erase and all((folder / each.folder).is_dir() for each in shelves):
        return
    for shelf in shelves:
        index = ShelfIndex(folder / shelf.folder, shelf.analyser)
        removed = [
            document
            for (document,) in store.rows(
                "SELECT document FROM removals WHERE shelf = ? AND generation > ?", shelf.id, shelf.generation
            )
        ]
        fresh = store.rows(
            "SELECT 1 FROM passages JOIN documents ON documents.id = document "
            "WHERE shelf = ? AND state = 'indexed' AND generation > ? LIMIT 1",
            shelf.id,
            shelf.generation,
        )
        whole = shelf.folder != "" and (folder / shelf.folder).is_dir()
        if whole and not removed and not fresh and not erase:
            continue
        if whole:
            try:
                if removed or fresh:
                    index.write(removed, _entries(store, shelf.id, shelf.generation))
                index.reload()
                dead = index.dead()
                whole = not dead or (not erase and dead < MOST_DEAD * index.passages())
            except (StorageFailed, ValueError, OSError):
                whole = False
        name = shelf.folder if whole else f"{shelf.id}-{generation}"
        if not whole:
            _write_again(store, shelf, folder / name)
        with store.transaction() as db:
            db.execute(
                "UPDATE shelves SET folder = ?, generation = ? WHERE id = ?", (name, generation, shelf.id)
            )
        if name != shelf.folder and shelf.folder:
            index.remove()
    _tidy(store, folder, generation)
    if erase:
        store.scrub()


def _write_again(store: Store, shelf: Shelf, folder: Path) -> None:
    index = ShelfIndex(folder, shelf.analyser)
    index.remove()  # what a killed writer left
    index.write([], _entries(store, shelf.id, -1))


def _entries(store: Store, shelf: int, after: int) -> Iterator[Entry]:
    """The passages of documents put on this shelf after a generation, document by document."""
    document = n = 0
    while True:
        rows = store.rows(
            "SELECT passages.id, document, n, heading, text FROM passages JOIN documents ON documents.id = document "
            "WHERE shelf = ? AND state = 'indexed' AND generation > ? AND (document, n) > (?, ?) "
            "ORDER BY document, n LIMIT ?",
            shelf,
            after,
            document,
            n,
            AT_ONCE,
        )
        for passage, of, _, heading, text in rows:
            yield Entry(passage, of, searched(heading, text))
        if len(rows) < AT_ONCE:
            return
        document, n = rows[-1][1:3]


def _tidy(store: Store, folder: Path, generation: int) -> None:
    """Forget removals that every index has seen, shelves that are empty, and folders that nobody names."""
    with store.transaction(durable=False) as db:
        db.execute("UPDATE state SET caught_up = ?", (generation,))
        db.execute("DELETE FROM removals WHERE generation <= ?", (generation,))
        db.execute("DELETE FROM shelves WHERE NOT EXISTS (SELECT 1 FROM passages WHERE shelf = shelves.id)")
    named = {shelf.folder for shelf in shelves_of(store)}
    for path in folder.iterdir() if folder.is_dir() else ():
        if path.name not in named:
            ShelfIndex(path, "plain").remove()
