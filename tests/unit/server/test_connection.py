"""Whoever sends too slowly or without an end is cut off; whoever waits for an answer is not."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import uvicorn

from bottega.server.connection import MOST_HEAD, Connection, Joined


class Hasty(Connection):
    slow = 0.3
    unread = 0.3


async def answers(scope: Any, receive: Any, send: Any) -> None:
    """Read the body; wait for longer than a client may; say how much there was."""
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        size += len(message.get("body", b""))
        if not message.get("more_body"):
            break
    if scope["path"] == "/endless":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        gone = asyncio.ensure_future(receive())
        while not gone.done():
            await send({"type": "http.response.body", "body": bytes(1 << 20), "more_body": True})
            await asyncio.sleep(0)
        return
    await asyncio.sleep(0.6)
    await send(
        {
            "type": "http.response.start",
            "status": 200,
            "headers": [(b"content-length", b"%d" % len(str(size)))],
        }
    )
    await send({"type": "http.response.body", "body": str(size).encode()})


@pytest.fixture
async def port() -> AsyncIterator[int]:
    config = uvicorn.Config(answers, port=0, http=Hasty, lifespan="off", log_config=None)
    config.load()
    server = uvicorn.Server(config)
    server.lifespan = config.lifespan_class(config)
    await server.startup()
    yield server.servers[0].sockets[0].getsockname()[1]
    await server.shutdown()


async def said(port: int, *pieces: bytes, pause: float = 0.1) -> bytes:
    """What comes back until the server closes, when these are sent one after the other."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)

    async def send() -> None:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(pause)

    sending = asyncio.ensure_future(send())
    try:
        return await reader.read()
    except ConnectionResetError:
        return b""
    finally:
        sending.cancel()
        writer.close()
        await asyncio.gather(sending, return_exceptions=True)


HEAD = b"POST / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n"


@pytest.mark.parametrize(
    "pieces",
    [
        (), (b"P",), (HEAD,), (b"POST / HTTP/1.1\r\n", *([b"a: b\r\n"] * 100)),  # nothing, a letter, no end, drop by drop
        (HEAD + b"content-length: 10\r\n\r\n",), (HEAD + b"content-length: 1000\r\n\r\n", *([b"x"] * 1000)),
    ],
)  # fmt: skip
async def test_a_slow_client_is_cut_off(port: int, pieces: tuple[bytes, ...]) -> None:
    assert await asyncio.wait_for(said(port, *pieces), 30) == b""


async def test_a_client_that_waits_for_its_answer_gets_it(port: int) -> None:
    whole = await said(port, HEAD + b"content-length: 3\r\n\r\n", b"abc")
    assert whole.startswith(b"HTTP/1.1 200") and whole.endswith(b"\r\n\r\n3")
    size = 40 * (16 << 10)  # as slow as one may be, and longer than the clock
    pieces = [b"x" * (16 << 10)] * 40
    whole = await said(port, HEAD + b"content-length: %d\r\n\r\n" % size, *pieces, pause=0.02)
    assert whole.endswith(b"%d" % size)


async def test_who_takes_no_answer_is_cut_off(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
    writer.write(b"GET /endless HTTP/1.1\r\nhost: x\r\n\r\n")
    try:
        assert await reader.readline() == b"HTTP/1.1 200 OK\r\n"
        await asyncio.sleep(1.5)
        assert not (await asyncio.wait_for(reader.read(), 20)).endswith(b"0\r\n\r\n")  # it ends, unfinished
    finally:
        writer.close()


async def test_headers_without_an_end_are_refused(port: int) -> None:
    lines = [b"a%d: %b\r\n" % (n, b"x" * 8000) for n in range(MOST_HEAD // 8000 + 1)]
    assert b"400" in (await said(port, HEAD, *lines, pause=0.0))[:20]


@pytest.mark.parametrize("sent", [b"nonsense\r\n\r\n", b"GET / HTTP/9\r\nx\r\n\r\n"])
async def test_what_is_no_request_is_answered_as_every_mistake_is(port: int, sent: bytes) -> None:
    head, _, body = (await asyncio.wait_for(said(port, sent), 30)).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400") and b"content-type: application/json" in head
    error = json.loads(body)["error"]
    assert set(error) == {"message", "type", "param", "code"} and error["type"] == "invalid_request_error"


class Written:
    """A transport that remembers each write."""

    def __init__(self) -> None:
        self.writes: list[bytes] = []
        self.closed = False

    def write(self, data: bytes) -> None:
        self.writes.append(data)

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True


async def test_the_head_of_an_answer_goes_out_with_its_body_and_alone_when_that_comes_later() -> None:
    under = Written()
    joined = Joined(under, asyncio.get_running_loop())
    joined.write(b"HTTP/1.1 200 OK\r\n\r\n")
    joined.write(b"body")
    assert under.writes == [b"HTTP/1.1 200 OK\r\n\r\nbody"]
    joined.write(b"HTTP/1.1 200 OK\r\n\r\n")
    await asyncio.sleep(0)
    assert under.writes[1:] == [b"HTTP/1.1 200 OK\r\n\r\n"]
    joined.write(b"HTTP/1.1 204 No Content\r\n\r\n")
    joined.close()
    assert under.writes[2:] == [b"HTTP/1.1 204 No Content\r\n\r\n"] and joined.is_closing()
