"""Several workers on one run: two workshops over the same state, in threads and in processes."""

import asyncio
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path

import pytest
from tests.unit.pipelines.conftest import POLICY, echo, plan_of

from bottega.bootstrap import now
from bottega.catalog.catalog import Catalog
from bottega.core.entry import Act
from bottega.core.errors import LeaseLost, StorageFailed
from bottega.core.plan import Plan
from bottega.core.run import Run
from bottega.governance.policy import Policy
from bottega.pipelines.leased import obtained
from bottega.pipelines.runner import Runner, Sources
from bottega.pipelines.workshop import Workshop
from bottega.storage.artifacts import ArtifactStore
from bottega.storage.leases import Claim, Lease, Turn
from bottega.storage.state import State, open_state

TOP = Path(__file__).parents[3]
SLOW = {"text": "word " * 400, "delay": 0.05}


def open_shop(folder: Path, now: Callable[[], str] = now) -> tuple[State, Workshop]:
    """A worker with everything of its own but the state."""
    if not (folder / "policy.toml").exists():  # another process may be reading it
        (folder / "policy.toml").write_text(POLICY)
    state = open_state(folder / "state", now)
    shop = Workshop(
        artifacts=ArtifactStore(folder / "artifacts"),
        runs=state.runs,
        journal=state.journal,
        tickets=state.tickets,
        workers=state.workers,
        catalog=Catalog(folder / "home"),
        policy=Policy.load(folder / "policy.toml"),
        scratch=folder / "scratch",
        now=now,
        limits={"echo": 2, "local": 2},
    )
    return state, shop


class Stalling:
    """A clock on which whoever writes an entry can be held up."""

    def __init__(self) -> None:
        self.stalls = False
        self.entered, self.go_on = threading.Semaphore(0), threading.Semaphore(0)

    def __call__(self) -> str:
        if self.stalls and threading.current_thread() is not threading.main_thread():
            self.entered.release()
            assert self.go_on.acquire(timeout=20)
        return now()


Open = Callable[[], Workshop]


@pytest.fixture
def shops(tmp_path: Path) -> Iterator[Open]:
    states: list[State] = []

    def another() -> Workshop:
        state, shop = open_shop(tmp_path)
        states.append(state)
        return shop

    yield another
    for state in states:
        state.close()


def submit(shop: Workshop, plan: Plan) -> Run:
    run = Run(id="run", state="planned", plan=plan.identity, brief=plan.brief.identity)
    return shop.runs.submit(run, plan, actor="user:test")


def work(shop: Workshop, plan: Plan) -> Run:
    """Join the run as a process of its own would."""
    run = shop.runs.join("run", actor=shop.workers.id)
    return asyncio.run(Runner(plan, run, Sources({}, {}, ()), shop).work())


def acts(shop: Workshop) -> Counter[Act]:
    return Counter(entry.act for entry in shop.journal.about("run/run"))


def diamond() -> Plan:
    wide = [echo(f"wide{each}", f"word number {each}", params={"text": f"word {each}", "delay": 0.02})
            for each in range(6)]  # fmt: skip
    return plan_of(*wide, echo("end", "the end", after=tuple(step.id for step in wide)))


async def until(shop: Workshop, act: Act) -> None:
    with shop.runs.wakes.listen() as bell:
        while not acts(shop)[act]:
            await bell.wait()
            bell.clear()


def test_two_workers_make_every_step_once_and_agree(shops: Open) -> None:
    one, two = shops(), shops()
    plan = diamond()
    submit(one, plan)
    with ThreadPoolExecutor(2) as pool:
        runs = [future.result(60) for future in [pool.submit(work, shop, plan) for shop in (one, two)]]
    assert [run.state for run in runs] == ["released", "released"]
    assert [result.outputs for result in runs[0].results] == [result.outputs for result in runs[1].results]
    happened = acts(one)
    assert happened[Act.STEP_LEASED] == happened[Act.STEP_FINISHED] == len(plan.steps)
    assert happened[Act.RUN_RELEASED] == 1


