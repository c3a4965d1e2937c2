"""The vectors of a collection in a file of its folder, one for each space; where there are very many, a file of sketches beside it."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bottega.retrieval.collections.sketch import EXACT, Codes, Sketcher, SketchFile, likeliest, worth
from bottega.retrieval.collections.spaces import Kept, Space, active, spaces
from bottega.retrieval.collections.store import Store, marks
from bottega.retrieval.collections.table_vectors import TableVectors
from bottega.retrieval.collections.vectors import BLOCK, Rows, VectorFile
from bottega.retrieval.embed import Vectors

SKETCHES = ".bits"
LEAST = 1_000  # rows: a smaller file is not worth writing again
MOST = 500  # values in one statement


@dataclass(frozen=True)
class _View:
    """What was there at one generation: the passage and the shelf of each row of the file, by row."""

    generation: int
    space: int
    rows: Rows
    passages: Rows
    on: NDArray[np.int64]


sketcher = cache(Sketcher)


class FileVectors:
    """Vectors in ``vectors/``, mapped into memory; which row is whose stands in the tables.

    Up to ``exact`` vectors that somebody may see are all multiplied. Of more, those whose sketches are likeliest: the
    sketches of what may be seen are compared and no others, so what is hidden changes nothing here either.
    """

    def __init__(self, store: Store, exact: int = EXACT) -> None:
        self._store = store
        self._exact = exact
        self._place = store.folder / "vectors"
        self._lock = threading.Lock()
        self._seen: _View | None = None
        self._codes: tuple[_View, Codes] | None = None

    def keep(self, space: Space, vectors: Vectors) -> Sequence[int]:
        """Write rows behind those that are given away; gives their numbers."""
        first = int(self._store.rows("SELECT rows FROM spaces WHERE id = ?", space.id)[0][0])
        self._file(space).write(first, vectors)
        sketches = self._sketches(space)
        if sketches.length > first:  # of rows that a power cut took back
            sketches.write(first, sketcher(space.dimensions).codes(vectors))
        return range(first, first + len(vectors))

    def blank(self) -> None:
        """Overwrite rows with zeros."""
        store = self._store
        for space in spaces(store):
            freed: list[int] = [
                row for (row,) in store.rows("SELECT number FROM freed WHERE space = ?", space.id)
            ]
            if not freed:
                continue
            self._file(space).blank(freed)
            self._sketches(space).blank(freed)
            for first in range(0, len(freed), MOST):
                some = freed[first : first + MOST]
                with store.transaction(durable=False) as db:
                    db.execute(
                        f"DELETE FROM freed WHERE space = ? AND number IN ({marks(some)})", (space.id, *some)
                    )

    def nearest(
        self, space: Space, query: Vectors, shelves: Sequence[int], top: int
    ) -> list[tuple[int, float]]:
        """Multiplies with rows of these shelves and no others. Equal scores stand in the order of their rows."""
        view = self._view(space)
        seen = np.flatnonzero(np.isin(view.on, shelves))
        if len(seen) > self._exact:
            codes = self._coded(space, view)
            mine = codes if len(seen) == len(view.rows) else codes[:, seen]
            seen = seen[likeliest(mine, sketcher(space.dimensions).codes(query[None]), worth(top))]
        places, scores = self._file(space).nearest(query, view.rows[seen], top)
        return list(zip(view.passages[seen][places].tolist(), scores.tolist(), strict=True))

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
        files = [Path(file) for (file,) in self._store.rows("SELECT file FROM spaces")]
        named = {file.name for file in files} | {file.with_suffix(SKETCHES).name for file in files}
        for path in self._place.iterdir() if self._place.is_dir() else ():
            if path.name not in named:
                path.unlink(missing_ok=True)
        if space is not None and (now := active(self._store)) is not None:
            self._sketch(now)

    def _sketch(self, space: Space) -> None:
        """Write the sketches that are missing, once there may be too many vectors to multiply all."""
        if space.rows <= self._exact:
            return
        kept, source = self._sketches(space), self._file(space)
        for first in range(kept.length, space.rows, BLOCK):
            rows = np.arange(first, min(first + BLOCK, space.rows))
            kept.write(first, sketcher(space.dimensions).codes(source.read(rows)))

    def _coded(self, space: Space, view: _View) -> Codes:
        """The sketches of all rows of a view, shape (words, rows); those that are in no file yet are made here."""
        with self._lock:
            if self._codes is None or self._codes[0] is not view:
                kept, source = self._sketches(space).read(view.rows), self._file(space)
                parts = [
                    sketcher(space.dimensions).codes(source.read(view.rows[first : first + BLOCK]))
                    for first in range(kept.shape[1], len(view.rows), BLOCK)
                ]
                self._codes = view, np.concatenate([kept, *parts], axis=1)
            return self._codes[1]

    def _compact(self, space: Space) -> None:
        store = self._store
        kept = store.rows('SELECT passage, "row" FROM vectors WHERE space = ? ORDER BY "row"', space.id)
        if space.rows < LEAST or 2 * len(kept) > space.rows:
            return
        file = f"{space.id}-{store.generation + 1}.f32"
        rows = np.array([row for _, row in kept], dtype=np.int64)
        self._file(space).copy(self._place / file, rows)
        with store.transaction() as db:
            db.execute("DELETE FROM freed WHERE space = ?", (space.id,))
            for place, (passage, _) in enumerate(kept):
                found = db.execute(
                    'UPDATE vectors SET "row" = ? WHERE space = ? AND passage = ?', (place, space.id, passage)
                )
                if not found.rowcount:  # taken out while the file was written
                    db.execute("INSERT INTO freed VALUES (?, ?)", (space.id, place))
            db.execute("UPDATE spaces SET file = ?, rows = ? WHERE id = ?", (file, len(kept), space.id))
            db.execute("UPDATE state SET generation = generation + 1")

    def _file(self, space: Space) -> VectorFile:
        return VectorFile(self._place / space.file, space.dimensions)

    def _sketches(self, space: Space) -> SketchFile:
        path = (self._place / space.file).with_suffix(SKETCHES)
        return SketchFile(path, sketcher(space.dimensions).words)

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


def kept_by(store: Store, exact: int = EXACT) -> Kept:
    """Where the vectors of a collection lie; in a file, beyond ``exact`` that somebody may see, sketches choose among them."""
    return TableVectors(store) if store.shared else FileVectors(store, exact)
