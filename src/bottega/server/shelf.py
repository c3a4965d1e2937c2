"""Responses that were made lately, to be fetched or taken up again; they live in this process alone."""

import asyncio
from collections import OrderedDict
from dataclasses import dataclass, field
from time import time
from typing import Any

from bottega.core.errors import NotFound
from bottega.server.message import Call, encode
from bottega.server.tools import Said

KEPT = 64 << 20  # bytes of answers and what was said before them
SECONDS = 3600.0


@dataclass
class Kept:
    """A response that may be asked for again."""

    owner: str
    body: dict[str, Any]
    turns: list[Said]
    at: float = field(default_factory=time)
    work: "asyncio.Task[None] | None" = None
    call: Call | None = None
    size: int = 0  # bytes, as they are counted against what may be kept


class Shelf:
    """Responses by id, each its owner's."""

    def __init__(self, most: int = KEPT) -> None:
        self._kept: OrderedDict[str, Kept] = OrderedDict()
        self._most = most
        self._size = 0

    def keep(self, kept: Kept) -> None:
        """Keep one, or weigh it again when it has grown.

        The oldest go when there are too many bytes, those that are being made excepted; what is too large alone is
        not kept.
        """
        self.drop(kept.body["id"])
        kept.size = len(encode(kept.body)) + len(encode(kept.turns))
        making = kept.work is not None and not kept.work.done()
        if kept.size > self._most and not making:
            return
        ended = [name for name, each in self._kept.items() if each.work is None or each.work.done()]
        for name in ended:
            if self._size + kept.size <= self._most and time() - self._kept[name].at <= SECONDS:
                break
            self.drop(name)
        self._kept[kept.body["id"]] = kept
        self._size += kept.size

    def holds(self, response: str) -> bool:
        """Whether it is kept still."""
        return response in self._kept

    def get(self, owner: str, response: str, where: str = "response") -> Kept:
        """One of an owner's.

        Raises:
            NotFound: there is none, or it is somebody else's, or it is too old.
        """
        kept = self._kept.get(response)
        if kept is None or kept.owner != owner or time() - kept.at > SECONDS:
            raise NotFound(
                f"no response '{response[:80]}'", where=where, remedy="responses are kept for an hour"
            )
        return kept

    def drop(self, response: str) -> None:
        """Forget one."""
        if (kept := self._kept.pop(response, None)) is not None:
            self._size -= kept.size
