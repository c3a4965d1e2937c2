"""The reading side of a collection: `Collection.search`."""

import json
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from bottega.core.errors import InvalidValue, NotFound, StorageFailed, WeightsMissing
from bottega.core.passage import Passage
from bottega.retrieval.collections.file_vectors import kept_by
from bottega.retrieval.collections.lock import collection_lock
from bottega.retrieval.collections.memory import Memory
from bottega.retrieval.collections.removing import settle
from bottega.retrieval.collections.schema import FILE
from bottega.retrieval.collections.shelves import Shelf, catch_up, current, reached, shelves_of
from bottega.retrieval.collections.sketch import EXACT
from bottega.retrieval.collections.spaces import Space, active, in_the_making
from bottega.retrieval.collections.store import DocumentRow, Labels, Store, marks
from bottega.retrieval.collections.words import ShelfIndex, rank
from bottega.retrieval.embed import Embedder
from bottega.retrieval.fusion import DEPTH, Reranker, blend, fuse

if TYPE_CHECKING:
    from bottega.retrieval.collections.server import Server

Method = Literal["words", "vectors", "fusion", "rrf", "reranked"]
NOBODY: Labels = frozenset()
SPARE = 20  # passages looked up beyond those asked for, should some be gone meanwhile
RERANKED = 30  # passages that a reranker looks at


@dataclass(frozen=True)
class Hit:
    """A passage that answers; scores compare only within one search."""

    passage: Passage
    score: float
    document: DocumentRow
    language: str


@dataclass(frozen=True)
class _View:
    """What was there when the collection and this host's word indexes had come so far."""

    key: tuple[str, int, int]
    shelves: Sequence[Shelf]
    space: Space | None


