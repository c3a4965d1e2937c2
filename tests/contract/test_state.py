"""Laws of the state, on every database that it may be kept in."""

import asyncio
import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from bottega.core.artifact import Artifact
from bottega.core.brief import Brief
from bottega.core.canonical import digest_bytes
from bottega.core.entry import Act
from bottega.core.errors import InvalidBrief, InvalidValue, LeaseLost, NotFound
from bottega.core.plan import Deliverable, Plan, Step
from bottega.core.run import Made, Run, StepResult
from bottega.storage.database import Transaction
from bottega.storage.leases import POISON, Busy, Claim, Lease
from bottega.storage.merkle import TILE, leaf_hash, root_of
from bottega.storage.schema import FOLDED_TABLES
from bottega.storage.sealing import open_bytes, seal_bytes
from bottega.storage.state import State, open_state
from bottega.storage.tickets import Opening

KEY = "1" * 64
TEXT = Artifact(sha256=digest_bytes(b"two words"), media_type="text/plain", size=9)


class Clock:
    """A clock that tests set; RFC 3339, UTC."""

    def __init__(self) -> None:
        self.moment = datetime(2026, 1, 1, tzinfo=UTC)

    def __call__(self) -> str:
        return self.moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")

    def forward(self, seconds: float) -> None:
        self.moment += timedelta(seconds=seconds)


class Keys:
    """A key for each data subject, until it is destroyed."""

    def __init__(self) -> None:
        self.held: dict[str, bytes] = {}

    def close(self, holder: str, plain: bytes) -> bytes:
        key = self.held.setdefault(holder, AESGCM.generate_key(256))
        return seal_bytes(plain, key, holder.encode())

    def open(self, holder: str, sealed: bytes) -> bytes | None:
        return open_bytes(sealed, self.held[holder], holder.encode()) if holder in self.held else None


@dataclass
class Site:
    """A place for a state, which several workers open."""

    folder: Path
    url: str
    stack: ExitStack
    clock: Clock = field(default_factory=Clock)
    keys: Keys = field(default_factory=Keys)

    def open(self) -> State:
        """The state as one more worker has it."""
        state = open_state(self.folder, self.clock, url=self.url, seal=self.keys)
        self.stack.callback(state.close)
        return state

    def child(self, text: str) -> "subprocess.Popen[str]":
        """A process that opens the state and does what ``text`` says; it and this one talk by lines."""
        code = CHILD + text
        words = [sys.executable, "-c", code, str(self.folder), self.url]
        process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.stack.callback(process.__exit__, None, None, None)
        self.stack.callback(process.kill)
        return process


CHILD = """
import asyncio, sys
from pathlib import Path
from bottega.bootstrap import now
from bottega.core.entry import Act
from bottega.storage.leases import Claim, Lease
from bottega.storage.state import open_state
state = open_state(Path(sys.argv[1]), now, url=sys.argv[2])
def claim(run, step, key):
    wish = Claim(run=run, round=int(sys.stdin.readline()), step=step, key=key, checks="", engine="echo")
    return asyncio.run(state.runs.claim(wish, worker=state.workers.register(), host=state.workers.host))
"""


@pytest.fixture
def site(tmp_path: Path, either_database: str) -> Iterator[Site]:
    with ExitStack() as stack:
        yield Site(tmp_path / "state", either_database, stack)


@pytest.fixture
def state(site: Site) -> State:
    return site.open()


def plan_of(goal: str = "say something") -> Plan:
    return Plan(
        brief=Brief(goal=goal),
        steps=(Step(id="a", engine="echo"), Step(id="b", engine="echo")),
        deliverables=(Deliverable(output="b.text", path="b.txt", title="B", kind="text"),),
    )


def submit(state: State, run_id: str = "one", goal: str = "say something", **more: Any) -> Run:
    plan = plan_of(goal)
    holder = more.pop("holder", "")
    run = Run(id=run_id, state="planned", plan=plan.identity, brief=plan.brief.identity, holder=holder)
    return state.runs.submit(run, plan, actor="user:ada", **more)


