"""Reservations that end with their lease, also when the worker is killed; periods; questions to a person."""

import asyncio
import signal
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.unit.storage.conftest import claim_of, submit

from bottega.bootstrap import now
from bottega.core.artifact import Artifact
from bottega.core.entry import Act
from bottega.core.errors import BudgetExceeded, InvalidValue, RateLimited
from bottega.core.run import Made, StepResult
from bottega.storage.accounts import MILLION, Period, Row
from bottega.storage.budgets import Charge, shown
from bottega.storage.leases import Busy, Claim, Lease
from bottega.storage.state import State, open_state

TEAM = "team:home"


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    state = open_state(tmp_path, now)
    state.workers.register()
    yield state
    state.close()


def limit(
    state: State, amount: int | None, unit: str = "usd", *, near: int = MILLION, period: Period = "total"
) -> None:
    state.database.write(
        lambda transaction: state.budgets.set_limit(
            transaction, TEAM, unit, amount, near=near, period=period, actor="user:ada"
        )
    )


def row(state: State, unit: str = "usd") -> Row:
    return next(row for row in state.budgets.all() if row.unit == unit)


def claim(step: str, amount: int, *, billed: bool = False, key: str = "k", round_: int = 1) -> Claim:
    return Claim(
        run="r", round=round_, step=step, key=key, checks="", engine=step, local=False,
        charge=Charge((TEAM,), {"usd": amount}, billed),
    )  # fmt: skip


async def lease(state: State, wanted: Claim) -> Lease:
    found = await state.runs.claim(wanted, worker=state.workers.id, host="h")
    assert isinstance(found, Lease)
    return found


