"""Engines with weights share a budget of memory, and the language engine its batches; real engines, the smallest models."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import replace
from typing import cast

import pytest

from bottega.core.errors import Cancelled
from bottega.core.request import Delta, Finished, Output, Request
from bottega.engines.base import Bench
from bottega.engines.language import Language
from bottega.engines.llama import SLOT, SLOTS
from bottega.engines.process import EngineProcess
from bottega.engines.residents import Residents

pytestmark = [pytest.mark.weights("smollm2-135m-instruct"), pytest.mark.weights("inter-fonts")]
SMALL = "smollm2-135m-instruct"
LAYOUT = Request(engine="layout", params={"title": "Warm light", "width": 320, "height": 180}, seed=7)
MEGABYTE = 1 << 20


def asked(words: str, *, tokens: int = 6, seed: int | None = None) -> Request:
    params = {"prompt": words, "max_tokens": tokens}
    return Request(engine="language", model=SMALL, params=params, seed=seed)


async def made(
    residents: Residents, request: Request, bench: Bench, expected: int, lanes: int = 1
) -> list[Output]:
    async with residents.using(request.engine, lanes, expected, bench) as process:
        return [output async for output in process.generate(request, bench)]


async def test_the_engine_used_least_lately_makes_room(bench: Bench) -> None:
    residents = Residents(most=200 * MEGABYTE)  # for either, not for both
    try:
        await made(residents, LAYOUT, bench, 60 * MEGABYTE)
        assert [*residents.resident()] == ["layout"]
        said = await made(residents, asked("Name a lamp.", seed=7), bench, 150 * MEGABYTE)
        assert [*residents.resident()] == ["language"], "the picture engine was idle, and had to go"
        await made(residents, LAYOUT, bench, 60 * MEGABYTE)
        assert [*residents.resident()] == ["layout"]
        again = await made(residents, asked("Name a lamp.", seed=7), bench, 150 * MEGABYTE)
        assert said[-1] == again[-1], "what is loaded anew says the same"
    finally:
        residents.close()
    assert not residents.resident()


async def test_what_is_at_work_is_not_ended_and_who_waits_can_be_stopped(bench: Bench) -> None:
    residents = Residents(most=200 * MEGABYTE)
    entered, leave = asyncio.Event(), asyncio.Event()

    async def long() -> None:
        async with residents.using("language", 1, 150 * MEGABYTE, bench) as process:
            async for _ in process.generate(asked("Count.", tokens=2), bench):
                entered.set()
            await leave.wait()

    try:
        working = asyncio.create_task(long())
        await entered.wait()
        waiting = asyncio.create_task(made(residents, LAYOUT, bench, 60 * MEGABYTE))
        stopped = replace(bench, cancelled=type(bench.cancelled)())
        stopped.cancelled.set()
        with pytest.raises(Cancelled):
            await made(residents, LAYOUT, stopped, 60 * MEGABYTE)
        assert not waiting.done() and [*residents.resident()] == ["language"]
        leave.set()
        await working
        assert isinstance((await waiting)[-1], Finished)
        assert [*residents.resident()] == ["layout"]
    finally:
        residents.close()


@pytest.fixture
async def language() -> AsyncIterator[EngineProcess]:
    process = EngineProcess("language", lanes=5)
    yield process
    process.close()


async def test_answers_without_a_seed_are_written_together_and_one_with_a_seed_stays_the_same(
    language: EngineProcess, bench: Bench
) -> None:
    order: list[int] = []

    async def say(place: int, bench: Bench, **more: int | None) -> Finished:
        last: Output | None = None
        async for last in language.generate(asked(f"Name lamp {place}.", **more), bench):  # type: ignore[arg-type]
            if isinstance(last, Delta):
                order.append(place)
        assert isinstance(last, Finished)
        return last

    alone = await say(0, bench, seed=7)
    order.clear()
    shared = replace(bench, together=True)
    *others, again = await asyncio.gather(
        *(say(place, shared, tokens=24) for place in (1, 2, 3)), say(0, bench, seed=7)
    )
    assert all(other.data for other in others)
    assert again == alone, "a batch beside it must not change it"
    assert len(language.pids) == 1, "the weights are there once"
    first, last = order.index(1), len(order) - 1 - order[::-1].index(1)
    assert {2, 3} <= {*order[first:last]}, "they took turns, word by word"


async def test_what_is_too_long_for_a_slot_is_made_alone(bench: Bench) -> None:
    engine = Language()
    shared = replace(bench, together=True)
    for tokens, servers in ((4, {SLOTS}), (SLOT - 5, {SLOTS, 1})):
        outputs = cast(AsyncGenerator[Output], engine.generate(asked("Name a lamp.", tokens=tokens), shared))
        async with aclosing(outputs):
            async for output in outputs:
                if isinstance(output, Delta):
                    break
        made = engine._servers  # pyright: ignore[reportPrivateUsage]
        assert {slots for _, slots in made} == servers
    engine.close()
