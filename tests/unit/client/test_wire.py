"""What the client does when a connection breaks, a server asks to wait, or refuses."""

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest

from bottega.client import AsyncClient
from bottega.core.errors import BudgetExceeded, InvalidPlan, NotFound, RateLimited


def test_a_broken_stream_of_events_is_taken_up_where_it_broke() -> None:
    """The transport ends the first answer in the middle; the second must ask for what follows."""
    import httpx

    asked: list[str] = []

    class Broken(httpx.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            yield told(0) + told(1) + b"id: 2\nda"
            raise httpx.ReadError("cut")

    def told(n: int) -> bytes:
        return (
            b'id: %d\ndata: {"n": %d, "at": "t", "act": "pipeline:run:begun", "actor": "a", "subject": "run/r"}\n\n'
            % (n, n)
        )

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.headers.get("last-event-id", ""))
        if len(asked) == 1:
            return httpx.Response(200, stream=Broken())
        return httpx.Response(200, content=told(2) + b"event: state\ndata: {}\n\n")

    async def follow() -> list[int]:
        async with AsyncClient("http://server", "k", transport=httpx.MockTransport(answer)) as client:
            return [entry.n async for entry in client.events("r")]

    assert asyncio.run(follow()) == [0, 1, 2] and asked == ["", "1"]


def test_a_server_that_asks_to_come_back_is_asked_again_under_the_same_key() -> None:
    keys: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        keys.append(request.headers["idempotency-key"])
        if len(keys) < 3:
            return httpx.Response(429, headers={"retry-after": "0"}, json={})
        return httpx.Response(
            200, json={"object": "run", "id": "r", "state": "planned", "plan": "p", "brief": "b"}
        )

    async def resume() -> str:
        async with AsyncClient("http://server/v1", "k", transport=httpx.MockTransport(answer)) as client:
            return (await client.resume("r")).id

    assert asyncio.run(resume()) == "r" and len(keys) == 3 and len(set(keys)) == 1


@pytest.mark.parametrize(
    ("status", "named", "kind"),
    [
        (422, "InvalidPlan", InvalidPlan), (404, "", NotFound), (402, "NoSuchName", BudgetExceeded),
        (429, "RateLimited", RateLimited), (404, "os", NotFound),
    ],
)  # fmt: skip
def test_a_refusal_is_the_error_that_it_would_be_here(status: int, named: str, kind: type[Exception]) -> None:
    told = {"error": {"message": "no", "type": "x", "param": "plan", "code": None}}

    async def ask() -> None:
        transport = httpx.MockTransport(
            lambda request: httpx.Response(status, json=told, headers={"x-bottega-error": named})
        )
        async with AsyncClient("http://server", "k", transport=transport) as client:
            await client.runs()

    with pytest.raises(kind, match="plan: no") as refused:
        asyncio.run(ask())
    assert type(refused.value) is kind