DIES = """
import asyncio, os, signal, sys
from pathlib import Path
from bottega.bootstrap import now
from bottega.storage.budgets import Charge
from bottega.storage.leases import Claim
from bottega.storage.state import open_state

state = open_state(Path(sys.argv[1]), now)
charge = Charge(("team:home",), {"usd": 70}, sys.argv[2] == "billed")
claim = Claim(run="r", round=1, step="first", key="k", checks="", engine="first", local=False, charge=charge)
asyncio.run(state.runs.claim(claim, worker=state.workers.register(), host="h"))
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize(("how", "spent"), [("here", 0), ("billed", 70)])
@pytest.mark.parametrize("who", ["the same step", "another step"])
async def test_a_killed_worker_s_reservation_is_mended_by_whoever_needs_it(
    state: State, tmp_path: Path, how: str, spent: int, who: str
) -> None:
    limit(state, 150)
    child = await asyncio.create_subprocess_exec(sys.executable, "-c", DIES, str(tmp_path), how)
    assert await child.wait() == -signal.SIGKILL
    assert row(state).reserved == 70  # it outlives its worker
    state.fold_again()
    assert row(state).reserved == 70
    if who == "the same step":
        await lease(state, claim("first", 70))
        assert (row(state).spent, row(state).reserved) == (spent, 70)
    else:
        found = await state.runs.claim(claim("second", 100), worker=state.workers.id, host="h")
        assert isinstance(found, Lease if how == "here" else StepResult)  # what may be billed stays spent
        assert (row(state).spent, row(state).reserved) == (spent, 100 if how == "here" else 0)
    assert Act.STEP_LOST in [entry.act for entry in state.journal.about("run/r/step/first")]


async def test_a_late_worker_settles_nothing(state: State) -> None:
    limit(state, 100)
    old = await lease(state, claim("s", 60))
    state.database.write(lambda transaction: state.budgets.settle(transaction, old.token, None, actor="w"))
    state.database.write(lambda transaction: transaction.execute("DELETE FROM leases").rowcount)
    await lease(state, claim("s", 60))
    with pytest.raises(Exception, match="another worker"):
        await state.runs.finish(
            old, StepResult(step="s", key="k", state="failed"), worker=state.workers.id, used={"usd": 50}
        )
    assert (row(state).spent, row(state).reserved) == (0, 60)


async def test_use_beyond_the_reservation_is_spent_and_said(state: State) -> None:
    limit(state, 100)
    held = await lease(state, claim("s", 60))
    done = StepResult(step="s", key="k", state="failed")
    await state.runs.finish(held, done, worker=state.workers.id, used={"usd": 130, "token": 5})
    assert (row(state).spent, row(state).reserved, row(state, "token").spent) == (130, 0, 5)
    settled = state.journal.about(f"account/{TEAM}")[-1]
    assert settled.detail["overshoot"] == {"usd": 70, "token": 5}


async def test_a_refusal_names_account_unit_rest_and_remedy(state: State) -> None:
    limit(state, 120_000)
    charge = Charge(("project:kettles", TEAM), {"usd": 300_000})
    with pytest.raises(BudgetExceeded) as refusal:
        state.database.write(
            lambda transaction: state.budgets.reserve(transaction, 1, charge, "run/r/step/s", actor="w")
        )
    assert str(refusal.value) == (
        "team:home: the budget team:home has $0.12 left, the step may use $0.30 "
        "(bottega budget set team:home --unit usd --limit AMOUNT)"
    )
    assert [entry.act for entry in state.journal.about()] == [Act.ACCOUNT_SET]


@pytest.mark.parametrize(
    ("period", "next_day", "next_month"), [("day", 0, 0), ("month", 80, 0), ("total", 80, 80)]
)
async def test_a_period_counts_anew(tmp_path: Path, period: Period, next_day: int, next_month: int) -> None:
    clock = ["2026-03-30T23:59:00.000Z"]
    state = open_state(tmp_path, lambda: clock[0])
    limit(state, 100, period=period)
    held = await lease(state, claim("s", 80))
    await state.runs.finish(
        held, StepResult(step="s", key="k", state="failed"), worker=state.workers.id, used={"usd": 80}
    )
    assert isinstance(await state.runs.claim(claim("t", 80), worker="w", host="h"), StepResult)
    seen: list[int] = []
    for clock[0] in ("2026-03-31T00:00:00.000Z", "2026-04-01T00:00:00.000Z"):
        seen.append(row(state).spent)
    assert seen == [next_day, next_month]
    after = await state.runs.claim(claim("t", 80, round_=2), worker="w", host="h")
    assert isinstance(after, StepResult if period == "total" else Lease)
    before = state.budgets.all()
    state.fold_again()
    assert state.budgets.all() == before
    state.close()


async def test_a_limit_by_the_minute_is_waited_for_and_asks_nobody(tmp_path: Path) -> None:
    clock = ["2026-03-30T23:59:15.000Z"]
    state = open_state(tmp_path, lambda: clock[0])
    limit(state, 100, period="minute", near=MILLION // 2)
    held = await lease(state, claim("s", 80))
    await state.runs.finish(
        held, StepResult(step="s", key="k", state="done"), worker=state.workers.id, used={"usd": 80}
    )
    before = state.journal.size()
    with pytest.raises(RateLimited, match=r"has .* left") as late:  # a call: nobody waits for it here
        await state.runs.claim(claim("t", 80), worker="w", host="h")
    assert late.value.retry_after == 45 and late.value.where == TEAM
    assert state.journal.size() == before
    assert isinstance(await state.runs.claim(claim("t", 20), worker="w", host="h"), Lease)
    run = submit(state, "red")
    wanted = claim_of(run, "a", "red", charge=Charge((TEAM,), {"usd": 80}))
    busy = await state.runs.claim(wanted, worker="w", host="h")
    assert isinstance(busy, Busy) and busy.until == "2026-03-31T00:00:00.000Z"
    never = await state.runs.claim(claim("u", 101), worker="w", host="h")
    assert isinstance(never, StepResult) and never.state == "awaiting_review"  # in no minute
    clock[0] = busy.until
    assert isinstance(await state.runs.claim(wanted, worker="w", host="h"), Lease)
    tables = state.budgets.all()
    state.fold_again()
    assert state.budgets.all() == tables
    state.close()


async def test_a_clock_set_back_gives_no_period_a_second_time(tmp_path: Path) -> None:
    clock = ["2026-03-31T12:00:00.000Z"]
    state = open_state(tmp_path, lambda: clock[0])
    limit(state, 100, period="day")
    held = await lease(state, claim("s", 80))
    await state.runs.finish(
        held, StepResult(step="s", key="k", state="failed"), worker=state.workers.id, used={"usd": 80}
    )
    clock[0] = "2026-03-30T12:00:00.000Z"
    assert row(state).spent == 80
    assert isinstance(await state.runs.claim(claim("t", 80), worker="w", host="h"), StepResult)
    state.close()


def test_what_is_no_account(state: State) -> None:
    for name in ("kettles", "project:", "person:ada", "project:a/b", "project:a b"):
        with pytest.raises(InvalidValue, match="no account"):
            state.database.write(
                lambda transaction, name=name: state.budgets.set_limit(transaction, name, "usd", 1, actor="a")
            )


def test_amounts_as_people_read_them() -> None:
    assert [shown(120_000, "usd"), shown(5_000_000, "usd"), shown(1, "usd"), shown(-2_500_000, "usd")] == [
        "$0.12",
        "$5.00",
        "$0.000001",
        "-$2.50",
    ]
    assert [shown(1200 * MILLION, "token"), shown(1_500_000, "second")] == ["1200 token", "1.5 second"]


def test_many_claims_at_once_over_one_event_loop(state: State) -> None:
    limit(state, 1000)

    async def race() -> list[object]:
        wanted = [claim(f"s{index}", 30) for index in range(50)]
        return await asyncio.gather(
            *(state.runs.claim(each, worker=state.workers.id, host="h") for each in wanted)
        )

    found = asyncio.run(race())
    assert sum(isinstance(each, Lease) for each in found) == 33
    assert row(state).reserved == 990


async def test_a_result_found_elsewhere_leaves_no_lease_and_no_reservation_behind(
    state: State, tmp_path: Path
) -> None:
    wanted, equal = claim("a", 5), replace(claim("b", 5), run="other")
    await lease(state, wanted)
    found = await lease(state, equal)
    made = Made(port="text", artifact=Artifact(sha256="0" * 64, media_type="text/plain", size=1))
    done = StepResult(step="b", key="k", state="done", outputs=(made,))
    await state.runs.finish(found, done, worker=state.workers.id, reusable=True, used={"usd": 1})
    second = open_state(tmp_path, now)
    second.workers.register()
    me = {"worker": second.workers.id, "host": "h"}
    assert isinstance(await second.runs.claim(wanted, **me), Busy)  # whoever has it finishes it
    state.workers.close()
    taken = await second.runs.claim(wanted, **me)
    assert isinstance(taken, StepResult) and taken.state == "reused"
    assert [entry.act for entry in second.journal.about("run/r")][-2:] == [Act.STEP_LOST, Act.STEP_REUSED]
    assert second.database.rows("SELECT * FROM reservations") == []
    assert (row(second).spent, row(second).reserved) == (1, 0)
    second.close()
