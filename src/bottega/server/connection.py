"""One connection: whoever sends too slowly, headers without an end, or takes no answer, is cut off."""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from bottega.core.errors import InvalidValue
from bottega.server.problem import problem

SLOW = 20.0  # seconds for a request's headers, and for each piece of its body
UNREAD = 60.0  # seconds in which a client must take some of an answer that waits for it
PIECE = 16 << 10  # bytes of a body that must come in that time
MOST_HEAD = 64 << 10  # bytes of request line and headers, and one read more


class Joined:
    """A transport on which the head of an answer goes out with what is written in the same turn of the loop: one write, not two."""

    def __init__(self, transport: Any, loop: asyncio.AbstractEventLoop) -> None:
        self._transport, self._loop, self._head = transport, loop, b""
        self.is_closing = transport.is_closing

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Write, or keep the head for a moment."""
        if self._head:
            data, self._head = self._head + data, b""
        elif data.startswith(b"HTTP/1.1 "):
            self._head = data
            self._loop.call_soon(self._flush)
            return
        self._transport.write(data)

    def close(self) -> None:
        """Write what is left, and close."""
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        if self._head:
            self._transport.write(self._head)
            self._head = b""


class Connection(HttpToolsProtocol):
    """A connection that keeps a clock while it is the client's turn; it stops while we answer."""

    slow = SLOW
    unread = UNREAD

    def connection_made(self, transport: Any) -> None:
        """Give it time for the first request."""
        self._clock: asyncio.TimerHandle | None = None
        self._stalled: asyncio.TimerHandle | None = None
        self._head, self._piece, self._heading = 0, 0, True
        super().connection_made(transport)
        self.transport: Any = Joined(transport, self.loop)
        self._wind()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the clock."""
        self._stop()
        self._taken()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read on; an endless head is refused."""
        super().data_received(data)
        if self._heading and not self.transport.is_closing():
            self._head += len(data)
            if self._head > MOST_HEAD:
                self.send_400_response("The headers are too large.")

    def on_message_begin(self) -> None:
        """A request begins."""
        self._heading = True
        self._wind()
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Its headers are there."""
        self._heading, self._head, self._piece = False, 0, 0
        self._wind()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """A piece of its body is there."""
        self._piece += len(body)
        if self._piece >= PIECE:
            self._piece = 0
            self._wind()
        super().on_body(body)

    def on_message_complete(self) -> None:
        """It is there: now it is our turn."""
        self._stop()
        super().on_message_complete()

    def pause_writing(self) -> None:
        """The client does not take what we send: who still has not in a while is cut off."""
        super().pause_writing()
        self._taken()
        self._stalled = self.loop.call_later(self.unread, self.transport.abort)

    def resume_writing(self) -> None:
        """It takes it again."""
        self._taken()
        super().resume_writing()

    def _taken(self) -> None:
        if self._stalled is not None:
            self._stalled.cancel()
            self._stalled = None

    def send_400_response(self, msg: str) -> None:
        """Tell what no call can be made of in the form of every other error, and hang up."""
        body = problem(InvalidValue(msg, where="headers")).body
        head = b"HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\ncontent-length: %d\r\n"
        self.transport.write(head % len(body) + b"connection: close\r\n\r\n" + body)
        self.transport.close()

    def _wind(self) -> None:
        self._stop()
        self._clock = self.loop.call_later(self.slow, self._late)

    def _stop(self) -> None:
        if self._clock is not None:
            self._clock.cancel()
            self._clock = None

    def _late(self) -> None:
        if not self.transport.is_closing() and not self.flow.read_paused:
            self.transport.close()
        elif self.flow.read_paused:  # it is we who do not read
            self._wind()
