"""Vectors for passages that lack them, and another embedder: its vectors are made while the earlier ones are searched, then swapped."""

import asyncio
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass

from bottega.retrieval.collections import spaces
from bottega.retrieval.collections.lock import Work
from bottega.retrieval.collections.report import Progress
from bottega.retrieval.collections.store import Store
from bottega.retrieval.embed import Embedder
from bottega.retrieval.lexical import searched

BATCH = 64  # passages embedded and written at a time

Turn = Callable[[Work], AbstractAsyncContextManager[None]]


@dataclass
class Embedding:
    """Makes vectors of one embedder (none: of words only) for a collection; ``check`` raises when it shall stop.

    What it has written stays when its process is killed, and the next one goes on from there.
    """

    store: Store
    kept: spaces.Kept
    embedder: Embedder | None
    weights: str
    tell: Callable[[Progress], None]
    check: Callable[[], None]
    embedded: int = 0  # passages

    async def change(self, turn: Turn) -> None:
        """Make this the collection's embedder. Others write between two batches, and what they wrote has both vectors.

        Raises:
            Cancelled: it shall stop, or yet another embedder was asked for meanwhile.
            StorageFailed: the disk is full.
        """
        async with turn("writing"):
            space = await asyncio.to_thread(self._begun)
        async with turn("embedding"):
            while True:
                if space is not None:
                    await self.fill(space, turn)
                async with turn("writing"):
                    if space is not None and await asyncio.to_thread(spaces.left, self.store, space):
                        continue  # a document came after the last batch
                    await asyncio.to_thread(self._swapped, space)
                    return

    async def fill(self, space: spaces.Space, turn: Turn) -> None:
        """Give every passage a vector in this space; a turn is had for each batch, when it is written."""
        if self.embedder is None:
            return
        done, began = 0, time.monotonic()
        of = await asyncio.to_thread(spaces.left, self.store, space)
        while batch := await asyncio.to_thread(spaces.missing, self.store, space, BATCH):
            self.check()
            if done >= of:  # documents came meanwhile
                of = done + await asyncio.to_thread(spaces.left, self.store, space)
            left = (time.monotonic() - began) / done * (of - done) if done else None
            self.tell(Progress(stage="vectors", done=done, of=of, passages=done, seconds_left=left))
            texts = [searched(heading, text) for _, heading, text in batch]
            rows = await asyncio.to_thread(self.embedder.passages, texts)
            passages = [passage for passage, _, _ in batch]
            async with turn("writing"):
                some = await asyncio.to_thread(spaces.attach, self.store, self.kept, space, passages, rows)
            done += some
            self.embedded += some

    def _begun(self) -> spaces.Space | None:
        space = spaces.prepared(self.store, self.embedder, self.weights) if self.embedder else None
        spaces.dropped_but(self.store, space)
        if space is not None:
            self.kept.mend(space)
        return space

    def _swapped(self, space: spaces.Space | None) -> None:
        now = spaces.active(self.store)
        if (now.id if now else 0) != (space.id if space else 0):
            spaces.swap(self.store, space)
            self.kept.tidy()
