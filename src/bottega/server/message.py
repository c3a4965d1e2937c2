"""Requests and replies as ASGI sees them: bounded reading, one write for one event."""

import asyncio
import re
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any, BinaryIO, TypeVar
from urllib.parse import parse_qsl

import msgspec

from bottega.core.errors import Cancelled, InvalidValue, TooLarge

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Header = tuple[bytes, bytes]
T = TypeVar("T")

JSON: Header = (b"content-type", b"application/json")
PIECE = 256 << 10  # bytes of a file that are in memory at a time

DEEPEST = 64  # levels of a JSON body
STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"')
BRACKETS = bytes.maketrans(b"{}", b"[]")
NO_BRACKETS = bytes({*range(256)} - {*b"[]{}"})

_decoders: dict[Any, msgspec.json.Decoder[Any]] = {}


@dataclass(slots=True)
class Call:
    """One request on its way through the server."""

    scope: Scope
    receive: Receive
    began: float = field(default_factory=perf_counter)
    at: Mapping[str, str] = field(default_factory=dict[str, str])  # what stands in the path's places
    engine_seconds: float = 0.0
    cancelled: threading.Event = field(default_factory=threading.Event)
    most_json: int = 8 << 20  # bytes of a JSON body
    _headers: dict[bytes, bytes] | None = None
    _watching: asyncio.Task[None] | None = None

    def header(self, name: bytes) -> str:
        """A header by its lower-case name, "" when it is not there."""
        if self._headers is None:
            self._headers = dict(self.scope["headers"])
        return self._headers.get(name, b"").decode("latin-1")

    @property
    def query(self) -> dict[str, str]:
        """The query string; of a name that stands there twice, the last."""
        return dict(parse_qsl(self.scope["query_string"].decode("latin-1"), keep_blank_values=True))

    async def chunks(self, most: int, first: MutableMapping[str, Any] | None = None) -> AsyncIterator[bytes]:
        """The body as it comes, after a first message of it that was received already.

        Raises:
            TooLarge: it has more than ``most`` bytes.
            Cancelled: the client is gone.
        """
        self._announced(most)
        count = 0
        while True:
            message, first = first or await self.receive(), None
            if message["type"] == "http.disconnect":
                raise Cancelled("the client has gone")
            body: bytes = message.get("body", b"")
            count += len(body)
            if count > most:
                raise TooLarge(f"the body has more than {most} bytes", where="body")
            if body:
                yield body
            if not message.get("more_body"):
                return

    def _announced(self, most: int) -> None:
        said = self.header(b"content-length")
        if said.isdecimal() and int(said) > most:
            raise TooLarge(f"the body has {said} bytes, {most} are allowed", where="body")

    async def body(self, most: int = 0) -> bytes:
        """The whole body, of at most as many bytes, or as many as the operator allows."""
        most = most or self.most_json
        self._announced(most)
        first = await self.receive()
        body: bytes = first.get("body", b"")
        if first["type"] == "http.request" and not first.get("more_body") and len(body) <= most:
            return body  # mostly it is there at once
        return b"".join([chunk async for chunk in self.chunks(most, first)])

    async def read(self, shape: type[T]) -> T:
        """The JSON body as this shape; what it does not name is left aside.

        Raises:
            InvalidValue: naming the field.
        """
        return decoded(await self.body(), shape)

    async def watch(self) -> None:
        """Set ``cancelled`` when the client goes away; cancel it when the answer is complete."""
        while (await self.receive())["type"] != "http.disconnect":
            pass
        self.cancelled.set()

    def watched(self) -> None:
        """Begin to `watch`, beside the work."""
        self._watching = asyncio.ensure_future(self.watch())

    def unwatched(self) -> None:
        """End it, if it was begun."""
        if self._watching is not None:
            self._watching.cancel()


