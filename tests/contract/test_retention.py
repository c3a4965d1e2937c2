"""Retention on both databases: what has ended goes once, whoever removes it, and once a day by itself."""

import asyncio
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import pytest
from tests.unit.pipelines.conftest import POLICY
from tests.unit.storage.conftest import Clock, finish, lease, submit

from bottega.bootstrap import build, now
from bottega.core.entry import Act, Entry
from bottega.core.moment import later
from bottega.core.run import Run
from bottega.governance.checkpoint import RecordKey
from bottega.governance.keyring import KeyRing
from bottega.governance.policy import Policy, Retention
from bottega.governance.seal import SubjectSeal
from bottega.service.audit import Audit
from bottega.service.privacy import Privacy
from bottega.service.retention import DAY, SUBJECT, Expired
from bottega.service.retention import Retention as Keeping
from bottega.service.store import Store
from bottega.service.worker import Worker as Hand
from bottega.settings import Settings
from bottega.storage.artifacts import ArtifactStore
from bottega.storage.budgets import Charge
from bottega.storage.database import Transaction
from bottega.storage.journal import Journal
from bottega.storage.schema import FOLDED_TABLES
from bottega.storage.state import State, open_state
from bottega.storage.upkeep import HOUR

DAYS = 30
RULE = {"policy": "thirty", "days": DAYS}


@dataclass
class Worker:
    """One worker's state, and what keeps to the policy in it."""

    state: State
    keeping: Keeping
    audit: Audit
    artifacts: ArtifactStore


@dataclass
class Site:
    """A state that several workers open."""

    folder: Path
    url: str
    stack: ExitStack
    clock: Clock = field(default_factory=Clock)

    def hire(self, *, days: int = DAYS, signs_off: bool = True) -> Worker:
        ring = KeyRing(self.folder / "subject-keys")
        state = open_state(self.folder, self.clock, url=self.url, seal=SubjectSeal(ring), beat=3600)
        if signs_off:
            self.stack.callback(state.close)
        artifacts = ArtifactStore(self.folder / "artifacts")
        audit = Audit(state, cache(lambda: RecordKey.local(self.folder / "record-key")), None, self.clock)
        places = (self.folder / "collections", self.folder / "deliveries")
        store = Store(
            state, Privacy(state, ring, artifacts, audit, "user:ada", *places), artifacts, audit, self.folder, "user:ada"
        )  # fmt: skip
        policy = Policy(name="thirty", retention=Retention(runs_days=days) if days else None, rules=())
        state.workers.register()
        return Worker(state, Keeping(state, policy, store, places[1], "user:ada"), audit, artifacts)


@pytest.fixture
def site(tmp_path: Path, either_database: str) -> Iterator[Site]:
    with ExitStack() as stack:
        yield Site(tmp_path / "state", either_database, stack)


def go_on() -> bool:
    """Nobody stops it."""
    return False


def ended(state: State, run: str) -> Run:
    """A run without steps that has been released."""
    begun = submit(state, run, run=run)
    state.runs.close(begun.model_copy(update={"state": "released"}), actor="worker:w")
    return begun


async def called(worker: Worker, run: str, word: str) -> str:
    """A call, which has no run, that made a text; gives its hash."""
    asked = Run(id=run, state="running", plan="", brief="", round=worker.state.journal.size())
    await finish(worker.state, await lease(worker.state, asked, "call", word))
    return worker.artifacts.put(word.encode(), "text/plain").sha256


def acts(journal: Journal, subject: str) -> list[Act]:
    return [entry.act for entry in journal.about(subject)]


def turns(worker: Worker) -> list[Entry]:
    return worker.state.journal.about(SUBJECT)


