"""HTTP/1.1 over kept connections: POST, and the answer whole or piece by piece. Nobody else's proxies, cookies or redirects.

A general client spends most of a short call on what an engine does not need; this one parses with httptools, as the server does.
"""

import asyncio
import ssl
import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from bottega.engines.base import require

LOOK = 0.1  # seconds between two looks at the stop signal and at the time
IDLE = 15.0  # seconds that a connection is kept for the next request
MOST = 64 << 20  # bytes of an answer that is taken whole
MOST_HEADERS = 256


class Broken(Exception):
    """There is no connection, or it broke, or what came is no HTTP."""


class Stopped(Exception):
    """Somebody asked to stop."""


class Answer(NamedTuple):
    """What came back; ``body`` is empty where it was handed on piece by piece."""

    status: int
    headers: Mapping[bytes, bytes]  # by lower-case name
    body: bytes


@dataclass(frozen=True, slots=True)
class _Place:
    host: str
    port: int
    tls: bool
    head: bytes  # request line and Host


class Wire:
    """The connections of one engine, kept apart by event loop."""

    def __init__(self) -> None:
        self._kept: weakref.WeakKeyDictionary[
            asyncio.AbstractEventLoop,
            tuple[dict[tuple[str, int, bool], list[_Connection]], asyncio.Task[None]],
        ] = weakref.WeakKeyDictionary()

    async def post(
        self,
        url: str,
        headers: bytes,
        body: bytes,
        *,
        connect: float,
        read: float,
        stop: Callable[[], bool],
        take: Callable[[bytes], None] | None = None,
    ) -> Answer:
        """Send a body and wait for the answer's end.

        Args:
            url: where to.
            headers: lines besides Host and Content-Length, each with its line end.
            body: what is sent.
            connect: seconds for a new connection.
            read: seconds between two pieces of the answer.
            stop: asked now and then; when it says so the connection is closed.
            take: gets the pieces of an answer with status 200 as they come.

        Raises:
            TimeoutError: there was no connection, or no next piece, in time.
            Broken: the connection broke, or was never there.
            Stopped: ``stop`` said so.
            ExtraMissing: without the extra ``remote``.
        """
        place = _place(url)
        name = (place.host, place.port, place.tls)
        loop = asyncio.get_running_loop()
        idle = self._idle(loop).setdefault(name, [])
        connection: _Connection | None = None
        while idle and connection is None:
            found = idle.pop()
            if found.usable(loop.time()):
                connection = found
        if connection is None:
            connection = await _connected(place, loop, connect)
        try:
            answer = await connection.ask(
                b"%b%bContent-Length: %d\r\n\r\n" % (place.head, headers, len(body)) + body, read, stop, take
            )
        except BaseException:
            connection.abort()
            raise
        if connection.keep:
            connection.since = now = loop.time()
            idle.append(connection)
            while now - idle[0].since > IDLE:  # the newest is used first, so the oldest come to lie in front
                idle.pop(0).abort()
        else:
            connection.abort()
        return answer

    def _idle(self, loop: asyncio.AbstractEventLoop) -> "dict[tuple[str, int, bool], list[_Connection]]":
        pools, holding = self._kept.get(loop, (None, None))
        if pools is None or holding is None or holding.done():
            pools = dict[tuple[str, int, bool], list[_Connection]]()
            self._kept[loop] = (pools, loop.create_task(_held(pools)))
        return pools

    def close(self) -> None:
        """Close the connections that are kept; what a loop that has ended had is closed already."""
        for loop, (_, holding) in [*self._kept.items()]:
            if not loop.is_closed():
                loop.call_soon_threadsafe(holding.cancel)
        self._kept.clear()


async def _held(pools: "dict[tuple[str, int, bool], list[_Connection]]") -> None:
    """A task of the loop, so that connections are closed when the loop ends its tasks."""
    try:
        await asyncio.Event().wait()
    finally:
        for idle in pools.values():
            for connection in idle:
                connection.abort()
        pools.clear()