def wish(run: Run, step: str = "a", key: str = KEY, **more: Any) -> Claim:
    return Claim(
        run=run.id, round=run.round, step=step, key=key, checks="", engine="echo", holder=run.holder, **more
    )


async def claim(state: State, wished: Claim) -> Lease | StepResult | Busy:
    return await state.runs.claim(wished, worker=state.workers.register(), host=state.workers.host)


async def leased(state: State, wished: Claim) -> Lease:
    found = await claim(state, wished)
    assert isinstance(found, Lease), found
    return found


async def finish(
    state: State, lease: Lease, outcome: str = "done", **more: Any
) -> Lease | StepResult | Busy | None:
    outputs = (Made(port="text", artifact=TEXT),) if outcome in ("done", "awaiting_review") else ()
    facts = {"step": lease.claim.step, "key": lease.claim.key, "state": outcome, "outputs": outputs}
    result = StepResult.model_validate(facts)
    return await state.runs.finish(lease, result, worker=state.workers.id, host=state.workers.host, **more)


def acts(state: State, subject: str) -> list[str]:
    return [entry.act.value.rpartition(":")[2] for entry in state.journal.about(subject)]


def tables(state: State) -> dict[str, list[Any]]:
    return {table: sorted(state.database.rows(f"SELECT * FROM {table}")) for table in FOLDED_TABLES}


