"""Collections of documents: index, search, list, remove."""

import asyncio
import re
import shutil
import threading
import time
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from bottega.core.entry import Act
from bottega.core.errors import InvalidValue, NotFound, StorageFailed
from bottega.core.value import JsonObject
from bottega.pipelines.workshop import Workshop
from bottega.retrieval import embed
from bottega.retrieval.collections.collection import NOBODY, Collection, Hit, Method
from bottega.retrieval.collections.file_vectors import kept_by
from bottega.retrieval.collections.files import roots
from bottega.retrieval.collections.indexing import Indexer, Tools
from bottega.retrieval.collections.lock import collection_lock
from bottega.retrieval.collections.removing import remove, settle
from bottega.retrieval.collections.report import Progress, Report, Told
from bottega.retrieval.collections.schema import FILE
from bottega.retrieval.collections.store import DocumentRow, Labels, Store, server_of
from bottega.storage.artifacts import ArtifactStore
from bottega.storage.cache import PrivateFolder

WORDS_ONLY = "none"  # the embedder of a collection without vectors
PATIENCE = 5.0  # seconds that the deletion of a collection waits for who indexes it
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:@/-]{0,127}")


@dataclass(frozen=True)
class Listed:
    """A collection as a user with certain labels sees it; ``folder`` is "." for one of another machine.

    ``next_embedder`` is that whose vectors are being made, or wait to be made further; empty when none is to come.
    """

    name: str
    documents: int
    passages: int
    embedder: str
    folder: Path = Path()
    next_embedder: str = ""


