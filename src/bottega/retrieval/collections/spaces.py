"""Spaces: the vectors of one embedder. One is searched; another may be in the making."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from bottega.core.errors import Cancelled
from bottega.retrieval.collections.store import Store, alone, marks, note_rows
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

    def blank(self) -> None:
        """Erase in files what stands in the table ``freed``."""
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
    """Search this space from now on, and forget every other.

    Raises:
        Cancelled: the space was given up meanwhile.
    """
    with store.transaction() as db:
        chosen = space.id if space else None
        if space is not None and _one(store, "id = ?", space.id) is None:
            raise _unwanted(space)
        db.execute("UPDATE state SET space = ?, generation = generation + 1", (chosen,))
        db.execute("DELETE FROM spaces WHERE id <> ?", (chosen or 0,))


def in_the_making(store: Store) -> Space | None:
    """The space that shall be searched once every passage has a vector in it; None when nothing is to change."""
    return _one(store, "id <> coalesce((SELECT space FROM state), 0)")


def dropped_but(store: Store, space: Space | None) -> None:
    """Give up every space in the making but this one."""
    with store.transaction() as db:
        db.execute(
            "DELETE FROM spaces WHERE id <> ? AND id <> coalesce((SELECT space FROM state), 0)",
            (space.id if space else 0,),
        )


def left(store: Store, space: Space) -> int:
    """How many passages lack a vector of this space."""
    (count,) = store.rows(
        "SELECT (SELECT count(*) FROM passages JOIN documents ON documents.id = document WHERE state = 'indexed') - "
        "(SELECT count(*) FROM vectors JOIN passages ON passages.id = passage JOIN documents ON documents.id = document "
        "WHERE space = ? AND state = 'indexed')",
        space.id,
    )[0]
    return int(count)


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


def attach(store: Store, kept: Kept, space: Space, passages: Sequence[int], vectors: Vectors) -> int:
    """Keep the vectors of those passages that are still there; gives their number.

    Raises:
        Cancelled: the space was given up meanwhile.
        StorageFailed: the disk is full.
    """
    with store.transaction(durable=False) as db:
        alone(db)
        if _one(store, "id = ?", space.id) is None:
            raise _unwanted(space)
        rows = store.rows(f"SELECT id FROM passages WHERE id IN ({marks(passages)})", *passages)
        there = {id_ for (id_,) in rows}
        places = [place for place, passage in enumerate(passages) if passage in there]
        if places:
            marked = kept.keep(space, vectors[places])
            for place, mark in zip(places, marked, strict=True):
                db.execute("INSERT INTO vectors VALUES (?, ?, ?)", (space.id, passages[place], mark))
            note_rows(db, space.id, marked[-1])
        return len(places)


def noticed(store: Store) -> None:
    """Tell who searches that there are other vectors than before."""
    with store.transaction() as db:
        db.execute("UPDATE state SET generation = generation + 1")


def _unwanted(space: Space) -> Cancelled:
    return Cancelled(
        f"the vectors of {space.embedder} are not wanted any more: another embedder was asked for"
    )


def spaces(store: Store, where: str = "id > 0", *values: object) -> list[Space]:
    """The spaces that there are."""
    found = store.rows(
        f"SELECT id, embedder, weights, dimensions, file, rows FROM spaces WHERE {where}", *values
    )
    return [Space(*row) for row in found]


def _one(store: Store, where: str, *values: object) -> Space | None:
    return next(iter(spaces(store, where, *values)), None)
