"""The shelves of a collection and their word indexes, brought up to what the database says."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from bottega.core.errors import StorageFailed
from bottega.retrieval.collections.analysis import WORDING
from bottega.retrieval.collections.store import Labels, Store
from bottega.retrieval.collections.words import Entry, ShelfIndex
from bottega.retrieval.lexical import searched
from bottega.storage.disk import appearing, disk, sync_file

REACHED = "reached.json"

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


class Reached(NamedTuple):
    """How far the indexes of a folder have come: the generation that all have reached, and folder and generation of each.

    It lies beside them, because each host has its own. Those of another collection, from after a backup that was
    put back, or of terms that were made otherwise, count for nothing.
    """

    stamp: str = ""
    generation: int = -1
    shelves: dict[str, tuple[str, int]] = {}  # noqa: RUF012 - never changed in place
    wording: int = WORDING

    def write(self, folder: Path) -> None:
        """On the disk when this returns."""
        with disk(folder), appearing(folder / REACHED) as path:
            path.write_text(json.dumps(self))
            sync_file(path)


def reached(store: Store, folder: Path) -> Reached:
    """What stands beside the indexes in ``folder``."""
    try:
        stamp, generation, shelves, wording = json.loads((folder / REACHED).read_bytes())
        found = Reached(stamp, generation, {id_: (name, at) for id_, (name, at) in shelves.items()}, wording)
    except (OSError, ValueError, TypeError):
        return Reached()
    ahead = max([generation, *(at for _, at in found.shelves.values())]) > store.generation
    return Reached() if ahead or (stamp, wording) != (store.stamp, WORDING) else found


def shelves_of(store: Store, at: Reached | None = None) -> list[Shelf]:
    """Every shelf; with ``at``, how far the index of each has come."""
    rows = store.rows("SELECT id, labels, analyser FROM shelves ORDER BY id")
    known = at.shelves if at else {}
    return [
        Shelf(id_, frozenset(json.loads(labels)), analyser, *known.get(str(id_), ("", 0)))
        for id_, labels, analyser in rows
    ]


def current(store: Store, folder: Path) -> Reached | None:
    """How far the indexes have come, if that is as far as the collection."""
    at = reached(store, folder)
    whole = at.generation == store.generation and all(
        each.folder and (folder / each.folder).is_dir() for each in shelves_of(store, at)
    )
    return at if whole else None


def catch_up(store: Store, folder: Path, *, erase: bool = False) -> None:
    """Bring every index to the present generation; the caller holds this host's lock on the collection.

    With ``erase``, an index that still holds bytes of what was taken out is written again.
    """
    if not erase and current(store, folder):
        return
    generation, at = store.generation, reached(store, folder)
    stamp, done = store.stamp, dict(at.shelves)
    folder.mkdir(parents=True, exist_ok=True)
    for shelf in shelves_of(store, at):
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
        name = (
            shelf.folder if whole else f"{shelf.id}-{generation}-{stamp[:8]}"
        )  # another collection of this name had other words
        if not whole:
            _write_again(store, shelf, folder / name)
        done[str(shelf.id)] = (name, generation)
        Reached(stamp, at.generation, done).write(folder)
        if name != shelf.folder and shelf.folder:
            index.remove()
    Reached(stamp, generation, done).write(folder)
    _tidy(store, folder, generation, done)
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


def _tidy(store: Store, folder: Path, generation: int, done: dict[str, tuple[str, int]]) -> None:
    """Forget removals that every index has seen, shelves that are empty, and folders that nobody names.

    Where hosts share the collection, removals stay: nobody knows who has seen them.
    """
    with store.transaction(durable=False) as db:
        if not store.shared:
            db.execute("DELETE FROM removals WHERE generation <= ?", (generation,))
        db.execute("DELETE FROM shelves WHERE NOT EXISTS (SELECT 1 FROM passages WHERE shelf = shelves.id)")
    there = {str(shelf.id) for shelf in shelves_of(store)}
    named = {name for id_, (name, _) in done.items() if id_ in there} | {REACHED}
    for path in folder.iterdir():
        if path.name not in named:
            ShelfIndex(path, "plain").remove()