class Collections:
    """The collections of this machine, or those that hosts share. What is open stays open until `close`."""

    def __init__(self, shop: Workshop, actor: str) -> None:
        self._shop = shop
        self._actor = actor
        self._folder = shop.collections
        self._server = server_of(shop.collections_server)
        self._open: dict[str, Collection] = {}
        self._embedders: dict[str, embed.Embedder] = {}

    async def index(
        self,
        name: str,
        paths: Sequence[Path] = (),
        *,
        labels: Iterable[str] | None = None,
        prune: bool = False,
        embedder: str = "",
        watch: Callable[[Progress], None] = lambda progress: None,
        cancelled: threading.Event | None = None,
    ) -> Report:
        """Index what is new or changed under these paths; the collection is made if there is none.

        While another process indexes the collection, it waits for its turn. Another embedder comes first: its vectors
        are made while the earlier ones are searched and others index and remove, then all are swapped at once.

        Args:
            name: of the collection.
            paths: files and folders; with none, only the embedder is changed.
            labels: whoever may see these documents must have all of them. Not given: a known document keeps its
                labels and a new one is for all; empty: for all.
            prune: remove documents whose files under the paths have vanished.
            embedder: a model, or ``none`` for words only; not given: the collection's own, at first the default.
            watch: called with every step of progress.
            cancelled: set it to stop; the next call goes on.

        Raises:
            InvalidValue: no collection or label can have this name.
            UnreadableSource: a path is not there. What is wrong with single documents stands in the report.
            SetupError: the embedder's weights or an optional package are missing.
            StorageFailed: the disk is full.
            Cancelled: what was acknowledged stays.
        """
        await asyncio.to_thread(roots, paths)
        folder = self._folder / _named(name)
        given = None if labels is None else labelled(labels)
        with self._private() as shop:
            while True:
                chosen, tools, changed = await asyncio.to_thread(self._tools, folder, embedder)
                tools = replace(tools, ask=partial(shop.ask, cancelled=cancelled), store=shop.artifacts.put)
                indexer = await asyncio.to_thread(Indexer, folder, tools, watch, cancelled, self._server)
                try:
                    report = await indexer.embed() if changed or not paths else None
                    if paths:
                        report = await indexer.index(paths, labels=given, prune=prune)
                    break
                except InvalidValue:  # another process has changed the embedder meanwhile: that one is taken
                    if embedder or await asyncio.to_thread(self._present, folder) == (chosen, tools.weights):
                        raise
                finally:
                    indexer.close()
        assert report is not None
        await asyncio.to_thread(self._record, Act.COLLECTION_INDEXED, name, _facts(report, given, chosen))
        return report

    async def remove(
        self, name: str, documents: Sequence[str], *, allowed: Iterable[str] | None = None
    ) -> Report:
        """Remove documents by name; their passages, vectors and answers from them are gone when this returns.

        It waits for nobody. While another process indexes, what the files still hold of them, where nobody finds it, is
        erased by that process before it goes on, and it does not bring them back. Copies of files that were sent to a
        server go too. With ``allowed``, no document counts that somebody with these labels may not see.

        Raises:
            NotFound: there is no such collection or document; nothing is removed then.
        """
        folder, began = self._existing(name), time.monotonic()
        labels = None if allowed is None else labelled(allowed)

        def taken_out() -> tuple[Sequence[DocumentRow], bool]:
            with closing(Store(folder, self._server)) as store:
                gone = remove(store, documents, labels)
                self._drop_sent(name, (each.place for each in gone))
                return gone, settle(store, kept_by(store, self._shop.exact), self._server)

        gone, settled = await asyncio.to_thread(taken_out)
        notes = () if settled else ("another process is indexing, and erases it from the index files",)
        told = [
            Told(name=each.name, outcome="removed", notes=notes) for each in gone if each.state == "indexed"
        ]
        report = Report(collection=name, documents=tuple(told), seconds=round(time.monotonic() - began, 3))
        await asyncio.to_thread(self._record, Act.COLLECTION_REMOVED, name, _facts(report, None, ""))
        return report

    async def search(
        self,
        name: str,
        query: str,
        *,
        allowed: Iterable[str] = (),
        top: int = 10,
        method: Method = "fusion",
    ) -> list[Hit]:
        """As `Collection.search`."""
        labels = labelled(allowed)

        def found() -> list[Hit]:
            return self.open(name).search(query, allowed=labels, top=top, method=method)

        return await asyncio.to_thread(found)

    def open(self, name: str) -> Collection:
        """A collection to search in; closed with this object.

        Raises:
            NotFound: there is none of this name.
        """
        if self._server and name in self._open and name not in self._names():
            self._open.pop(name).close()  # another host deleted it
        if name not in self._open:
            self._open[name] = Collection(
                self._folder / _named(name), self._embedder, server=self._server, exact=self._shop.exact
            )
        return self._open[name]

    def all(self, *, allowed: Labels = NOBODY) -> list[Listed]:
        """Every collection, counted as a user with these labels sees it."""
        found: list[Listed] = []
        for name in self._names():
            collection = self.open(name)
            documents, passages = collection.counts(allowed=allowed)
            now, later = collection.space, collection.in_the_making
            embedder = now.embedder if now else WORDS_ONLY
            found.append(
                Listed(
                    name, documents, passages, embedder, self._folder / name, later.embedder if later else ""
                )
            )
        return found

    def delete(self, name: str) -> None:
        """Remove a whole collection.

        Raises:
            NotFound: there is none of this name.
            StorageFailed: another process is indexing it.
        """
        folder = self._existing(name)
        with ExitStack() as stack:
            until = time.monotonic() + PATIENCE  # who makes vectors has the lock for moments
            while not stack.enter_context(collection_lock(folder, self._server)):
                stack.close()
                if time.monotonic() > until:
                    raise _busy(name)
                time.sleep(0.02)
            if name in self._open:
                self._open.pop(name).close()
            if self._server:
                self._server.drop(name)
            else:
                (folder / FILE).unlink()  # first, so that a half-deleted collection is none
            shutil.rmtree(folder)
            shutil.rmtree(self.sent(name), ignore_errors=True)
        self._record(Act.COLLECTION_REMOVED, name, {"whole": True})

    def sent(self, name: str) -> Path:
        """Where files lie that were sent to a server for this collection; not on other hosts that share it."""
        return self._folder.parent / "uploads" / name

    def _drop_sent(self, name: str, places: Iterable[str]) -> None:
        for place in map(Path, places):
            if place.is_relative_to(self.sent(name).resolve()):
                place.unlink(missing_ok=True)

    def close(self) -> None:
        """Close every collection that was opened."""
        while self._open:
            self._open.popitem()[1].close()
        if self._server:
            self._server.close()

    @contextmanager
    def _private(self) -> Generator[Workshop]:
        """The workshop with artifacts that end here: pages and sounds given to other engines would outlive their document."""
        own = PrivateFolder(self._shop.scratch)
        try:
            yield replace(
                self._shop, artifacts=ArtifactStore(own.path / "artifacts"), _scratch=own, _folders=[]
            )
        finally:
            own.close()

    def _names(self) -> list[str]:
        if self._server:
            return sorted(self._server.names())
        return sorted(file.parent.name for file in self._folder.glob(f"*/{FILE}"))

    def _existing(self, name: str) -> Path:
        folder = self._folder / _named(name)
        if name not in self._names():
            raise NotFound(f"there is no collection '{name}'", remedy="`bottega collections` lists them")
        return folder

    def unfinished(self) -> dict[str, str]:
        """Collections that shall have another embedder, whose vectors are not all made, with that embedder."""
        found = {name: self.open(name).in_the_making for name in self._names()}
        return {name: space.embedder for name, space in found.items() if space is not None}

    def _present(self, folder: Path) -> tuple[str, str]:
        """The embedder that a collection has, and the digest of its weights; empty when there is no collection yet."""
        if folder.name not in self._names():
            return "", ""
        space = self.open(folder.name).space
        return (space.embedder, space.weights) if space else (WORDS_ONLY, "")

    def _tools(self, folder: Path, wanted: str) -> tuple[str, Tools, bool]:
        """The embedder's name, it with its weights, and whether the collection has to be embedded anew with it."""
        present, embedded_by = self._present(folder)
        chosen = wanted or present or embed.DEFAULT
        if chosen == WORDS_ONLY:
            return chosen, Tools(exact=self._shop.exact), bool(wanted)
        model, weights = self._embedder(chosen)
        tools = Tools(embedder=model, weights=weights, exact=self._shop.exact)
        return chosen, tools, bool(wanted or (present and weights != embedded_by))

    def _embedder(self, name: str) -> tuple[embed.Embedder, str]:
        """An embedder and the digest of its weights."""
        if name not in self._embedders:
            self._embedders[name] = embed.load(name, self._shop.catalog, self._shop.threads)
        return self._embedders[name], self._shop.catalog.get(name).digest

    def _record(self, act: Act, name: str, facts: JsonObject) -> None:
        self._shop.journal.write(act, f"collection/{name}", actor=self._actor, detail=facts)


def labelled(labels: Iterable[str]) -> Labels:
    """Labels from what people write.

    Raises:
        InvalidValue: one cannot be a label.
    """
    found = frozenset(labels)
    for label in sorted(found):
        if not _LABEL.fullmatch(label):
            raise InvalidValue(
                f"'{label}' is no label",
                where="label",
                remedy="write letters, digits and ._:@/- such as team:hr",
            )
    return found


def _named(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise InvalidValue(
            f"'{name}' cannot be the name of a collection",
            where="name",
            remedy="write small letters, digits, and ._- after the first",
        )
    return name


def _busy(name: str) -> StorageFailed:
    return StorageFailed(
        f"another process is indexing '{name}'", where="collection", remedy="wait until it ends, or stop it"
    )


def _facts(report: Report, labels: Labels | None, embedder: str) -> JsonObject:
    """What the record keeps: how many documents of each outcome, no names, because a name may be a secret."""
    facts: JsonObject = {**report.counts, "embedded": report.embedded}
    if labels is not None:
        facts["labels"] = sorted(labels)
    return facts | ({"embedder": embedder} if embedder else {})
