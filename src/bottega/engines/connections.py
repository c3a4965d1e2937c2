"""Kept connections to other servers: a request costs no new connection, and nobody else's proxies or cookies."""

import asyncio
import weakref
from typing import Any

from bottega.engines.base import require

MOST = 512  # connections of one event loop


class Connections:
    """One pool for each event loop. A task of the loop holds it, so that it is closed when the loop ends its tasks."""

    def __init__(self) -> None:
        self._pools: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, tuple[Any, asyncio.Task[None]]] = (
            weakref.WeakKeyDictionary()
        )

    def session(self) -> Any:
        """The pool of the running loop, an ``aiohttp.ClientSession``.

        Raises:
            ExtraMissing: without the extra ``remote``.
        """
        loop = asyncio.get_running_loop()
        session, holding = self._pools.get(loop, (None, None))
        if session is None or holding is None or holding.done():
            aiohttp: Any = require("aiohttp", extra="remote")
            connector = aiohttp.TCPConnector(limit=MOST, ttl_dns_cache=60)
            session = aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())
            self._pools[loop] = (session, loop.create_task(_held(session)))
        return session

    def close(self) -> None:
        """Close every connection; what a loop that has ended had is closed already."""
        for loop, (_, holding) in [*self._pools.items()]:
            if not loop.is_closed():
                loop.call_soon_threadsafe(holding.cancel)
        self._pools.clear()


async def _held(session: Any) -> None:
    try:
        await asyncio.Event().wait()
    finally:
        await session.close()
