"""Spaces: the vectors of one embedder. One is searched; another may be in the making."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from bottega.retrieval.collections.store import Store, note_rows
from bottega.retrieval.embed import Embedder, Vectors


@dataclass(frozen=True)
class Space:
    """``weights`` is the digest of the embedder's weights: with others, questions and passages would not compare."""

    id: int
    embedder: str
    weights: str
    dimensions: int
    file: str
    rows: int


class Kept(Protocol):
    """Where the vectors of a collection lie: in a file of this host, or in the tables that hosts share."""

    def keep(self, space: Space, vectors: Vectors) -> Sequence[object]:
        """Keep vectors, shape (n, dimensions); gives what stands for each in the table ``vectors``.

        Raises:
            StorageFailed: the disk is full.
        """
        ...

    def blank(self, space: Space, rows: Sequence[int]) -> None:
        """Erase what stood in these rows of a file."""
        ...

    def nearest(
        self, space: Space, query: Vectors, shelves: Sequence[int], top: int
    ) -> list[tuple[int, float]]:
        """The passages on these shelves with the largest dot products, as (passage, score), best first; exact.

        Raises:
            StorageFailed: vectors are missing.
        """
        ...

    def mend(self, space: Space) -> None:
        """Forget vectors that are not there, so that they are made again."""
        ...

    def tidy(self, space: Space | None = None) -> None:
        """Give back the place of what nobody needs; of the rows of ``space``, when that is worth it."""
        ...


def active(store: Store) -> Space | None:
    """The space that is searched; None in a collection of words only."""
    return _one(store, "id = (SELECT space FROM state)")


def prepared(store: Store, embedder: Embedder, weights: str) -> Space:
    """The space of an embedder, made if it is not there; it is searched once `swap` says so."""
    found = _one(store, "embedder = ? AND weights = ?", embedder.id, weights)
    if found is None:
        with store.transaction() as db:
            space = db.execute(
                "INSERT INTO spaces (embedder, weights, dimensions, file) VALUES (?, ?, ?, '') RETURNING id",
                (embedder.id, weights, embedder.dimensions),
            ).fetchone()[0]
            db.execute("UPDATE spaces SET file = ? WHERE id = ?", (f"{space}-0.f32", space))
        found = _one(store, "embedder = ? AND weights = ?", embedder.id, weights)
    assert found is not None
    return found


def swap(store: Store, space: Space | None) -> None:
    """Search this space from now on, and forget every other."""
    with store.transaction() as db:
        chosen = space.id if space else None
        db.execute("UPDATE state SET space = ?, generation = generation + 1", (chosen,))
        db.execute("DELETE FROM spaces WHERE id <> ?", (chosen or 0,))


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


def attach(store: Store, space: Space, passages: Sequence[int], vectors: Sequence[object]) -> None:
    """Note which vectors, already kept, belong to which passages."""
    with store.transaction(durable=False) as db:
        for passage, vector in zip(passages, vectors, strict=True):
            db.execute("INSERT INTO vectors VALUES (?, ?, ?)", (space.id, passage, vector))
        note_rows(db, space.id, vectors[-1])


def _one(store: Store, where: str, *values: object) -> Space | None:
    rows = store.rows(
        f"SELECT id, embedder, weights, dimensions, file, rows FROM spaces WHERE {where}", *values
    )
    return Space(*rows[0]) if rows else None
