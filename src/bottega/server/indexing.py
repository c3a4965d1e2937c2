"""Indexing as work of the server: it goes on when who asked goes away, and tells how far it has come."""

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bottega.core.errors import BottegaError, NotFound
from bottega.retrieval.collections.report import Progress, Report
from bottega.service.collections import Collections

KEPT = 200  # that have ended; the oldest are forgotten
BEAT = 15.0  # seconds of silence after which listeners are told that it is still at work
log = logging.getLogger("bottega.server")


@dataclass(eq=False)
class Indexing:
    """One call that indexes. ``count`` numbers what it told; of that only the last is kept, because it says all."""

    id: str
    owner: str
    collection: str
    stop: threading.Event = field(default_factory=threading.Event)
    progress: Progress | None = None
    count: int = -1
    work: "asyncio.Future[Report]" = field(default_factory=asyncio.Future[Report])
    _bell: asyncio.Event = field(default_factory=asyncio.Event)

    def tell(self, progress: Progress) -> None:
        """Note how far it has come."""
        self.progress = progress
        self.count += 1
        self.ring()

    def ring(self) -> None:
        """Wake who listens."""
        bell, self._bell = self._bell, asyncio.Event()
        bell.set()

    async def follow(self, after: int = -1) -> AsyncIterator[tuple[int, Progress] | None]:
        """What it tells, with its number, from the first behind ``after`` on, until it ends; None while it is silent."""
        while True:
            bell = self._bell
            if self.progress is not None and self.count > after:
                after = self.count
                yield after, self.progress
            elif self.work.done():
                return
            else:
                try:
                    await asyncio.wait_for(bell.wait(), BEAT)
                except TimeoutError:
                    yield None

    def shown(self) -> dict[str, Any]:
        """As it is told: what came of it once it has ended.

        Raises:
            BottegaError: it has failed, or was stopped.
        """
        report = self.work.result() if self.work.done() else None
        return {
            "id": self.id,
            "object": "collection.indexing",
            "collection": self.collection,
            "state": "done" if report else "running",
            "progress": self.progress.document() if self.progress else None,
            "report": report.document() if report else None,
        }


class Indexings:
    """Those of this process. A killed process leaves what was acknowledged; `resume` goes on with changes of embedders."""

    def __init__(self, collections: Collections) -> None:
        self._collections = collections
        self._kept: dict[str, Indexing] = {}

    def begin(
        self,
        id_: str,
        owner: str,
        collection: str,
        paths: Sequence[Path] = (),
        *,
        labels: Sequence[str] | None = None,
        embedder: str = "",
    ) -> Indexing:
        """Begin one; the same id gives the same one."""
        if (known := self._kept.get(id_)) is not None and known.owner == owner:
            return known
        made = Indexing(id_, owner, collection)
        made.work = asyncio.ensure_future(
            self._collections.index(
                collection, paths, labels=labels, embedder=embedder, watch=made.tell, cancelled=made.stop
            )
        )
        made.work.add_done_callback(lambda work: self._ended(made, work))
        ended = [each for each in self._kept.values() if each.work.done()]
        for old in ended[: max(0, len(ended) - KEPT)]:
            del self._kept[old.id]
        self._kept[id_] = made
        return made

    def get(self, owner: str, collection: str, id_: str) -> Indexing:
        """One of an owner's.

        Raises:
            NotFound: there is none, it is somebody else's, or the server was started since.
        """
        found = self._kept.get(id_)
        if found is None or (found.owner, found.collection) != (owner, collection):
            raise NotFound(
                f"no indexing '{id_[:80]}'",
                where="indexing",
                remedy="send the files again: what was indexed is not done again",
            )
        return found

    async def resume(self) -> None:
        """Go on with changes of embedders that another process has left."""
        try:
            for name, embedder in (await asyncio.to_thread(self._collections.unfinished)).items():
                log.info("%s goes on with the vectors of %s", name, embedder)
                self.begin(f"indexing-{name}", "", name, embedder=embedder)
        except BottegaError as error:
            log.warning("unfinished collections rest: %s", error)

    async def end(self) -> None:
        """Stop all; what was acknowledged stays."""
        for each in self._kept.values():
            each.stop.set()
        await asyncio.gather(*(each.work for each in self._kept.values()), return_exceptions=True)

    def _ended(self, indexing: Indexing, work: "asyncio.Future[Report]") -> None:
        if not work.cancelled() and (error := work.exception()) is not None and not indexing.owner:
            log.warning("%s rests: %s", indexing.collection, error)
        indexing.ring()
