"""Responses that were made lately, to be fetched or taken up again; they live in this process alone."""

import asyncio
from collections import OrderedDict
from dataclasses import dataclass, field
from time import time
from typing import Any

from bottega.core.errors import NotFound
from bottega.server.message import Call

KEPT = 1000  # answers
SECONDS = 3600.0


@dataclass
class Kept:
    """A response that may be asked for again."""

    owner: str
    body: dict[str, Any]
    turns: list[dict[str, str]]
    at: float = field(default_factory=time)
    work: "asyncio.Task[None] | None" = None
    call: Call | None = None


class Shelf:
    """Responses by id, each its owner's."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, Kept] = OrderedDict()

    def keep(self, kept: Kept) -> None:
        """Keep one; the oldest go when there are too many."""
        self._kept[kept.body["id"]] = kept
        while len(self._kept) > KEPT:
            self._kept.popitem(last=False)

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
        self._kept.pop(response, None)
