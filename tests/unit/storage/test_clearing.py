"""Calls that begin and end in groups leave what calls leave one by one, and pass no limit."""

import asyncio
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.servers import PostgresServer

from bottega.core.artifact import Artifact
from bottega.core.canonical import digest, digest_bytes
from bottega.core.errors import LeaseLost, StorageFailed
from bottega.core.run import Made, StepResult
from bottega.storage import schema
from bottega.storage.accounts import MILLION
from bottega.storage.budgets import Charge
from bottega.storage.clearing import Ending, Opening
from bottega.storage.leases import Claim, Lease, ended_detail
from bottega.storage.sqlite import SQLite
from bottega.storage.state import State, open_state

ACCOUNTS = ("project:kettles", "key:shop")
FILE = digest_bytes(b"said")
CHECKS = digest({})


@pytest.fixture(params=["sqlite", "postgresql"])
def opened(request: pytest.FixtureRequest, tmp_path: Path, clock: Any) -> Iterator[Callable[[str], State]]:
    """Opens a state by its name, as another process would; each name has a database of its own, of either kind."""
    states, urls = list[State](), dict[str, str]()
    server: PostgresServer | None = (
        request.getfixturevalue("postgres") if request.param == "postgresql" else None
    )

    def begin(name: str) -> State:
        if server is not None and name not in urls:
            urls[name] = server.url()
        state = open_state(tmp_path / name, clock, url=urls.get(name, ""))
        state.workers.register()
        states.append(state)
        return state

    yield begin
    for state in states:
        state.close()


def opening(state: State, number: int, amount: int = 30, at_once: int = 256) -> Opening:
    return Opening(
        run=f"call-{number}", step="call", key=f"k{number}", engine="far", at_once=at_once, round=number,
        worker=state.workers.id, behalf="key:shop", detail={"model": "m", "charge": [*ACCOUNTS]},
        charge=Charge(ACCOUNTS, {"token": amount, "usd": 2}, billed=True),
    )  # fmt: skip


def result(call: Opening) -> StepResult:
    made = Made(port="text", artifact=Artifact(sha256=FILE, media_type="text/plain", size=4))
    return StepResult(step="call", key=call.key, state="done", outputs=(made,), cost=0.5)


def ending(call: Opening, used: int) -> Ending:
    body = result(call).canonical()
    return Ending(
        call, detail=ended_detail(result(call)), checks=CHECKS, result=digest_bytes(body), body=body, files=[FILE],
        used={"token": used, "usd": 1}, cost={"usd": 500_000},
    )  # fmt: skip


def limit(state: State, amount: int, *, near: int = MILLION) -> None:
    state.database.write(
        lambda transaction: state.budgets.set_limit(
            transaction, ACCOUNTS[0], "token", amount, near=near, actor="user:ada"
        )
    )


def tables(state: State) -> dict[str, list[Any]]:
    """All that is kept, without the worker's name."""
    found = {
        name: state.database.rows(f"SELECT * FROM {name}") for name in (*schema.FOLDED_TABLES, "contents")
    }
    found["journal"] = state.database.rows("SELECT n, at, subject, entry FROM journal ORDER BY n")
    return {
        name: sorted([str(column).replace(state.workers.id, "W") for column in row] for row in rows)
        for name, rows in found.items()
    }


async def test_entries_and_rows_are_those_of_calls_one_by_one(opened: Callable[[str], State]) -> None:
    alone, grouped = opened("alone"), opened("grouped")
    for state in (alone, grouped):
        limit(state, 1000)
    began = dict[str, list[Any]]()
    for number, used in ((1, 20), (2, 90)):  # the second uses more than it said
        call = opening(alone, number)
        claim = Claim(
            run=call.run, round=call.round, step="call", key=call.key, checks=CHECKS, engine="far", local=False,
            at_once=256, detail=call.detail, behalf=call.behalf, charge=call.charge,
        )  # fmt: skip
        lease = await alone.runs.claim(claim, worker=alone.workers.id, host="h")
        assert isinstance(lease, Lease)
        if number == 1:
            began = tables(alone)
        end = ending(call, used)
        await alone.runs.finish(lease, result(call), worker=alone.workers.id, used=end.used)
        call = opening(grouped, number)
        assert await grouped.runs.clearing.open(call) is not None
        if number == 1:
            assert tables(grouped) == began
        await grouped.runs.clearing.close(ending(call, used))
    assert tables(grouped) == tables(alone)
    grouped.fold_again()
    assert tables(grouped) == tables(alone)


