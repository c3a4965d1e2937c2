"""Collections for tests: an embedder that needs no weights, and the two sides of a collection in one object."""

import asyncio
import hashlib
import re
import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from pathlib import Path

import numpy as np

from bottega.core.errors import NotFound
from bottega.retrieval.collections.collection import Collection, Hit, Method
from bottega.retrieval.collections.file_vectors import kept_by
from bottega.retrieval.collections.indexing import Indexer, Tools
from bottega.retrieval.collections.removing import remove, settle
from bottega.retrieval.collections.report import Progress, Report
from bottega.retrieval.collections.server import Server
from bottega.retrieval.collections.sketch import EXACT
from bottega.retrieval.collections.store import Store
from bottega.retrieval.embed import Embedder, Vectors, unit


class Hashed:
    """Every word is one of 64 directions: texts are near when they share words."""

    dimensions = 64

    def __init__(self, id: str = "hashed", meanwhile: Callable[[], None] = lambda: None) -> None:
        self.id = id
        self.embedded = 0
        self.meanwhile = meanwhile  # called before passages are embedded

    def passages(self, texts: Sequence[str]) -> Vectors:
        self.meanwhile()
        self.embedded += len(texts)
        return np.stack([self.query(text) for text in texts])

    def query(self, text: str) -> Vectors:
        vector = np.zeros(self.dimensions, dtype=np.float32)
        for word in re.findall(r"\w+", text.lower()):
            vector[hashlib.sha256(f"{self.id}{word}".encode()).digest()[0] % self.dimensions] += 1
        return unit(vector)


class Shelved:
    """A collection in ``folder/collection``, or on a server, of the files under ``folder/files``."""

    def __init__(
        self, folder: Path, embedder: Embedder | None = None, server: Server | None = None, exact: int = EXACT
    ) -> None:
        self.place = folder / "collection"
        self.server = server
        self.exact = exact
        self.files = folder / "files"
        self.files.mkdir(parents=True, exist_ok=True)
        self.embedder = embedder

    def write(self, name: str, content: str | bytes) -> Path:
        path = self.files / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def index(
        self,
        *paths: Path,
        labels: Iterable[str] | None = None,
        prune: bool = False,
        tools: Tools | None = None,
    ) -> Report:
        given = tools or Tools(embedder=self.embedder, weights="1", exact=self.exact)
        chosen = None if labels is None else frozenset(labels)

        async def both() -> Report:
            await indexer.embed()
            return await indexer.index(paths or [self.files], labels=chosen, prune=prune)

        indexer = self.indexer(given)
        try:
            return asyncio.run(both())
        finally:
            indexer.close()

    def add(self, *paths: Path) -> Report:
        """Index with the collection's own embedder, whatever it is to be."""
        indexer = self.indexer(Tools(embedder=self.embedder, weights="1", exact=self.exact))
        try:
            return asyncio.run(indexer.index(paths))
        finally:
            indexer.close()

    def change(self, embedder: Embedder) -> int:
        """Make this its embedder; gives how many passages it embedded."""
        indexer = self.indexer(Tools(embedder=embedder, weights="1", exact=self.exact))
        try:
            return asyncio.run(indexer.embed()).embedded
        finally:
            indexer.close()

    def remove(self, *names: str) -> list[str]:
        """Gives the names of what is gone."""
        with closing(Store(self.place, self.server)) as store:
            gone = remove(store, names)
            settle(store, kept_by(store, self.exact), self.server)
            return [each.name for each in gone]

    def indexer(
        self,
        tools: Tools,
        told: Callable[[Progress], None] = lambda progress: None,
        stop: threading.Event | None = None,
    ) -> Indexer:
        return Indexer(self.place, tools, told, stop, self.server)

    def open(self) -> Collection:
        return Collection(self.place, self._embedder, server=self.server, exact=self.exact)

    def search(self, query: str, *labels: str, method: Method = "fusion", top: int = 10) -> list[Hit]:
        collection = self.open()
        try:
            return collection.search(query, allowed=frozenset(labels), method=method, top=top)
        finally:
            collection.close()

    def names(self, query: str, *labels: str, method: Method = "words") -> list[str]:
        return [hit.document.name for hit in self.search(query, *labels, method=method)]

    def _embedder(self, name: str) -> tuple[Embedder, str]:
        if self.embedder is None or self.embedder.id != name:
            raise NotFound(f"no embedder '{name}'")
        return self.embedder, "1"


def outcomes(report: Report) -> dict[str, str]:
    """What came of each document."""
    return {told.name: told.outcome for told in report.documents}