class Collection:
    """Searches a collection under access labels; may be used from several threads.

    ``embedder`` gives an embedder by its id with the digest of its weights; it is asked on the first search by vectors.

    Raises:
        NotFound: there is no such collection.
        StorageFailed: it is damaged.
    """

    def __init__(
        self,
        folder: Path,
        embedder: Callable[[str], tuple[Embedder, str]],
        reranker: Reranker | None = None,
        server: "Server | None" = None,
        exact: int = EXACT,
    ) -> None:
        if not (folder.name in server.names() if server else (folder / FILE).is_file()):
            raise NotFound(
                f"there is no collection '{folder.name}'", remedy=f"bottega index {folder.name} PATH makes it"
            )
        self.name = folder.name
        self.reranker = reranker
        self._folder = folder
        self._embedder = embedder
        self._server = server
        self._store = Store(folder, server)
        self._kept = kept_by(self._store, exact)
        self._lock = threading.Lock()
        self._indexes: dict[tuple[str, int], ShelfIndex] = {}
        self._seen: _View | None = None

    def search(
        self, query: str, *, allowed: Labels = NOBODY, top: int = 10, method: Method = "fusion"
    ) -> list[Hit]:
        """The passages that answer best, best first, among those that a user with the labels ``allowed`` may see.

        ``fusion`` is the mean of the scores by words and by vectors, ``rrf`` fuses their ranks, ``reranked`` looks at the
        best of ``fusion`` again. A collection of words only answers both by words.

        Raises:
            InvalidValue: no question, ``top`` is not from 1 to 1000, or ``method`` cannot be used here.
            WeightsMissing: the embedder's weights are not here, or are others than the collection's.
        """
        if not query.strip():
            raise InvalidValue("there is no question", where="query", remedy="say what to look for")
        if not 1 <= top <= 1000:
            raise InvalidValue(f"{top} results", where="top", remedy="ask for 1 to 1000")
        while True:
            view = self._view()
            try:
                return self._found(query, allowed, top, method, view)
            except StorageFailed:  # a file of the view may be gone: vectors were swapped, or written anew
                if self._view().key == view.key:
                    raise

    def _found(self, query: str, allowed: Labels, top: int, method: Method, view: _View) -> list[Hit]:
        if method == "reranked":
            return self._reranked(query, allowed, top)
        depth = max(DEPTH, 2 * top)
        if method == "vectors":
            ranked = self._vectors(query, allowed, depth, view)
        else:
            ranked = self._words(query, allowed, depth, view)
        if method in ("fusion", "rrf") and view.space is not None:
            vectors = self._vectors(query, allowed, depth, view)
            both = [[passage for passage, _ in each] for each in (ranked, vectors)]
            ranked = blend(ranked, vectors) if method == "fusion" else fuse(both)
        return self._hits(ranked[: top + SPARE], allowed)[:top]

    def documents(self, *, allowed: Labels = NOBODY) -> list[DocumentRow]:
        """The documents that a user may see, by name; what could not be indexed is not among them."""
        return [each for each in self._store.documents("state = 'indexed'") if each.labels <= allowed]

    def counts(self, *, allowed: Labels = NOBODY) -> tuple[int, int]:
        """How many documents and passages a user may see."""
        visible = [shelf.id for shelf in shelves_of(self._store) if shelf.visible(allowed)]
        passages = self._store.rows(
            "SELECT count(*) FROM passages JOIN documents ON documents.id = document "
            f"WHERE state = 'indexed' AND shelf IN ({marks(visible)})",
            *visible,
        )[0][0]
        return len(self.documents(allowed=allowed)), int(passages)

    def passages(self, document: str, *, allowed: Labels = NOBODY, digest: str = "") -> list[Hit]:
        """All passages of a document in their order, for a page that shows one of them in its place.

        ``digest`` says which, where several documents under other labels have the same name.

        Raises:
            NotFound: the user sees no document of this name.
        """
        named = self._store.documents("name = ? AND state = 'indexed'", document)
        seen = [each.id for each in named if each.labels <= allowed and digest in ("", each.digest)]
        rows = self._store.rows("SELECT id FROM passages WHERE document = ? ORDER BY n", *seen[:1] or [0])
        found = self._hits([(passage, 0.0) for (passage,) in rows], allowed)
        if not found:
            raise NotFound(
                f"no document '{document}' in '{self.name}'", remedy="`bottega collections` lists them"
            )
        return found

    @property
    def memory(self) -> Memory:
        """Answers that were given, and conversations."""
        return Memory(self._store)

    def last_change(self, allowed: Labels) -> int:
        """As `Store.last_change`: an answer for somebody with these labels is good until it grows."""
        return self._store.last_change(allowed)

    @property
    def space(self) -> Space | None:
        """The vectors that are searched; None in a collection of words only."""
        return active(self._store)

    @property
    def in_the_making(self) -> Space | None:
        """The vectors that shall be searched once they are all made; None when nothing changes."""
        return in_the_making(self._store)

    def close(self) -> None:
        """Close its files."""
        self._store.close()

    def _reranked(self, query: str, allowed: Labels, top: int) -> list[Hit]:
        if self.reranker is None:
            raise InvalidValue("no reranker is at hand", where="method", remedy="search by fusion")
        hits = self.search(query, allowed=allowed, top=max(RERANKED, top))
        scores = self.reranker.scores(query, [hit.passage.text for hit in hits])
        scored = [replace(hit, score=float(score)) for hit, score in zip(hits, scores, strict=True)]
        return sorted(scored, key=lambda hit: -hit.score)[:top]

    def _words(self, query: str, allowed: Labels, depth: int, view: _View) -> list[tuple[int, float]]:
        seen = [shelf for shelf in view.shelves if shelf.folder and shelf.visible(allowed)]
        return rank([(self._index(shelf), shelf.analyser) for shelf in seen], query, depth)

    def _vectors(self, query: str, allowed: Labels, depth: int, view: _View) -> list[tuple[int, float]]:
        space = view.space
        if space is None:
            raise InvalidValue(
                f"'{self.name}' has no vectors",
                where="method",
                remedy=f"search by words, or: bottega index {self.name} --embedder arctic-embed-s",
            )
        embedder, weights = self._embedder(space.embedder)
        if weights != space.weights:
            raise WeightsMissing(
                f"'{self.name}' was embedded with other weights of {space.embedder}",
                remedy=f"bottega index {self.name} --embedder {space.embedder}",
            )
        visible = [shelf.id for shelf in view.shelves if shelf.visible(allowed)]
        return self._kept.nearest(space, embedder.query(query), visible, depth)

    def _hits(self, ranked: Sequence[tuple[int, float]], allowed: Labels) -> list[Hit]:
        """Passages that are still there and visible; equal scores by document and place."""
        found = self._fetch([passage for passage, _ in ranked])
        hits = [
            replace(found[passage], score=score)
            for passage, score in ranked
            if passage in found and found[passage].document.labels <= allowed
        ]
        return sorted(hits, key=lambda hit: (-hit.score, hit.document.name, hit.passage.start))

    def _fetch(self, passages: Iterable[int]) -> dict[int, Hit]:
        wanted = list(passages)
        rows: list[Any] = self._store.rows(
            'SELECT id, document, n, page, start, "end", heading, language, text, boxes, lines '
            f"FROM passages WHERE id IN ({marks(wanted)})",
            *wanted,
        )
        ids = sorted({row[1] for row in rows})
        documents = {
            each.id: each
            for each in self._store.documents(f"state = 'indexed' AND id IN ({marks(ids)})", *ids)
        }
        return {
            id_: Hit(
                Passage(
                    id=f"{source.name}#{n}", source=source.name, sha256=source.digest, page=page, start=start,
                    end=end, heading=heading, text=text, boxes=json.loads(boxes or "[]"), lines=json.loads(lines or "[]"),
                ),
                0.0,
                source,
                language,
            )
            for id_, document, n, page, start, end, heading, language, text, boxes, lines in rows
            if (source := documents.get(document))
        }  # fmt: skip

    def _index(self, shelf: Shelf) -> ShelfIndex:
        key = (shelf.folder, shelf.generation)
        with self._lock:
            if key not in self._indexes:
                self._indexes = {
                    each: index for each, index in self._indexes.items() if each[0] != shelf.folder
                }
                self._indexes[key] = ShelfIndex(self._folder / "words" / shelf.folder, shelf.analyser)
            return self._indexes[key]

    def _view(self) -> _View:
        words = self._folder / "words"
        at = current(self._store, words)
        if at is None:  # a writer was killed, is at work, or is on another host
            with collection_lock(self._folder) as held:
                if held:
                    catch_up(self._store, words)
            settle(self._store, self._kept, self._server)  # what was taken out while this one had the lock
            at = reached(self._store, words)
        key = (self._store.stamp, self._store.generation, at.generation)
        with self._lock:
            if self._seen is None or self._seen.key != key:
                self._seen = _View(key, shelves_of(self._store, at), active(self._store))
            return self._seen