def decoded(body: bytes, shape: Any) -> Any:
    """JSON as a shape (a struct, or any type that msgspec knows).

    Raises:
        InvalidValue: naming the field.
    """
    decoder = _decoders.get(shape)
    if decoder is None:
        decoder = _decoders[shape] = msgspec.json.Decoder(shape)
    try:
        value = decoder.decode(body)
    except msgspec.ValidationError as error:
        raise misfit(error) from error
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise InvalidValue(
            f"the body is not JSON: {error or 'it is nested too deeply'}",
            where="body",
            remedy="send a JSON object",
        ) from error
    if _deeper(body, DEEPEST):
        raise InvalidValue(f"it is nested deeper than {DEEPEST} levels", where="body")
    return value


def _deeper(body: bytes, most: int) -> bool:
    """Whether valid JSON has more levels: each pass takes the innermost brackets away."""
    if body.count(b"[") + body.count(b"{") <= most:
        return False
    left = STRING.sub(b"", body).translate(BRACKETS, NO_BRACKETS)
    for _ in range(most):
        left = left.replace(b"[]", b"")
    return bool(left)


def misfit(error: msgspec.ValidationError) -> InvalidValue:
    """What does not fit its shape, with the field's name as it was sent."""
    said, _, place = str(error).partition(" - at `")
    missing = said.partition("missing required field `")[2].strip("`")
    where = place.strip("`").removeprefix("$").lstrip(".")
    where = ".".join(filter(None, (where, missing))) or "body"
    return InvalidValue(said.replace("`", "'"), where=where)


encode = msgspec.json.Encoder().encode


@dataclass(slots=True)
class Reply:
    """A whole answer."""

    body: bytes = b""
    status: int = 200
    headers: Sequence[Header] = (JSON,)

    async def send(self, call: Call, send: Send) -> None:
        """Write it: two messages, which the server joins into one write."""
        head = [*self.headers, (b"content-length", b"%d" % len(self.body)), *timing(call)]
        await send({"type": "http.response.start", "status": self.status, "headers": head})
        await send({"type": "http.response.body", "body": self.body})


@dataclass(slots=True)
class Flow:
    """An answer in pieces, each written as it comes. Whoever goes away in the middle stops what makes it."""

    pieces: AsyncIterator[bytes]
    headers: Sequence[Header]
    status: int = 200

    async def send(self, call: Call, send: Send) -> None:
        """Write the pieces, one message each."""
        head = [*self.headers, *timing(call)]
        try:
            await send({"type": "http.response.start", "status": self.status, "headers": head})
            async for piece in self.pieces:
                await send({"type": "http.response.body", "body": piece, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
        except BaseException:
            call.cancelled.set()
            raise


def timing(call: Call) -> tuple[Header, ...]:
    """What the server itself has cost: all time until now that no engine worked."""
    spent = (perf_counter() - call.began - call.engine_seconds) * 1000
    return ((b"x-bottega-overhead-ms", b"%.2f" % max(spent, 0.0)),)


def reply(value: Any, *headers: Header) -> Reply:
    """A value as JSON."""
    return Reply(encode(value), 200, (JSON, *headers))


def events(pieces: AsyncIterator[bytes], *headers: Header) -> Flow:
    """Server-sent events as an answer."""
    kind = (b"content-type", b"text/event-stream; charset=utf-8")
    return Flow(pieces, (kind, (b"cache-control", b"no-cache"), *headers))


async def contents(source: BinaryIO | Path, kind: str, *headers: Header) -> Flow:
    """A file as an answer, read as the client takes it; the file is closed at the end."""
    reader = await asyncio.to_thread(source.open, "rb") if isinstance(source, Path) else source
    size = reader.seek(0, 2)
    reader.seek(0)
    heads = ((b"content-type", kind.encode()), (b"content-length", b"%d" % size), *headers)
    return Flow(_pieces(reader), heads)


async def _pieces(reader: BinaryIO) -> AsyncIterator[bytes]:
    with reader:
        while piece := await asyncio.to_thread(reader.read, PIECE):
            yield piece


def event(value: Any, name: str = "", number: int | None = None) -> bytes:
    """One server-sent event, complete: some clients lose an event that comes in two reads."""
    head = b"".join(
        (b"id: %d\n" % number if number is not None else b"", f"event: {name}\n".encode() if name else b"")
    )
    return b"%bdata: %b\n\n" % (head, encode(value))


DONE = b"data: [DONE]\n\n"
