"""Responses that were made lately, to be fetched or taken up again: files of the state folder, which outlive the server.

Where the policy keeps no prompts, they lie in the memory of this process alone.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic, time
from typing import Any

import msgspec

from bottega.core.canonical import digest_bytes
from bottega.core.errors import NotFound
from bottega.server.message import Call, encode, event
from bottega.server.tools import Said
from bottega.storage.disk import appearing, disk

KEPT = 1 << 30  # bytes of all of them
HELD = 64 << 20  # bytes of all of them, in memory
SECONDS = 86_400.0  # that each is kept
SWEEP = 600.0  # seconds between two looks at what is too old or too much
ID = re.compile(r"^resp_[a-z0-9-]{1,80}$")
STOPPED = {"code": "server_error", "message": "the server was stopped while it was made"}


class Stored(msgspec.Struct):
    """What is written of a response. ``worker`` is who makes it, if it is being made."""

    body: dict[str, Any]
    turns: list[Said]
    events: list[str] | None = None
    worker: str = ""


@dataclass
class Kept:
    """A response that may be asked for again; ``events`` are those of a stream that may be taken up, by their numbers."""

    owner: str
    body: dict[str, Any]
    turns: list[Said]
    events: list[str] | None = None
    worker: str = ""
    work: "asyncio.Task[None] | None" = None  # of one that this process makes in the background
    call: Call | None = None
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def id(self) -> str:
        """Its name."""
        return self.body["id"]

    def say(self, told: bytes) -> None:
        """One more event."""
        if self.events is not None:
            self.events.append(told.decode())
        self.wake()

    def wake(self) -> None:
        """Tell who follows that there is news, or an end."""
        self._news.set()
        self._news = asyncio.Event()

    async def follow(self, after: int) -> AsyncIterator[bytes]:
        """The events behind a number, as they come, to the end."""
        at = after + 1
        while True:
            news, ended = self._news, self.work is None or self.work.done()
            while self.events is not None and at < len(self.events):
                yield self.events[at].encode()
                at += 1
            if ended:
                return
            await news.wait()


class Shelf:
    """Responses by id, each its owner's. ``gone`` says why a worker is no longer at work, or ""; without ``folder`` nothing is written."""

    def __init__(self, folder: Path | None, gone: Callable[[str], str], most: int = KEPT) -> None:
        self._folder = folder
        self._gone = gone
        self._most = most
        self._held: dict[tuple[str, str], tuple[float, bytes]] = {}  # by owner and id, oldest first
        self._making: dict[str, Kept] = {}
        self._swept = -SWEEP

    def keep(self, kept: Kept) -> None:
        """Write one down, whole or not at all; one that is being made stays at hand until it is kept again.

        Raises:
            StorageFailed: the disk is full.
        """
        data = encode(Stored(kept.body, kept.turns, kept.events, kept.worker))
        if self._folder is None:
            self._hold(kept.owner, kept.id, data)
        else:
            place = self._place(self._folder, kept.owner, kept.id)
            with disk(self._folder):
                place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
                with appearing(place) as made:
                    made.write_bytes(data)
        if kept.worker:
            self._making[kept.id] = kept
        else:
            self._making.pop(kept.id, None)
        if monotonic() - self._swept > SWEEP:
            self._swept = monotonic()
            self.sweep()

    def holds(self, kept: Kept) -> bool:
        """Whether one that is being made was not deleted in the meantime."""
        return self._making.get(kept.id) is kept

    def get(self, owner: str, response: str, where: str = "response") -> Kept:
        """One of an owner's. One whose worker is gone has failed.

        Raises:
            NotFound: there is none, or it is somebody else's, or it is too old.
        """
        if (kept := self._making.get(response)) is not None and kept.owner == owner:
            return kept
        at, data = self._read(owner, response) if ID.match(response) else (0.0, b"")
        if time() - at > SECONDS:
            raise NotFound(
                f"no response '{response[:80]}'", where=where, remedy="responses are kept for a day"
            )
        stored = msgspec.json.decode(data, type=Stored)
        if stored.worker and self._gone(stored.worker):
            stored.body |= {"status": "failed", "error": STOPPED}
            if stored.events is not None:
                said = {"type": "response.failed", "sequence_number": 0, "response": stored.body}
                stored.events = [event(said, "response.failed").decode()]
        return Kept(owner, stored.body, stored.turns, stored.events, stored.worker)

    def drop(self, owner: str, response: str) -> None:
        """Forget one."""
        self._making.pop(response, None)
        self._held.pop((owner, response), None)
        if self._folder is not None:
            self._place(self._folder, owner, response).unlink(missing_ok=True)

    def sweep(self) -> None:
        """Delete what is older than a day, and the oldest where all are too much."""
        if self._folder is None:
            return
        found = sorted(
            ((each.stat(), each) for each in self._folder.glob("*/resp_*")), key=lambda each: -each[0].st_mtime
        )  # fmt: skip
        size = 0
        for about, place in found:
            size += about.st_size
            if size > self._most or time() - about.st_mtime > SECONDS:
                with suppress(OSError):
                    place.unlink()

    def _read(self, owner: str, response: str) -> tuple[float, bytes]:
        """When it was kept, in seconds since 1970, and what; 0 where there is none."""
        if self._folder is None:
            return self._held.get((owner, response), (0.0, b""))
        place = self._place(self._folder, owner, response)
        try:
            return place.stat().st_mtime, place.read_bytes()
        except FileNotFoundError:
            return 0.0, b""

    def _hold(self, owner: str, response: str, data: bytes) -> None:
        self._held.pop((owner, response), None)
        self._held[owner, response] = time(), data
        while sum(len(each) for _, each in self._held.values()) > min(self._most, HELD):
            del self._held[next(iter(self._held))]

    @staticmethod
    def _place(folder: Path, owner: str, response: str) -> Path:
        return folder / digest_bytes(owner.encode())[:24] / response
