"""Answers that are given again to who asks again under one idempotency key, for routes whose handler does not look at it."""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from time import monotonic
from typing import Any

from bottega.core.canonical import digest_bytes
from bottega.core.errors import Cancelled, KeyReused
from bottega.server.answer import idempotency_key
from bottega.server.message import Call, Flow, Receive, Reply
from bottega.service.keys import ApiKey

KEPT = 16 << 20  # bytes of answers
HEAD = 1000  # bytes of an answer beside its body
SECONDS = 3600.0


@dataclass
class Asked:
    """A request that was made: the digest of what it said, and its answer once that is there."""

    digest: str
    work: "asyncio.Task[Reply | Flow]"
    at: float
    size: int = 0


class Once:
    """Answers of this process's last hour by idempotency key; what failed is forgotten, and made when it is asked again."""

    def __init__(self, most: int = KEPT) -> None:
        self._asked: OrderedDict[str, Asked] = OrderedDict()
        self._most, self._size = most, 0

    async def answer(
        self, call: Call, key: ApiKey, handle: Callable[[], Awaitable[Reply | Flow]]
    ) -> Reply | Flow:
        """The answer of the first request under the call's key, which is waited for; without a key just the answer.

        Raises:
            KeyReused: the key came with another request.
        """
        name = idempotency_key(call, key)
        if not name:
            return await handle()
        body = await call.body()
        call.receive = _again(body, call.receive)
        digest = digest_bytes(call.scope["path"].encode() + b"\0" + body)
        while (known := self._known(name)) is not None:
            if known.digest != digest:
                raise KeyReused(
                    "this key was used for another request", where="idempotency-key", remedy="use a new key"
                )
            try:
                return await asyncio.shield(known.work)
            except Cancelled:
                if call.cancelled.is_set():
                    raise  # else it was the other one who went away
        made = self._asked[name] = Asked(digest, asyncio.ensure_future(handle()), monotonic())
        made.work.add_done_callback(lambda _: self._ended(name, made))
        return await asyncio.shield(made.work)

    def _ended(self, name: str, made: Asked) -> None:
        if made.work.cancelled() or made.work.exception() is not None:
            self._drop(name, made)
            return
        answer = made.work.result()
        made.size = HEAD + (len(answer.body) if isinstance(answer, Reply) else 0)
        self._size += made.size

    def _known(self, name: str) -> Asked | None:
        """Who asked under this name; the oldest answers go when there are too many bytes, or an hour is over."""
        for other, each in [*self._asked.items()]:
            if self._size <= self._most and monotonic() - each.at <= SECONDS:
                break
            if each.work.done():
                self._drop(other, each)
        return self._asked.get(name)

    def _drop(self, name: str, asked: Asked) -> None:
        if self._asked.get(name) is asked:
            del self._asked[name]
            self._size -= asked.size


def _again(body: bytes, receive: Receive) -> Receive:
    """A body that was read, and then whatever else comes."""
    first = True

    async def given() -> MutableMapping[str, Any]:
        nonlocal first
        if first:
            first = False
            return {"type": "http.request", "body": body, "more_body": False}
        return await receive()

    return given
