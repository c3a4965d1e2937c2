"""Who asks again under one idempotency key gets the first answer, also while that is being made."""

import asyncio

import pytest

from bottega.core.errors import Cancelled, EngineFailed, KeyReused
from bottega.server.message import Call, Reply
from bottega.server.once import Once
from bottega.service.keys import ApiKey

KEY = ApiKey("key-1", "app", "developer")


def a_call(body: bytes, path: str = "/v1/keys", name: bytes = b"one") -> Call:
    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": body, "more_body": False}

    return Call({"path": path, "headers": [(b"idempotency-key", name)] if name else []}, receive)


async def test_it_is_made_once_and_another_request_is_refused() -> None:
    once, made, go = Once(), list[bytes](), asyncio.Event()

    def handle(call: Call):
        async def work() -> Reply:
            await go.wait()
            made.append(await call.body())
            return Reply(b"%d" % len(made))

        return work

    async def ask(call: Call, key: ApiKey = KEY) -> bytes:
        answer = await once.answer(call, key, handle(call))
        assert isinstance(answer, Reply)
        return answer.body

    both = [asyncio.ensure_future(ask(a_call(b"x"))) for _ in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(KeyReused):
        await ask(a_call(b"y"))
    go.set()
    assert await asyncio.gather(*both) == [b"1", b"1"] and made == [b"x"]
    assert await ask(a_call(b"x")) == b"1"
    with pytest.raises(KeyReused):
        await ask(a_call(b"x", "/v1/briefs"))
    assert await ask(a_call(b"x"), ApiKey("key-2", "other", "developer")) == b"2"
    assert [await ask(a_call(b"x", name=b"")) for _ in range(2)] == [b"3", b"4"]


async def test_what_failed_is_made_again_and_who_leaves_takes_nobody_along() -> None:
    once, faults = Once(), [EngineFailed("broken"), Cancelled("gone")]

    async def work() -> Reply:
        await asyncio.sleep(0)
        if faults:
            raise faults.pop(0)
        return Reply(b"made")

    with pytest.raises(EngineFailed):
        await once.answer(a_call(b"x"), KEY, work)
    first = asyncio.ensure_future(once.answer(a_call(b"x"), KEY, work))
    await asyncio.sleep(0)
    second = await once.answer(a_call(b"x"), KEY, work)
    assert isinstance(second, Reply) and second.body == b"made"
    with pytest.raises(Cancelled):
        await first


async def test_answers_take_bounded_memory() -> None:
    once, made = Once(most=5000), 0

    async def work() -> Reply:
        nonlocal made
        made += 1
        return Reply(b"x" * 1000)

    for name in (b"a", b"b", b"c", b"d", b"d", b"a"):
        await once.answer(a_call(b"x", name=name), KEY, work)
    assert made == 5  # of "a" the answer had gone, of "d" it was there
