"""The vectors of a collection in a file of its folder, one for each space."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bottega.retrieval.collections.spaces import Kept, Space
from bottega.retrieval.collections.store import Store
from bottega.retrieval.collections.table_vectors import TableVectors
from bottega.retrieval.collections.vectors import Rows, VectorFile
from bottega.retrieval.embed import Vectors

LEAST = 1_000  # rows: a smaller file is not worth writing again


@dataclass(frozen=True)
class _View:
    """What was there at one generation: the passage and the shelf of each row of the file, by row."""

    generation: int
    space: int
    rows: Rows
    passages: Rows
    on: NDArray[np.int64]


class FileVectors:
    """Vectors in ``vectors/``, mapped into memory; which row is whose stands in the tables."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._place = store.folder / "vectors"
        self._lock = threading.Lock()
        self._seen: _View | None = None

    def keep(self, space: Space, vectors: Vectors) -> Sequence[int]:
        """Write rows behind those that are given away; gives their numbers."""
        first = int(self._store.rows("SELECT rows FROM spaces WHERE id = ?", space.id)[0][0])
        self._file(space).write(first, vectors)
        return range(first, first + len(vectors))

    def blank(self, space: Space, rows: Sequence[int]) -> None:
        """Overwrite rows with zeros."""
        self._file(space).blank(rows)

    def nearest(
        self, space: Space, query: Vectors, shelves: Sequence[int], top: int
    ) -> list[tuple[int, float]]:
        """Multiplies with the rows of these shelves and no others. Equal scores stand in the order of their rows."""
        view = self._view(space)
        mask = np.isin(view.on, shelves)
        places, scores = self._file(space).nearest(query, view.rows[mask], top)
        return list(zip(view.passages[mask][places].tolist(), scores.tolist(), strict=True))

    def mend(self, space: Space) -> None:
        """Forget vectors that are not in the file."""
        length, store = self._file(space).length, self._store
        if store.rows('SELECT 1 FROM vectors WHERE space = ? AND "row" >= ? LIMIT 1', space.id, length):
            with store.transaction() as db:
                db.execute('DELETE FROM vectors WHERE space = ? AND "row" >= ?', (space.id, length))
                db.execute("UPDATE state SET generation = generation + 1")

    def tidy(self, space: Space | None = None) -> None:
        """Write the file of ``space`` again when more than half of it is not needed, and delete files that no space names.

        Who still reads one keeps what he has open.
        """
        if space is not None:
            self._compact(space)
        named = {file for (file,) in self._store.rows("SELECT file FROM spaces")}
        for path in self._place.iterdir() if self._place.is_dir() else ():
            if path.name not in named:
                path.unlink(missing_ok=True)

    def _compact(self, space: Space) -> None:
        store = self._store
        kept = store.rows('SELECT passage, "row" FROM vectors WHERE space = ? ORDER BY "row"', space.id)
        if space.rows < LEAST or 2 * len(kept) > space.rows:
            return
        file = f"{space.id}-{store.generation + 1}.f32"
        rows = np.array([row for _, row in kept], dtype=np.int64)
        self._file(space).copy(self._place / file, rows)
        with store.transaction() as db:
            for place, (passage, _) in enumerate(kept):
                db.execute(
                    'UPDATE vectors SET "row" = ? WHERE space = ? AND passage = ?', (place, space.id, passage)
                )
            db.execute("UPDATE spaces SET file = ?, rows = ? WHERE id = ?", (file, len(kept), space.id))
            db.execute("UPDATE state SET generation = generation + 1")

    def _file(self, space: Space) -> VectorFile:
        return VectorFile(self._place / space.file, space.dimensions)

    def _view(self, space: Space) -> _View:
        generation = self._store.generation
        with self._lock:
            seen = self._seen
            if seen is None or (seen.generation, seen.space) != (generation, space.id):
                rows: list[Any] = self._store.rows(
                    'SELECT "row", passage, shelf FROM vectors JOIN passages ON passages.id = passage '
                    "JOIN documents ON documents.id = document WHERE space = ? AND state = 'indexed' "
                    'ORDER BY "row"',
                    space.id,
                )
                table = np.array(rows, dtype=np.int64).reshape(len(rows), 3)
                columns = (np.ascontiguousarray(table[:, column]) for column in range(3))
                seen = self._seen = _View(generation, space.id, *columns)
            return seen


def kept_by(store: Store) -> Kept:
    """Where the vectors of a collection lie."""
    return TableVectors(store) if store.shared else FileVectors(store)