def test_many_at_once_are_all_there_once_without_a_gap(state: State) -> None:
    together = threading.Barrier(64)

    def write(thread: int) -> None:
        together.wait()
        for n in range(5):
            state.journal.write(
                Act.FILE_DELIVERED, f"run/{thread}/file/{n}", actor="user:ada", durable=n == 0
            )

    threads = [threading.Thread(target=write, args=(n,)) for n in range(64)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    entries = list(state.journal.entries(0, state.journal.size()))
    assert [n for n, _, _ in entries] == list(range(64 * 5))
    assert [json.loads(text)["n"] for _, text, _ in entries] == list(range(64 * 5))
    subjects = {json.loads(text)["subject"] for _, text, _ in entries}
    assert subjects == {f"run/{thread}/file/{n}" for thread in range(64) for n in range(5)}
    assert all(leaf == leaf_hash(text) for _, text, leaf in entries)
    assert state.journal.tile(0) == root_of(state.journal.leaves(0, TILE))
    assert state.journal.tile(1) is None


async def test_a_refusal_undoes_only_itself(state: State) -> None:
    begun, gate = threading.Event(), threading.Event()

    def hold(transaction: Transaction) -> None:
        begun.set()
        assert gate.wait(30)

    def change(n: int) -> Callable[[Transaction], int]:
        def work(transaction: Transaction) -> int:
            number = state.journal.append(transaction, Act.FILE_DELIVERED, f"run/{n}", actor="user:ada")
            if n % 3 == 0:
                raise InvalidValue(f"{n} is refused")
            return number

        return work

    holding = threading.Thread(target=state.database.write, args=(hold,))
    holding.start()
    assert await asyncio.to_thread(begun.wait, 30)
    tasks = [asyncio.create_task(state.database.write_async(change(n))) for n in range(16)]
    await asyncio.sleep(0)  # all wait now, and are committed as one group
    gate.set()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    holding.join()
    assert [isinstance(outcome, InvalidValue) for outcome in outcomes] == [n % 3 == 0 for n in range(16)]
    assert [outcome for outcome in outcomes if isinstance(outcome, int)] == list(range(10))
    assert [entry.subject for entry in state.journal.about()] == [f"run/{n}" for n in range(16) if n % 3]


def test_a_reader_inside_a_change_sees_what_is_committed(state: State) -> None:
    def work(transaction: Transaction) -> tuple[int, int]:
        state.journal.append(transaction, Act.FILE_DELIVERED, "run/1", actor="user:ada")
        (within,) = transaction.execute("SELECT COUNT(*) FROM journal").fetchone()
        return within, state.journal.size()

    assert state.database.write(work) == (1, 0)
    assert state.journal.size() == 1


def test_values_come_back_as_they_went(state: State) -> None:
    text = "100% of 'it'? \u00e8 \U0001f4a1"
    state.runs.keep_document("s", text, "?", text)
    assert state.runs.document("s", text, "?") == text
    rows = state.database.rows("SELECT name, '?', 5 % 3 FROM documents WHERE document = ?", text)
    assert [tuple(row) for row in rows] == [(text, "?", 2)]
    kept = state.database.write(lambda transaction: state.contents.keep(transaction, bytes(range(256))))
    assert state.contents.get(kept) == bytes(range(256))
    assert state.database.rows("SELECT SUM(n) FROM journal WHERE n < ?", 2**60)[0][0] in (None, 0)


def test_entries_under_a_subject_and_no_others(state: State) -> None:
    for subject in ("run/a", "run/a-b", "run/a/step/x", "run/a0", "run/A/step/x", "run/a.b"):
        state.journal.write(Act.FILE_DELIVERED, subject, actor="user:ada")
    assert [entry.subject for entry in state.journal.about("run/a")] == ["run/a", "run/a/step/x"]


def test_entries_name_their_actor_and_on_whose_behalf_he_acted(state: State) -> None:
    odd = 'key:"\u00e8\\'
    state.journal.write(Act.FILE_DELIVERED, "run/a/step/x", actor=odd, why="user:bob asked for it")
    state.journal.write(Act.FILE_DELIVERED, "run/b", actor="user:ada", behalf=odd)
    assert state.journal.names("run/a", odd) and state.journal.names("run/b", odd)
    assert not state.journal.names("run/a", "user:ada") and not state.journal.names("run/c", odd)
    assert not state.journal.names("run/a", "user:bob")


def test_what_is_sealed_is_readable_until_its_key_is_destroyed(site: Site, state: State) -> None:
    n = state.journal.write(
        Act.FILE_DELIVERED, "run/1", actor="user:ada", detail={"path": "Ada.txt"}, holder="p1"
    )
    (entry,) = state.journal.about()
    assert (n, entry.detail) == (0, {})
    assert "Ada.txt" not in str(state.database.rows("SELECT * FROM journal"))
    assert state.journal.detail(entry) == ({"path": "Ada.txt"}, "p1")
    del site.keys.held["p1"]
    assert state.journal.detail(entry) == ({}, "p1")
    ((_, text, leaf),) = state.journal.entries(0, 1)
    assert leaf == leaf_hash(text)


async def test_a_finished_key_is_never_leased_again(state: State) -> None:
    one = submit(state)
    await finish(state, await leased(state, wish(one)), reusable=True)
    again = await claim(state, wish(one))
    assert isinstance(again, StepResult)
    assert (again.state, again.outputs[0].artifact) == ("done", TEXT)
    later = await claim(state, wish(submit(state)))  # another round of the same run
    assert isinstance(later, StepResult)
    assert later.state == "reused"
    two = submit(state, "two")
    other = await claim(state, wish(two))
    assert isinstance(other, StepResult)
    assert (other.state, other.outputs[0].artifact) == ("reused", TEXT)
    assert isinstance(await claim(state, wish(submit(state, "three"), reuse=False)), Lease)
    assert acts(state, "run/one").count("finished") == 1


async def test_what_is_not_reusable_stays_with_its_run(state: State) -> None:
    one = submit(state)
    await finish(state, await leased(state, wish(one)))
    assert isinstance(await claim(state, wish(submit(state, "two"))), Lease)


async def test_another_key_is_another_step(state: State) -> None:
    one = submit(state)
    await finish(state, await leased(state, wish(one)))
    assert isinstance(await claim(state, wish(one, key="2" * 64)), Lease)


async def test_a_leased_step_is_busy_for_others(site: Site, state: State) -> None:
    one = submit(state)
    await leased(state, wish(one))
    found = await claim(site.open(), wish(one))
    assert isinstance(found, Busy)
    assert found.worker == state.workers.id


async def test_limits_hold_for_an_engine_and_for_a_host(site: Site, state: State) -> None:
    one, other = submit(state), site.open()
    await leased(state, wish(one, "a"))
    assert isinstance(await claim(other, wish(one, "b", "2" * 64, at_once=2)), Busy)  # one at once on a host
    await leased(other, wish(one, "b", "2" * 64, at_once=2, here_at_once=2))
    assert isinstance(await claim(other, wish(one, "c", "3" * 64, at_once=2, here_at_once=9)), Busy)


async def test_a_stale_worker_is_refused(site: Site, state: State) -> None:
    one, other = submit(state), site.open()
    stale = await leased(state, wish(one))
    state.workers.close()  # as seen from outside: the worker is gone
    fresh = await leased(other, wish(one))
    assert fresh.token > stale.token
    with pytest.raises(LeaseLost, match="another worker"):
        await finish(state, stale)
    with pytest.raises(LeaseLost):
        await state.runs.died(stale, {}, worker=state.workers.id)
    await finish(other, fresh)
    with pytest.raises(LeaseLost):  # its lease ended with it
        await finish(other, fresh)
    assert acts(other, "run/one/step/a") == ["leased", "lost", "leased", "finished"]


async def test_the_end_of_a_step_and_the_lease_of_the_next_are_one_change(site: Site, state: State) -> None:
    one, other = submit(state), site.open()
    first = await leased(state, wish(one))
    second = await finish(state, first, then=wish(one, "b", "2" * 64))
    assert isinstance(second, Lease)
    assert second.token == first.token + 2  # the entry of the end lies between them
    assert isinstance(await claim(other, wish(one, "b", "2" * 64)), Busy)
    assert (
        await finish(state, second, then=wish(one, "a")) is not None
    )  # a finished step is found, not leased
    assert acts(state, "run/one/step/a") == ["leased", "finished"]
    assert acts(state, "run/one/step/b") == ["leased", "finished"]


async def test_what_a_stale_worker_claims_with_its_late_end_is_refused_with_it(
    site: Site, state: State
) -> None:
    one, other = submit(state), site.open()
    stale = await leased(state, wish(one))
    state.workers.close()
    await leased(other, wish(one))
    with pytest.raises(LeaseLost):
        await finish(state, stale, then=wish(one, "b", "2" * 64))
    assert acts(other, "run/one/step/b") == []


async def test_a_step_ends_whatever_is_wrong_with_the_claim_that_comes_with_it(state: State) -> None:
    one = submit(state)
    first = await leased(state, wish(one))
    bad = wish(one, "b", "2" * 64, detail={"params": float("nan")})  # no entry can say that
    assert await finish(state, first, then=bad) is None
    assert acts(state, "run/one/step/a") == ["leased", "finished"]
    assert acts(state, "run/one/step/b") == []


async def test_a_token_counts_only_for_its_worker(site: Site, state: State) -> None:
    lease = await leased(state, wish(submit(state)))
    with pytest.raises(LeaseLost):
        await finish(site.open(), lease)


async def test_a_killed_process_is_followed_at_once(site: Site, state: State) -> None:
    one = submit(state)
    child = site.child(f"print(claim('one', 'a', '{KEY}').token, flush=True); sys.stdin.readline()")
    assert child.stdin and child.stdout
    child.stdin.write(f"{one.round}\n")
    child.stdin.flush()
    token = int(child.stdout.readline())
    assert isinstance(await claim(state, wish(one)), Busy)
    child.kill()
    child.wait()
    lease = await leased(state, wish(one))
    assert (lease.attempt, lease.token > token) == (2, True)
    (lost,) = [entry for entry in state.journal.about("run/one") if entry.act is Act.STEP_LOST]
    assert (lost.why, lost.detail["token"]) == ("its process has ended", token)


async def test_two_processes_get_one_lease(site: Site, state: State) -> None:
    one = submit(state)
    text = f"""
print("ready", flush=True)
found = claim("one", "a", "{KEY}")
print("lease" if isinstance(found, Lease) else "busy", flush=True)
sys.stdin.readline()
"""
    children = [site.child(text) for _ in range(2)]
    for child in children:
        assert child.stdout and child.stdout.readline() == "ready\n"
    for child in children:
        assert child.stdin
        child.stdin.write(f"{one.round}\n")
        child.stdin.flush()
    said = [child.stdout.readline() for child in children if child.stdout]
    assert sorted(said) == ["busy\n", "lease\n"]
    assert acts(state, "run/one/step/a") == ["leased"]


def test_processes_share_one_line_of_numbers(site: Site, state: State) -> None:
    text = """
print("ready", flush=True); sys.stdin.readline()
for n in range(40):
    state.journal.write(Act.FILE_DELIVERED, f"run/there/{n}", actor="user:ada")
state.close()
"""
    children = [site.child(text) for _ in range(2)]
    for child in children:
        assert child.stdout and child.stdout.readline() == "ready\n"
    for child in children:
        assert child.stdin
        child.stdin.write("go\n")
        child.stdin.flush()
    for _ in range(40):
        state.journal.write(Act.FILE_DELIVERED, "run/here", actor="user:ada")
    assert [child.wait(60) for child in children] == [0, 0]
    entries = state.journal.about()
    assert [entry.n for entry in entries] == list(range(120))
    assert [entry.at for entry in entries] == sorted(entry.at for entry in entries)


def test_a_change_wakes_another_process(site: Site, state: State) -> None:
    child = site.child("""
async def main():
    with state.database.wakes.listen() as bell:
        if sys.argv[2]:
            await bell.wait(30)  # PostgreSQL rings once when it begins to tell
        print("ready", flush=True)
        while True:
            bell.clear()
            if state.journal.size():
                return print("seen", flush=True)
            if not await bell.wait(30):
                return print("slept", flush=True)
asyncio.run(main())
state.close()
""")
    assert child.stdout
    assert child.stdout.readline() == "ready\n"
    state.journal.write(Act.FILE_DELIVERED, "run/1", actor="user:ada")
    assert child.stdout.readline() == "seen\n"
    assert child.wait(60) == 0


async def test_a_step_that_kills_its_workers_is_parked(state: State) -> None:
    one = submit(state)
    for attempt in range(POISON):
        lease = await leased(state, wish(one))
        assert lease.attempt == attempt + 1
        await state.runs.died(lease, {"ended": "SIGSEGV"}, worker=state.workers.id)
    found = await claim(state, wish(one))
    assert isinstance(found, StepResult)
    assert found.state == "parked"
    assert f"{POISON} times" in found.error
    parked = state.journal.about("run/one/step/a")[-1]
    assert parked.act is Act.STEP_PARKED
    evidence = {entry.act for entry in state.journal.about() if entry.n in parked.detail["evidence"]}
    assert evidence == {Act.STEP_LEASED, Act.STEP_DIED}
    assert isinstance(await claim(state, wish(submit(state, release_parked=True))), Lease)


async def test_a_delayed_step_waits_for_its_time(site: Site, state: State) -> None:
    one = submit(state)
    lease = await leased(state, wish(one))
    until = (site.clock.moment + timedelta(seconds=60)).isoformat(timespec="milliseconds")[:-6] + "Z"
    await finish(state, lease, "delayed", until=until)
    found = await claim(state, wish(one))
    assert isinstance(found, Busy)
    assert found.until == until
    site.clock.forward(61)
    assert (await leased(state, wish(one))).delays == 1


async def test_what_waits_for_a_person_is_not_made_again(state: State) -> None:
    one = submit(state)
    await finish(state, await leased(state, wish(one)), "awaiting_review")
    found = await claim(state, wish(one))
    assert isinstance(found, StepResult)
    assert found.state == "awaiting_review"
    lease = await leased(state, wish(submit(state), shown=True))  # the next round settles what was made
    assert lease.before is not None
    assert lease.before.outputs[0].artifact == TEXT


def test_a_run_id_belongs_to_its_brief(state: State) -> None:
    submit(state)
    with pytest.raises(InvalidBrief, match="another brief"):
        submit(state, goal="something else")
    assert state.runs.get("one")[1] == plan_of()
    with pytest.raises(NotFound):
        state.runs.get("two")


def test_a_round_is_closed_once_by_whoever_comes_first(state: State) -> None:
    one = submit(state)
    failed = one.model_copy(update={"state": "failed", "reason": "no \0 paper", "error": "EngineFailed"})
    state.runs.close(failed, actor="worker:x")
    state.runs.close(one.model_copy(update={"state": "released"}), actor="worker:y")
    found, _ = state.runs.get("one")
    assert (found.state, found.error) == ("failed", "EngineFailed")
    assert found.reason.startswith("no ")
    assert found.reason.endswith(" paper")
    again = submit(state)
    state.runs.close(failed, actor="worker:x")  # a round that was left behind
    assert state.runs.get("one")[0].state == "running"
    state.runs.close(again.model_copy(update={"state": "released"}), actor="worker:y")
    assert state.runs.get("one")[0].state == "released"
    assert state.runs.unfinished() == []


def test_an_idempotency_key_is_bound_to_its_request(site: Site, state: State) -> None:
    assert state.runs.accept_call("k1", "request", "one", actor="user:ada") == "one"
    assert site.open().runs.accept_call("k1", "request", "two", actor="user:ada") == "one"
    assert state.runs.accept_call("k2", "request", "three", actor="user:ada") == "three"
    with pytest.raises(InvalidValue, match="another request"):
        state.runs.accept_call("k1", "other", "two", actor="user:ada")
    assert acts(state, "run/one") == ["accepted"]


def test_a_ticket_is_decided_once(state: State) -> None:
    ticket = state.tickets.open(Opening(b'{"step":"a"}', "one", "a"), actor="worker:x")
    assert state.tickets.open(Opening(b'{"step":"a"}', "one", "a"), actor="worker:x") == ticket
    state.tickets.decide(ticket, "approve", "ada", b'{"yes":1}', "", rule=lambda stored: True)
    with pytest.raises(NotFound, match="no open review"):
        state.tickets.decide(ticket, "reject", "bob", b"{}", "", rule=lambda stored: True)
    (kept,) = state.tickets.find()
    assert (kept.ticket, kept.decisions) == (b'{"step":"a"}', (b'{"yes":1}',))
    assert acts(state, f"ticket/{ticket}") == ["opened", "approved"]


async def test_folding_again_gives_the_same_tables(site: Site, state: State) -> None:
    one = submit(state, files=["a" * 64], charge=["team"])
    await finish(state, await leased(state, wish(one)), reusable=True)
    await finish(state, await leased(state, wish(one, "b", "2" * 64)), "awaiting_review")
    ticket = state.tickets.open(Opening(b'{"step":"b"}', "one", "b"), actor="worker:x")
    state.tickets.decide(ticket, "reject", "ada", b"{}", "no", rule=lambda stored: True)
    state.tickets.open(Opening(b'{"step":"c"}', "one", "c"), actor="worker:x")
    state.runs.close(one.model_copy(update={"state": "awaiting_review", "reason": "b"}), actor="worker:x")
    two = submit(state, "two", goal="another", holder="p1")
    await claim(state, wish(two, reuse=False))  # left leased
    state.runs.ask_to_stop("two", actor="user:ada")
    three = submit(state, "three", goal="a third")
    for n, outcome in enumerate(("failed", "stopped", "delayed")):
        until = site.clock() if outcome == "delayed" else ""
        lease = await leased(state, wish(three, f"s{n}", "789"[n] * 64, at_once=9, here_at_once=9))
        await finish(state, lease, outcome, until=until)
    died = await leased(state, wish(three, "d", "d" * 64, at_once=9, here_at_once=9))
    await state.runs.died(died, {}, worker=state.workers.id)
    await claim(state, wish(three, "r", KEY, at_once=9, here_at_once=9))  # reused
    submit(state, "four", goal="a fourth", files=["b" * 64])
    state.journal.write(Act.RUN_EXPIRED, "run/four", actor="user:ada")
    state.runs.accept_call("k1", "request", "one", actor="user:ada")
    before = tables(state)
    filled = {table for table, rows in before.items() if rows}
    assert filled >= {"runs", "steps", "leases", "results", "refs", "tickets", "decisions", "calls"}
    state.fold_again()
    assert tables(state) == before
    assert tables(site.open()) == before