async def test_two_processes_together_never_pass_a_limit(opened: Callable[[str], State]) -> None:
    one, two = opened("state"), opened("state")
    limit(one, 1500)
    calls = [opening((one, two)[number % 2], number) for number in range(200)]
    tokens = await asyncio.gather(
        *((one, two)[number % 2].runs.clearing.open(call) for number, call in enumerate(calls))
    )
    begun = [call for call, token in zip(calls, tokens, strict=True) if token is not None]
    assert len(begun) == 50 and len({call.token for call in begun}) == 50
    row = next(row for row in one.budgets.all() if row.limit)
    assert (row.reserved, row.spent) == (1500, 0)
    # What ends in a group makes room, also for who begins in it.
    await asyncio.gather(
        *(
            (one if call.worker == one.workers.id else two).runs.clearing.close(ending(call, 5))
            for call in begun
        )
    )
    row = next(row for row in two.budgets.all() if row.limit)
    assert (row.reserved, row.spent) == (0, 250)
    assert one.database.rows("SELECT * FROM leases") == one.database.rows("SELECT * FROM reservations") == []
    assert one.journal.size() > 256  # over the edge of a tile
    assert one.journal.tile(0) is not None


async def test_what_is_not_clear_is_left_to_leases(opened: Callable[[str], State]) -> None:
    state = opened("state")
    clearing = state.runs.clearing
    limit(state, 1000, near=100_000)  # a person is asked from 100 on
    first, second = opening(state, 1, at_once=1), opening(state, 2, at_once=1)
    found = await asyncio.gather(clearing.open(first), clearing.open(second))
    assert found[0] is not None and found[1] is None  # one place
    await clearing.close(ending(first, 100))
    before = state.journal.size()
    assert await clearing.open(opening(state, 3)) is None  # near
    assert state.journal.size() == before


async def test_who_was_taken_for_dead_ends_nothing(opened: Callable[[str], State]) -> None:
    state = opened("state")
    call = opening(state, 1)
    assert await state.runs.clearing.open(call) is not None
    state.database.write(lambda transaction: transaction.execute("DELETE FROM leases").rowcount)
    before = tables(state)
    with pytest.raises(LeaseLost):
        await state.runs.clearing.close(ending(call, 5))
    assert tables(state) == before


async def test_a_cancelled_call_knows_whether_it_is_held(opened: Callable[[str], State]) -> None:
    state = opened("state")
    call = opening(state, 1)
    task = asyncio.ensure_future(state.runs.clearing.open(call))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert call.token == state.database.rows("SELECT token FROM leases")[0][0]


async def test_who_ends_is_told_once_the_disk_has_it_and_who_begins_waits_for_no_disk(
    tmp_path: Path, clock: Any
) -> None:
    state = open_state(tmp_path / "state", clock)
    state.workers.register()
    clearing, waiting = state.runs.clearing, list[Callable[[StorageFailed | None], object]]()

    def slow(then: Callable[[StorageFailed | None], object]) -> None:
        waiting.append(then)

    state.database.sync = slow  # a disk that takes its time
    calls = [opening(state, number) for number in range(4)]
    for call in calls[:3]:
        await clearing.open(call)
    ends = [asyncio.ensure_future(clearing.close(ending(call, 5))) for call in calls[:2]]
    await asyncio.sleep(0.05)
    assert len(waiting) == 1 and not any(end.done() for end in ends)
    late = asyncio.ensure_future(
        clearing.close(ending(calls[2], 5))
    )  # waits for the disk before it is committed
    await asyncio.sleep(0.05)
    assert state.database.rows("SELECT run_id FROM leases") == [("call-2",)]
    assert await clearing.open(calls[3]) is not None  # and comes along with who begins
    assert state.database.rows("SELECT run_id FROM leases") == [("call-3",)] and not late.done()
    waiting.pop()(None)
    await asyncio.gather(*ends)
    assert len(waiting) == 1 and not late.done()
    waiting.pop()(StorageFailed("the disk is gone"))
    with pytest.raises(StorageFailed):
        await late
    state.close()


async def test_a_log_that_cannot_be_synced_is_told_and_left_to_sqlite_from_then_on(
    tmp_path: Path, clock: Any
) -> None:
    state = open_state(tmp_path / "state", clock)
    state.workers.register()
    calls = [opening(state, number) for number in range(2)]
    for call in calls:
        await state.runs.clearing.open(call)
    reader, writer = os.pipe()
    os.close(writer)
    assert isinstance(state.database, SQLite)
    state.database._log = reader  # pyright: ignore[reportPrivateUsage] - a pipe cannot be synced
    with pytest.raises(StorageFailed, match="did not reach the disk"):
        await state.runs.clearing.close(ending(calls[0], 5))
    assert not state.database.syncs_aside
    await state.runs.clearing.close(ending(calls[1], 5))
    assert state.database.rows("SELECT * FROM leases") == []
    state.close()


async def test_a_lone_call_waits_for_no_others(tmp_path: Path, clock: Any) -> None:
    state = open_state(tmp_path / "state", clock)
    state.workers.register()
    clearing, turned = state.runs.clearing, list[int]()
    clearing.inside = 1
    asyncio.get_running_loop().call_soon(turned.append, 1)
    assert await clearing.open(opening(state, 1)) is not None
    assert not turned  # in the same turn of the loop
    state.close()