class _Connection(asyncio.Protocol):
    """One connection; one request at a time."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._parsers: Any = require("httptools", extra="remote")
        self._transport: Any = None
        self._waiting: asyncio.Future[Answer] | None = None
        self._clock: asyncio.TimerHandle | None = None
        self.keep = False
        self.since = 0.0  # when it became idle

    def usable(self, now: float) -> bool:
        """Whether another request may be sent on it."""
        if self._transport is None or self._transport.is_closing() or now - self.since > IDLE:
            self.abort()
            return False
        return True

    async def ask(
        self, data: bytes, read: float, stop: Callable[[], bool], take: Callable[[bytes], None] | None
    ) -> Answer:
        """One request and its answer."""
        if self._transport is None or self._transport.is_closing():
            raise Broken("the connection was closed")
        self._parser: Any = self._parsers.HttpResponseParser(self)
        self._headers: dict[bytes, bytes] = {}
        self._pieces: list[bytes] = []
        self._size = 0
        self._take, self._status, self.keep = take, 0, False
        self._read, self._stop, self._last = read, stop, self._loop.time()
        self._waiting = self._loop.create_future()
        self._clock = self._loop.call_later(LOOK, self._look)
        self._transport.write(data)
        try:
            return await self._waiting
        finally:
            self._waiting = None
            self._clock.cancel()

    def abort(self) -> None:
        """Close it at once."""
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """As asyncio says."""
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """As asyncio says."""
        if self._waiting is None or self._waiting.done():
            return self.abort()  # nobody asked
        self._last = self._loop.time()
        try:
            self._parser.feed_data(data)
        except self._parsers.HttpParserError as error:
            self._fail(Broken(f"the answer is no HTTP: {error}"))

    def connection_lost(self, exc: Exception | None) -> None:
        """As asyncio says; an answer without a length ends here."""
        self._transport = None
        if self._status >= 200 and not self._headers.keys() & {b"content-length", b"transfer-encoding"}:
            self._done()
        self._fail(Broken(type(exc).__name__ if exc else "the connection was closed"))

    def on_header(self, name: bytes, value: bytes) -> None:
        """Of httptools."""
        if len(self._headers) < MOST_HEADERS:
            self._headers[name.lower()] = value

    def on_headers_complete(self) -> None:
        """Of httptools."""
        self._status = self._parser.get_status_code()

    def on_body(self, body: bytes) -> None:
        """Of httptools."""
        if self._take is not None and self._status == 200:
            return self._take(body)
        self._pieces.append(body)
        self._size += len(body)
        if self._size > MOST:
            self._fail(Broken(f"the answer has more than {MOST} bytes"))

    def on_message_complete(self) -> None:
        """Of httptools."""
        if self._status < 200:  # "100 Continue" and the like; the answer follows
            self._headers = {}
            return
        self.keep = self._parser.should_keep_alive()
        self._done()

    def _done(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(Answer(self._status, self._headers, b"".join(self._pieces)))

    def _fail(self, error: Exception) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(error)

    def _look(self) -> None:
        if self._stop():
            return self._fail(Stopped())
        if self._loop.time() - self._last > self._read:
            return self._fail(TimeoutError())
        self._clock = self._loop.call_later(LOOK, self._look)


async def _connected(place: _Place, loop: asyncio.AbstractEventLoop, seconds: float) -> _Connection:
    try:
        async with asyncio.timeout(seconds):
            _, connection = await loop.create_connection(
                lambda: _Connection(loop),
                place.host,
                place.port,
                ssl=_trusted() if place.tls else None,
                server_hostname=place.host if place.tls else None,
            )
    except TimeoutError:
        raise
    except OSError as error:  # of TLS, too
        raise Broken(type(error).__name__) from error
    return connection


@cache
def _trusted() -> ssl.SSLContext:
    return ssl.create_default_context()


@lru_cache(256)
def _place(url: str) -> _Place:
    """Where a URL leads.

    Raises:
        Broken: it leads nowhere.
    """
    try:
        parts = urlsplit(url)
        host, tls = parts.hostname or "", parts.scheme == "https"
        port = parts.port or (443 if tls else 80)
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        named = parts.netloc.encode("ascii") if parts.netloc.isascii() else host.encode("idna")
        line = target.encode("ascii")
    except ValueError as error:
        raise Broken(f"no URL: {error}") from error
    if not host or any(byte <= 32 or byte == 127 for byte in line + named):
        raise Broken("no URL")
    return _Place(host, port, tls, b"POST %b HTTP/1.1\r\nHost: %b\r\n" % (line, named))
