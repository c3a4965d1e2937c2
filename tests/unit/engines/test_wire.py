"""The small client against servers that answer in every way that HTTP allows, and in some that it does not."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

import pytest

from bottega.engines.wire import Answer, Broken, Stopped, Wire


@asynccontextmanager
async def served(*answers: bytes, after: float = 0.0) -> AsyncGenerator[tuple[str, list[int], list[bytes]]]:
    """A server that gives these answers in turn: its URL, which connection each request came on, and the requests."""
    came, asked, left, tasks = list[int](), list[bytes](), [*answers], set[asyncio.Task[None]]()
    connections = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        mine = connections
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = next(
                    int(line[15:]) for line in head.split(b"\r\n") if line.startswith(b"Content-Length:")
                )
                asked.append(head + await reader.readexactly(length))
                came.append(mine)
                await asyncio.sleep(after)
                answer = left.pop(0)
                writer.write(answer)
                await writer.drain()
                if b"Connection: close" in answer or b"garbage" in answer:
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1?a=b", came, asked
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def post(
    wire: Wire,
    url: str,
    read: float = 5.0,
    stop: Callable[[], bool] = lambda: False,
    take: Callable[[bytes], None] | None = None,
) -> Answer:
    return await wire.post(url, b"A: b\r\n", b"{}", connect=5, read=read, stop=stop, take=take)


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"


async def test_a_connection_is_kept_and_one_that_was_closed_is_not_used_again() -> None:
    wire = Wire()
    closing = OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    async with served(OK, closing, OK) as (url, came, asked):
        for _ in range(3):
            assert (await post(wire, url)).body == b"hi"
        wire.close()
    assert came == [1, 1, 2]
    assert asked[0].startswith(b"POST /v1?a=b HTTP/1.1\r\nHost: 127.0.0.1:") and asked[0].endswith(
        b"\r\n\r\n{}"
    )


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nh\r\n1\r\ni\r\n0\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" + OK,
        b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhi",  # ends with the connection
    ],
    ids=["chunked", "continue", "until it closes"],
)
async def test_every_way_to_answer(answer: bytes) -> None:
    wire, pieces = Wire(), list[bytes]()
    async with served(answer, answer) as (url, _, _):
        assert (await post(wire, url)).body == b"hi"
        taken = await post(wire, url, take=pieces.append)
        wire.close()
    assert (taken.status, taken.body, b"".join(pieces)) == (200, b"", b"hi")


async def test_a_refusal_is_whole_also_for_who_takes_pieces() -> None:
    wire, pieces = Wire(), list[bytes]()
    async with served(b"HTTP/1.1 429 No\r\nRetry-After: 7\r\nContent-Length: 4\r\n\r\nlate") as (url, _, _):
        answer = await post(wire, url, take=pieces.append)
        wire.close()
    assert (answer.status, answer.headers[b"retry-after"], answer.body, pieces) == (429, b"7", b"late", [])


@pytest.mark.parametrize(
    "answer", [b"garbage", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\nConnection: close\r\n\r\nhi"]
)
async def test_what_breaks_is_said(answer: bytes) -> None:
    wire = Wire()
    async with served(answer) as (url, _, _):
        with pytest.raises(Broken):
            await post(wire, url)
        wire.close()
    with pytest.raises(Broken):
        await post(wire, "http://127.0.0.1:1/")
    for url in ("http://", "http://a b/", "http://x/\u00fc", "http://x:99999/"):
        with pytest.raises(Broken):
            await post(wire, url)
    wire.close()


async def test_nobody_waits_after_a_stop_or_for_ever() -> None:
    wire = Wire()
    async with served(OK, OK, after=30) as (url, _, _):
        with pytest.raises(Stopped):
            await post(wire, url, stop=lambda: True)
        with pytest.raises(TimeoutError):
            await post(wire, url, read=0.05)
        wire.close()
