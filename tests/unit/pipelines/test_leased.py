"""A step under a lease, when it is cancelled or the state cannot be used."""

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from tests.unit.pipelines.conftest import Work, echo, plan_of

from bottega.core.entry import Act
from bottega.core.errors import InvalidPlan, StorageFailed
from bottega.core.run import Run
from bottega.pipelines.runner import Event
from bottega.pipelines.workshop import Workshop
from bottega.storage.leases import Lease, Turn
from bottega.storage.sqlite import SQLite


def acts(shop: Workshop) -> list[Act]:
    return [entry.act for entry in shop.journal.about("run/run")]


@pytest.fixture
def database_file(tmp_path: Path) -> Path:
    return tmp_path / "state" / "bottega.sqlite"


async def test_a_lease_that_comes_after_the_cancellation_is_given_back(
    runner: Work, shop: Workshop, database_file: Path
) -> None:
    shop.workers.register()
    work = runner(plan_of(echo("a")))
    with closing(sqlite3.connect(database_file, isolation_level=None)) as another:
        another.execute("BEGIN IMMEDIATE")
        task = asyncio.create_task(work.work())
        await asyncio.sleep(0.3)  # the claim waits for the other process
        task.cancel()
        await asyncio.sleep(0.1)
        another.execute("ROLLBACK")
    with pytest.raises(asyncio.CancelledError):
        await task
    assert acts(shop)[-2:] == [Act.STEP_LEASED, Act.STEP_LOST]
    assert shop.journal.about("run/run")[-1].detail["counts"] is False
    assert (await runner(plan_of(echo("a"))).work()).state == "released"


async def test_a_lease_that_is_handed_on_is_given_back_when_the_watcher_fails(
    runner: Work, shop: Workshop
) -> None:
    work = runner(plan_of(echo("a"), echo("b", after=("a",))))

    def fail(event: Event) -> None:
        if event.what == "ended":
            raise RuntimeError("nobody can watch any more")

    work.watch = fail
    with pytest.raises(RuntimeError):
        await work.work()
    steps = [entry for entry in shop.journal.about("run/run") if "/step/" in entry.subject]
    assert [(entry.subject[-1], entry.act) for entry in steps] == [
        ("a", Act.STEP_LEASED),
        ("a", Act.STEP_FINISHED),
        ("b", Act.STEP_LEASED),  # in the same change
        ("b", Act.STEP_LOST),
    ]
    assert (await runner(plan_of(echo("a"), echo("b", after=("a",)))).work()).state == "released"


async def test_steps_in_a_row_need_one_commit_each(
    runner: Work, shop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.workers.register()
    work = runner(plan_of(echo("a"), echo("b", after=("a",)), echo("c", after=("b",))))
    commits: list[None] = []
    end = SQLite._end  # pyright: ignore[reportPrivateUsage]

    def counted(database: SQLite) -> None:
        commits.append(None)
        end(database)

    monkeypatch.setattr(SQLite, "_end", counted)
    assert (await work.work()).state == "released"
    # The first lease; three ends, of which two lease the next step and the last ends the run.
    assert len(commits) == 4


async def test_the_last_step_and_the_end_of_its_run_are_one_change(
    runner: Work, shop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that lost its lease ends neither."""
    work = runner(plan_of(echo("a"), echo("b", after=("a",))))
    finish = shop.runs.finish_last

    async def taken_over(lease: Lease, *words: Any, **more: Any) -> bool:
        monkeypatch.undo()
        await shop.runs.let_go(lease, worker=shop.workers.id)
        return await finish(lease, *words, **more)

    monkeypatch.setattr(shop.runs, "finish_last", taken_over)
    assert (await work.work()).state == "released"
    assert acts(shop)[-4:] == [Act.STEP_LOST, Act.STEP_LEASED, Act.STEP_FINISHED, Act.RUN_RELEASED]


async def test_a_round_that_another_ended_is_not_ended_again(
    runner: Work, shop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = runner(plan_of(echo("a"), echo("b", after=("a",))))
    finish = shop.runs.finish_last

    async def late(*words: Any, **more: Any) -> bool:
        failed = work.run.model_copy(update={"state": "failed", "reason": "first"})
        assert shop.runs.close(failed, actor="worker:other")
        return await finish(*words, **more)

    monkeypatch.setattr(shop.runs, "finish_last", late)
    ended = await work.work()
    assert (ended.state, ended.reason) == ("failed", "first")
    assert acts(shop)[-2:] == [Act.RUN_FAILED, Act.STEP_FINISHED]


async def test_a_state_that_cannot_be_used_is_one_error_and_no_failure_of_the_step(
    runner: Work, shop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = plan_of(echo("a"), echo("b"), echo("c", after=("a", "b")))
    work = runner(plan)

    def full(*given: object, **how: object) -> None:
        raise StorageFailed("the disk is full")

    with monkeypatch.context() as patched:
        patched.setattr(shop.artifacts, "put", full)
        with pytest.raises(StorageFailed, match="the disk is full"):
            await work.work()
    assert Act.STEP_FAILED not in acts(shop)
    assert shop.runs.get("run")[0].state == "running"
    lost = [entry for entry in shop.journal.about("run/run") if entry.act is Act.STEP_LOST]
    assert lost[0].why == "the disk is full"
    assert not any(entry.detail["counts"] for entry in lost)  # no death of a step
    assert (await runner(plan, "run").work()).state == "released"


async def test_a_lease_that_cannot_be_given_back_is_taken_over_by_the_next_who_wants_it(
    runner: Work, shop: Workshop, database_file: Path
) -> None:
    shop.workers.register()
    plan = plan_of(echo("a"))
    work = runner(plan)
    with closing(sqlite3.connect(database_file, isolation_level=None)) as another:
        another.execute(
            "CREATE TRIGGER full BEFORE DELETE ON leases BEGIN SELECT RAISE(ABORT, 'disk is full'); END"
        )
        with pytest.raises(StorageFailed, match="disk is full"):
            await work.work()
        assert acts(shop)[-1] == Act.STEP_LEASED
        another.execute("DROP TRIGGER full")
    run = await asyncio.wait_for(runner(plan).work(), 30)
    assert run.state == "released"


async def test_what_cannot_be_delivered_fails_the_run_and_holds_no_lease(
    runner: Work, shop: Workshop
) -> None:
    work = runner(plan_of(echo("a")))

    def refuse(run: Run, turn: Turn) -> None:
        raise InvalidPlan("the name is taken")

    work.deliver = refuse
    with pytest.raises(InvalidPlan):
        await work.work()
    run = shop.runs.get("run")[0]
    assert (run.state, run.error) == ("failed", "InvalidPlan")
    assert acts(shop)[-2:] == [Act.STEP_LOST, Act.RUN_FAILED]