async def test_one_worker_leaves_and_the_other_goes_on(shops: Open) -> None:
    one, two = shops(), shops()
    plan = plan_of(echo("slow", params=SLOW | {"text": "word " * 20}), echo("end", "the end", ("slow",)))
    run = submit(one, plan)
    leaving = asyncio.create_task(Runner(plan, run, Sources({}, {}, ()), one).work())
    await until(one, Act.STEP_LEASED)
    staying = asyncio.create_task(asyncio.to_thread(work, two, plan))
    await asyncio.sleep(0.1)
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    assert (await asyncio.wait_for(staying, 60)).state == "released"
    assert acts(one)[Act.STEP_LOST] == 1
    assert acts(one)[Act.STEP_STOPPED] == acts(one)[Act.RUN_CANCELLED] == 0


async def test_a_stop_from_another_worker_reaches_a_running_step(shops: Open) -> None:
    one, two = shops(), shops()
    plan = plan_of(echo("slow", params=SLOW), echo("end", "the end", ("slow",)))
    submit(one, plan)
    working = asyncio.create_task(asyncio.to_thread(work, one, plan))
    await until(two, Act.STEP_LEASED)
    two.runs.ask_to_stop("run", actor="user:ada")
    run = await asyncio.wait_for(working, 60)
    assert run.state == two.runs.get("run")[0].state == "cancelled"
    assert [result.state for result in run.results] == ["stopped", "skipped"]
    _within_two_seconds(two)


async def test_a_stop_that_was_asked_before_anybody_listened_is_heard(shops: Open) -> None:
    one, two = shops(), shops()
    plan = plan_of(echo("slow", params=SLOW))
    run = submit(one, plan)
    blocker = await two.runs.claim(
        Claim("run", run.round, "slow", plan.steps[0].key({}), "", "echo"), worker=two.workers.register(), host="x"
    )  # fmt: skip
    assert isinstance(blocker, Lease)  # so that the worker to come writes nothing that would ring
    two.runs.ask_to_stop("run", actor="user:ada")
    assert (await asyncio.wait_for(asyncio.to_thread(work, one, plan), 60)).state == "cancelled"


async def test_a_newer_round_ends_the_work_in_the_older_one(shops: Open) -> None:
    one, two = shops(), shops()
    plan = plan_of(echo("slow", params=SLOW), echo("end", "the end", ("slow",)))
    submit(one, plan)
    working = asyncio.create_task(asyncio.to_thread(work, one, plan))
    await until(two, Act.STEP_LEASED)
    edited = plan_of(echo("slow", "quick now"), echo("end", "the end", ("slow",)))
    submit(two, edited)
    newer = await asyncio.wait_for(asyncio.to_thread(work, two, edited), 60)
    assert newer.state == "released"
    older = await asyncio.wait_for(working, 60)
    assert older.state != "released"
    assert two.runs.get("run")[0].results == newer.results


async def test_a_claim_cancelled_in_mid_commit_leaves_no_lease(tmp_path: Path) -> None:
    """Nobody would ever give it back: its worker lives."""
    clock = Stalling()
    state, shop = open_shop(tmp_path, clock)
    plan = plan_of(echo("a"))
    run = submit(shop, plan)
    worker = await asyncio.to_thread(shop.workers.register)
    claim = Claim("run", run.round, "a", plan.steps[0].key({}), "", "echo")
    clock.stalls = True
    blocking = asyncio.create_task(asyncio.to_thread(shop.journal.write, Act.FILES_COLLECTED, "x", actor="x"))
    await asyncio.to_thread(clock.entered.acquire)  # somebody else has the turn, so that we wait for ours
    task = asyncio.create_task(obtained(claim, shop))
    await asyncio.sleep(0.05)
    clock.go_on.release()
    await asyncio.to_thread(clock.entered.acquire)  # our lease is being written
    task.cancel()
    await asyncio.sleep(0)
    clock.stalls = False
    clock.go_on.release()
    with pytest.raises(asyncio.CancelledError):
        await task
    await blocking
    assert acts(shop)[Act.STEP_LEASED] == acts(shop)[Act.STEP_LOST] == 1
    found = await shop.runs.claim(claim, worker=worker, host=shop.workers.host)
    assert isinstance(found, Lease)
    assert found.attempt == 1
    state.close()


