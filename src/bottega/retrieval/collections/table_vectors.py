"""The vectors of a collection in PostgreSQL, by the extension pgvector, for the processes of several hosts."""

from collections.abc import Sequence

from bottega.retrieval.collections.spaces import Space
from bottega.retrieval.collections.store import Store, marks
from bottega.retrieval.collections.vectors import DECIMALS
from bottega.retrieval.embed import Vectors


class TableVectors:
    """Vectors stand in the row that says whose they are, so that they come and go with it.

    Search is exact, as in a file: a graph would let hidden rows push visible ones out.

    Source: pgvector 0.8; ``<#>`` is the dot product with its sign changed.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    def keep(self, space: Space, vectors: Vectors) -> Sequence[str]:
        """As pgvector reads them; they are written with the passages."""
        return [_written(vector) for vector in vectors]

    def blank(self) -> None:
        """Nothing: there is no file."""

    def nearest(
        self, space: Space, query: Vectors, shelves: Sequence[int], top: int
    ) -> list[tuple[int, float]]:
        """Scores are rounded as those of a file are; equal ones stand in the order of the passages."""
        rows = self._store.rows(
            'SELECT passage, ("row" <#> ?) AS distance FROM vectors JOIN passages ON passages.id = passage '
            "JOIN documents ON documents.id = document "
            f"WHERE space = ? AND documents.state = 'indexed' AND shelf IN ({marks(shelves)}) "
            "ORDER BY distance, passage LIMIT ?",
            _written(query),
            space.id,
            *shelves,
            top,
        )
        scored = [(int(passage), round(-float(distance), DECIMALS)) for passage, distance in rows]
        return sorted(scored, key=lambda hit: (-hit[1], hit[0]))

    def mend(self, space: Space) -> None:
        """Nothing: a vector cannot be lost without its row."""

    def tidy(self, space: Space | None = None) -> None:
        """Nothing: the server gives the place back itself (autovacuum)."""


def _written(vector: Vectors) -> str:
    """Nine digits tell every float32 from the next."""
    return f"[{','.join(['%.9g' % number for number in vector.tolist()])}]"  # noqa: UP031 - half the time of a format string
