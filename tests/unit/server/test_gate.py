import asyncio
from time import perf_counter

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


async def waiting(gate: Gate, order: list[int], *urgencies: int) -> list[asyncio.Task[None]]:
    """Calls that wait, in this order, and note their number when they get their turn."""

    async def call(number: int, urgency: int) -> None:
        async with gate.entered(urgency):
            order.append(number)

    tasks: list[asyncio.Task[None]] = []
    for number, urgency in enumerate(urgencies):
        tasks.append(asyncio.create_task(call(number, urgency)))
        await asyncio.sleep(0)
    return tasks


async def test_the_more_urgent_go_first_and_nobody_waits_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    gate, order = Gate("echo", at_once=1, queue=9), list[int]()
    async with gate.entered():
        tasks = await waiting(gate, order, 3, 7, 0, 3)
    await asyncio.gather(*tasks)
    assert order == [2, 0, 3, 1]
    monkeypatch.setattr("bottega.server.gate.AGE", 1e-9)  # who has waited longer than its level is worth
    async with gate.entered():
        tasks = await waiting(gate, order, 7, 0)
    await asyncio.gather(*tasks)
    assert order[4:] == [0, 1]


async def test_a_full_queue_lets_the_more_urgent_in_for_the_least() -> None:
    gate, order = Gate("echo", at_once=1, queue=2), list[int]()
    async with gate.entered():
        tasks = await waiting(gate, order, 5, 3, 1)
        with pytest.raises(RateLimited, match="more urgent"):
            await tasks[0]
        with pytest.raises(RateLimited, match="2 calls wait"):
            await (await waiting(gate, order, 4))[0]
    await asyncio.gather(*tasks[1:])
    assert order == [2, 1] and (gate.inside, gate.waiting) == (0, 0)


async def test_who_cannot_be_served_in_time_is_told_at_once_or_when_the_time_is_over() -> None:
    gate = Gate("echo", at_once=1, queue=9, average=3.0)
    async with gate.entered():
        with pytest.raises(RateLimited, match="will not come in time") as refusal:
            async with gate.entered(until=perf_counter() + 2):
                pass
        assert refusal.value.retry_after == 3.0
        gate.average = 0.0
        with pytest.raises(RateLimited, match=r"no turn .* came in time"):
            async with gate.entered(until=perf_counter() + 0.02):
                pass
        assert gate.waiting == 0
    assert gate.inside == 0


async def test_a_place_that_is_handed_over_to_who_just_left_goes_on() -> None:
    gate, order = Gate("echo", at_once=1, queue=9), list[int]()
    async with gate.entered():
        tasks = await waiting(gate, order, 3, 3)
    tasks[0].cancel()  # its turn has come, and it has not noticed yet
    await asyncio.gather(*tasks, return_exceptions=True)
    assert order == [1] and gate.inside == 0
