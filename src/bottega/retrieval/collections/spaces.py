"""Spaces: the vectors of one embedder. One is searched; another may be in the making."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bottega.retrieval.collections.store import Store
from bottega.retrieval.collections.vectors import VectorFile
from bottega.retrieval.embed import Embedder

LEAST = 1_000  # rows: a smaller file is not worth writing again


@dataclass(frozen=True)
class Space:
    """``weights`` is the digest of the embedder's weights: with others, questions and passages would not compare."""

    id: int
    embedder: str
    weights: str
    dimensions: int
    file: str
    rows: int

    def vectors(self, folder: Path) -> VectorFile:
        """Its file, under the collection's folder."""
        return VectorFile(folder / "vectors" / self.file, self.dimensions)


def active(store: Store) -> Space | None:
    """The space that is searched; None in a collection of words only."""
    return _one(store, "id = (SELECT space FROM state)")


def prepared(store: Store, embedder: Embedder, weights: str) -> Space:
    """The space of an embedder, made if it is not there; it is searched once `swap` says so."""
    found = _one(store, "embedder = ? AND weights = ?", embedder.id, weights)
    if found is None:
        with store.transaction() as db:
            space = db.execute(
                "INSERT INTO spaces (embedder, weights, dimensions, file) VALUES (?, ?, ?, '')",
                (embedder.id, weights, embedder.dimensions),
            ).lastrowid
            db.execute("UPDATE spaces SET file = ? WHERE id = ?", (f"{space}-0.f32", space))
        found = _one(store, "embedder = ? AND weights = ?", embedder.id, weights)
    assert found is not None
    return found


def swap(store: Store, space: Space | None, folder: Path) -> None:
    """Search this space from now on, and forget every other."""
    with store.transaction() as db:
        chosen = space.id if space else None
        db.execute("UPDATE state SET space = ?, generation = generation + 1", (chosen,))
        db.execute("DELETE FROM spaces WHERE id IS NOT ?", (chosen,))
    tidy(store, folder)


def missing(store: Store, space: Space, most: int) -> list[tuple[int, str, str]]:
    """Passages without a vector, oldest first, as (passage, heading, text)."""
    rows: list[Any] = store.rows(
        "SELECT passages.id, heading, text FROM passages JOIN documents ON documents.id = document "
        "WHERE state = 'indexed' AND NOT EXISTS "
        "(SELECT 1 FROM vectors WHERE space = ? AND passage = passages.id) ORDER BY passages.id LIMIT ?",
        space.id,
        most,
    )
    return [tuple(row) for row in rows]


def attach(store: Store, space: Space, first: int, passages: list[int]) -> None:
    """Note which rows, already written from ``first``, belong to which passages."""
    with store.transaction(durable=False) as db:
        db.executemany(
            "INSERT INTO vectors VALUES (?, ?, ?)",
            [(space.id, passage, first + place) for place, passage in enumerate(passages)],
        )
        db.execute("UPDATE spaces SET rows = ? WHERE id = ?", (first + len(passages), space.id))


def mend(store: Store, space: Space, folder: Path) -> None:
    """Forget vectors that are not in the file, so that they are made again."""
    length = space.vectors(folder).length
    if store.rows('SELECT 1 FROM vectors WHERE space = ? AND "row" >= ? LIMIT 1', space.id, length):
        with store.transaction() as db:
            db.execute('DELETE FROM vectors WHERE space = ? AND "row" >= ?', (space.id, length))
            db.execute("UPDATE state SET generation = generation + 1")


def compact(store: Store, space: Space, folder: Path) -> None:
    """Write the file again without the rows that nobody needs, when they are more than half of it."""
    kept = [
        (passage, row)
        for passage, row in store.rows(
            'SELECT passage, "row" FROM vectors WHERE space = ? ORDER BY "row"', space.id
        )
    ]
    if space.rows < LEAST or 2 * len(kept) > space.rows:
        return
    (generation,) = store.rows("SELECT generation FROM state")[0]
    file = f"{space.id}-{generation + 1}.f32"
    rows = np.array([row for _, row in kept], dtype=np.int64)
    space.vectors(folder).copy(folder / "vectors" / file, rows)
    with store.transaction() as db:
        db.executemany(
            'UPDATE vectors SET "row" = ? WHERE space = ? AND passage = ?',
            [(place, space.id, passage) for place, (passage, _) in enumerate(kept)],
        )
        db.execute("UPDATE spaces SET file = ?, rows = ? WHERE id = ?", (file, len(kept), space.id))
        db.execute("UPDATE state SET generation = generation + 1")
    tidy(store, folder)


def tidy(store: Store, folder: Path) -> None:
    """Delete files that no space names; who still reads one keeps what he has open."""
    named = {file for (file,) in store.rows("SELECT file FROM spaces")}
    place = folder / "vectors"
    for path in place.iterdir() if place.is_dir() else ():
        if path.name not in named:
            path.unlink(missing_ok=True)


def _one(store: Store, where: str, *values: object) -> Space | None:
    rows = store.rows(
        f"SELECT id, embedder, weights, dimensions, file, rows FROM spaces WHERE {where}", *values
    )
    return Space(*rows[0]) if rows else None