def together(*works: Callable[[], object]) -> None:
    threads = [threading.Thread(target=work) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def tables(state: State) -> dict[str, list[object]]:
    return {table: sorted(state.database.rows(f"SELECT * FROM {table}")) for table in FOLDED_TABLES}


async def test_two_that_expire_at_once_remove_each_run_once(site: Site) -> None:
    """Both have seen all of them before either may write."""
    first, second, third = site.hire(), site.hire(), site.hire()
    runs = [f"run-{n}" for n in range(3)]
    for run in runs:
        ended(first.state, run)
    await called(first, "call-1", "two words")
    site.clock.move((DAYS + 1) * DAY)
    held, found = threading.Event(), list[Expired]()

    def hold(transaction: Transaction) -> None:
        transaction.execute("UPDATE workers SET beat = beat")
        held.set()
        time.sleep(1)

    blocking = threading.Thread(target=third.state.database.write, args=(hold,))
    blocking.start()
    assert held.wait(30)
    together(
        *(lambda each=each: found.append(each.keeping.expire(dry_run=False)) for each in (first, second))
    )
    blocking.join()
    assert sorted(run for each in found for run in each.runs) == ["call-1", *runs]
    for run in ("call-1", *runs):
        assert acts(first.state.journal, f"run/{run}").count(Act.RUN_EXPIRED) == 1
    assert first.audit.verify().rows == len(first.state.database.rows("SELECT id FROM runs"))


@pytest.mark.parametrize("apart", [True, False])
def test_of_workers_that_come_at_once_one_has_the_turn(site: Site, apart: bool) -> None:
    """Over states of their own, as processes have them, or in threads of one."""
    workers = [site.hire() for _ in range(3)] if apart else [site.hire()] * 3
    ended(workers[0].state, "old")
    site.clock.move((DAYS + 1) * DAY)
    found = list[Expired | None]()
    together(*(lambda each=each: found.append(each.keeping.round(go_on)) for each in workers))
    (done,) = [each for each in found if each is not None]
    assert done.runs == ("old",)
    begun, applied = turns(workers[0])
    assert (begun.act, begun.detail) == (Act.RETENTION_BEGUN, RULE)
    assert applied.detail == {**RULE, "runs": 1, "documents": 1, "files": 0, "bytes": 0}
    assert begun.actor == applied.actor == workers[0].state.journal.about("run/old")[-1].actor


def test_it_is_due_once_a_day(site: Site) -> None:
    worker, other, careless = site.hire(), site.hire(), site.hire(days=0)
    assert careless.keeping.next_due() == "" and careless.keeping.round(go_on) is None
    assert worker.keeping.next_due() == site.clock()
    assert worker.keeping.round(go_on) == Expired(DAYS)
    for each in (worker, other):
        assert each.keeping.next_due() == site.clock.after(DAY)
        assert each.keeping.round(go_on) is None
    site.clock.move(DAY - 1)
    assert other.keeping.round(go_on) is None
    site.clock.move(1)
    assert other.keeping.round(go_on) == Expired(DAYS)
    assert other.keeping.expire(dry_run=False) == Expired(DAYS)  # by hand at any time
    assert worker.keeping.next_due() == site.clock.after(DAY)
    assert [entry.act.value.rpartition(":")[2] for entry in turns(worker)] == ["begun", "applied"] * 2 + [
        "applied"
    ]


def test_the_turn_of_a_living_worker_is_left_to_it_and_that_of_a_dead_one_taken_over(site: Site) -> None:
    worker = site.hire()
    ended(worker.state, "old")
    site.clock.move((DAYS + 1) * DAY)
    words = [sys.executable, "-c", CHILD, str(site.folder), site.url]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None and child.stdout.readline() == "begun\n"
        assert worker.keeping.next_due() == site.clock.after(HOUR)
        assert worker.keeping.round(go_on) is None
        child.kill()
        child.wait()
    site.clock.move(HOUR)
    assert worker.keeping.next_due() == site.clock()
    done = worker.keeping.round(go_on)
    assert done is not None and done.runs == ("old",)


CHILD = f"""
import sys
from pathlib import Path
from bottega.bootstrap import build, now
from bottega.core.entry import Act
from bottega.storage.state import open_state
state = open_state(Path(sys.argv[1]), lambda: "2026-02-01T00:00:00.000Z", url=sys.argv[2])
state.journal.write(Act.RETENTION_BEGUN, "{SUBJECT}", actor=state.workers.register(), durable=True)
print("begun", flush=True)
sys.stdin.read()
"""


def test_a_worker_that_leaves_in_the_middle_is_followed_by_the_next(site: Site) -> None:
    leaving, other = site.hire(signs_off=False), site.hire()
    ended(other.state, "old")
    site.clock.move((DAYS + 1) * DAY)
    dues = list[str]()

    def stop() -> bool:
        dues.append(leaving.keeping.next_due())
        return True

    assert leaving.keeping.round(stop) is None
    assert set(dues) == {site.clock.after(HOUR)}  # while it is at it, it need not be asked again
    assert leaving.keeping.next_due() == site.clock()  # afterwards the turn is still its own
    assert [entry.act for entry in turns(other)] == [Act.RETENTION_BEGUN]
    assert other.state.runs.round("old") >= 0 and other.keeping.round(go_on) is None
    leaving.state.close()
    site.clock.move(HOUR)
    done = other.keeping.round(go_on)
    assert done is not None and done.runs == ("old",)


async def test_all_that_was_of_a_run_goes_and_what_others_need_stays(site: Site) -> None:
    worker = site.hire()
    state = worker.state
    begun = submit(state, "an earlier plan", run="old")
    await finish(state, await lease(state, begun, "a", "shared"))
    begun = submit(state, "a later plan", run="old")
    await finish(state, await lease(state, begun, "a", "shown"), "awaiting_review")
    begun = submit(state, "a later plan", run="old")
    await finish(state, await lease(state, begun, "a", "only here"))
    state.runs.close(begun.model_copy(update={"state": "failed"}), actor="worker:w")
    waits = submit(state, "waits for a person", run="waits")
    state.runs.close(waits.model_copy(update={"state": "awaiting_review"}), actor="worker:w")
    texts = [await called(worker, f"call-{n}", f"text {n}") for n in range(2)]
    site.clock.move((DAYS + 1) * DAY)
    young = submit(state, "young", run="young")
    await finish(state, await lease(state, young, "a", "shared"))
    ended(state, "new")
    kept = await called(worker, "call-2", "text 2")
    folder = site.folder / "deliveries"
    for name, days in (("old", DAYS + 1), ("waits", DAYS + 1), ("unknown", DAYS - 1)):
        (folder / name).mkdir(parents=True)
        moment = site.clock.at.timestamp() - days * DAY
        os.utime(folder / name, (moment, moment))
    for each in worker.artifacts.list():
        path = worker.artifacts.objects.local(each.name)
        assert path is not None
        os.utime(path, (time.time() - 2 * DAY, time.time() - 2 * DAY))

    done = worker.keeping.round(go_on)
    assert done is not None and done.runs == ("old", "call-0", "call-1")
    assert done.documents == 2 + 3 + 2 - 1  # plans, results, those of calls; one is shared
    assert {run.id for run in state.runs.all()} == {"waits", "young", "new"}
    assert {each.name for each in folder.iterdir()} == {"waits", "unknown"}
    assert set(done.files.names) == set(texts) and worker.artifacts.holds(kept)
    text = repr(state.database.rows("SELECT body FROM contents"))
    assert "an earlier plan" not in text and "a later plan" not in text and "young" in text
    found = worker.audit.verify()
    assert found.documents == len(state.database.rows("SELECT digest FROM contents"))
    before = tables(state)
    state.fold_again()
    assert tables(state) == before


async def test_what_somebody_works_on_stays_and_what_the_dead_held_is_free_again(site: Site) -> None:
    worker, dead = site.hire(), site.hire(signs_off=False)
    state, paid = worker.state, Charge(("project:kettles",), {"usd": 5})
    for each, run in ((worker, "mine"), (dead, "theirs")):
        begun = submit(each.state, run, run=run, charge=paid.accounts)
        await lease(each.state, begun, "a", run, charge=paid)
        state.runs.close(begun.model_copy(update={"state": "cancelled"}), actor="worker:w")
    dead.state.close()
    site.clock.move((DAYS + 1) * DAY)
    assert worker.keeping.expire(dry_run=False).runs == ("theirs",)
    assert state.database.rows("SELECT reserved FROM accounts") == [(5,)]
    assert [run.id for run in state.runs.all()] == ["mine"]
    assert worker.audit.verify().rows > 0


def test_files_that_cannot_be_collected_are_told_and_the_round_is_over(site: Site) -> None:
    worker = site.hire()
    (site.folder / "artifacts").mkdir(exist_ok=True)
    (site.folder / "artifacts").rmdir()
    (site.folder / "artifacts").write_text("no folder")
    done = worker.keeping.round(go_on)
    assert done is not None and "storage failed" in done.problem
    assert turns(worker)[-1].detail["problem"] == done.problem
    assert worker.keeping.next_due() == site.clock.after(DAY)


async def test_a_worker_at_rest_wakes_when_it_is_due(either_database: str, tmp_path: Path) -> None:
    """The last round was almost a day ago by the record."""
    earlier = open_state(tmp_path / "state", lambda: later(now(), 2 - DAY), url=either_database)
    earlier.journal.write(Act.RETENTION_APPLIED, SUBJECT, actor="worker:w")
    earlier.close()
    (tmp_path / "policy.toml").write_text(
        POLICY.replace('name = "test"\n', 'name = "test"\n[retention]\nruns_days = 30\n')
    )
    settings = Settings(home=tmp_path / "home", state=tmp_path / "state", database=either_database)
    service, told = build(settings, policy=tmp_path / "policy.toml"), list[str]()
    working = asyncio.create_task(Hand(service, say=told.append).work())
    while not any("retention of 30 days" in line for line in told):
        assert not working.done()
        await asyncio.sleep(0.1)
    working.cancel()
    await asyncio.wait([working])
    first, begun, applied = service.state.journal.about(SUBJECT)
    assert begun.at >= later(first.at, DAY) and applied.act is Act.RETENTION_APPLIED
    service.close()


def test_only_what_is_past_its_day_is_old(site: Site) -> None:
    worker = site.hire()
    ended(worker.state, "old")
    site.clock.move(DAYS * DAY)
    assert worker.keeping.expire(dry_run=False).runs == ()
    site.clock.move(0.001)
    assert worker.keeping.expire().runs == ("old",)
    assert worker.keeping.expire(dry_run=False).runs == ("old",)
