import asyncio

import pytest

from bottega.core.errors import RateLimited
from bottega.server.gate import Gate


async def test_first_come_first_served_and_the_last_is_told_when_to_return() -> None:
    gate = Gate("echo", at_once=1, queue=2, average=3.0)
    order: list[int] = []
    open_ = asyncio.Event()

    async def call(number: int) -> None:
        async with gate.entered():
            order.append(number)
            await open_.wait()

    calls = [asyncio.create_task(call(number)) for number in range(3)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert (gate.inside, gate.waiting) == (1, 2)
    with pytest.raises(RateLimited) as refusal:
        async with gate.entered():
            pass
    assert refusal.value.retry_after == 6.0 and refusal.value.http_status == 429
    open_.set()
    await asyncio.gather(*calls)
    assert order == [0, 1, 2] and (gate.inside, gate.waiting) == (0, 0)


async def test_who_goes_away_while_waiting_leaves_the_queue() -> None:
    gate = Gate("echo", at_once=1, queue=5)
    async with gate.entered():
        waiting = asyncio.create_task(gate.entered().__aenter__())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert gate.waiting == 1
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        assert gate.waiting == 0
    async with gate.entered():
        assert gate.inside == 1