async def test_a_delivery_that_fails_is_left_to_whoever_can(shops: Open) -> None:
    one, two = shops(), shops()
    plan = plan_of(echo("a"))
    run = submit(one, plan)
    delivered: list[str] = []

    def full(run: Run, turn: Turn) -> None:
        raise StorageFailed("the disk is full")

    with pytest.raises(StorageFailed):
        await Runner(plan, run, Sources({}, {}, ()), one, deliver=full).work()
    assert one.runs.get("run")[0].state == "running"
    joined = two.runs.join("run", actor=two.workers.id)
    ended = await Runner(
        plan, joined, Sources({}, {}, ()), two, deliver=lambda run, turn: delivered.append(run.state)
    ).work()
    assert (ended.state, delivered) == ("released", ["released"])


async def test_a_delivery_that_another_has_taken_over_is_left_to_it(
    shops: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = shops(), shops()
    plan = plan_of(echo("a"))
    run = submit(one, plan)

    def gone(worker: str) -> str:
        return "no heartbeat" if worker == one.workers.id else ""

    monkeypatch.setattr(two.workers, "gone", gone)
    delivered: list[int] = []

    def stopped(run: Run, turn: Turn) -> None:
        turn.check()
        joined = two.runs.join("run", actor=two.workers.id)
        asyncio.run(
            Runner(
                plan,
                joined,
                Sources({}, {}, ()),
                two,
                deliver=lambda run, turn: delivered.append(turn.number),
            ).work()
        )
        with pytest.raises(LeaseLost):
            turn.check()
        raise StorageFailed("the folder is gone")

    ended = await Runner(plan, run, Sources({}, {}, ()), one, deliver=stopped).work()
    assert ended.state == one.runs.get("run")[0].state == "released" and len(delivered) == 1


async def test_who_comes_after_the_end_makes_nothing(shops: Open) -> None:
    one, two = shops(), shops()
    plan = plan_of(echo("a"))
    await asyncio.to_thread(lambda: (submit(one, plan), work(one, plan)))
    size = one.journal.size()
    assert (await asyncio.to_thread(work, two, plan)).state == "released"
    assert one.journal.size() == size


def test_processes_share_a_run_and_one_is_killed(tmp_path: Path, shops: Open) -> None:
    """Nothing is lost and nothing finished twice, whenever the kill comes."""
    shop = shops()
    plan = diamond()
    submit(shop, plan)
    (tmp_path / "plan.json").write_bytes(plan.canonical())
    children = [
        subprocess.Popen([sys.executable, "-m", "tests.unit.pipelines.test_together", str(tmp_path)], cwd=TOP)
        for _ in range(2)
    ]
    while not acts(shop)[Act.STEP_LEASED]:
        time.sleep(0.02)
    children[0].send_signal(signal.SIGKILL)
    assert children[1].wait(60) == 0
    children[0].wait()
    assert shop.runs.get("run")[0].state == "released"
    finished = Counter(entry.subject for entry in shop.journal.about() if entry.act is Act.STEP_FINISHED)
    assert finished == Counter(f"run/run/step/{step.id}" for step in plan.steps)


def _within_two_seconds(shop: Workshop) -> None:
    """By the journal's own times, between the wish and the end of the step."""
    times = {entry.act: datetime.fromisoformat(entry.at) for entry in shop.journal.about("run/run")}
    assert (times[Act.STEP_STOPPED] - times[Act.RUN_STOP_ASKED]).total_seconds() < 2


if __name__ == "__main__":
    opened, shop = open_shop(Path(sys.argv[1]))
    work(shop, Plan.model_validate_json((Path(sys.argv[1]) / "plan.json").read_bytes()))
    opened.close()
