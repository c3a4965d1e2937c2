"""The journal: numbered without a gap, never back in time, the same tables from it again, sealed where it must be."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.unit.storage.conftest import Clock, claim, die, finish, lease, submit

from bottega.core.canonical import canonical_json, digest_bytes
from bottega.core.entry import Act, Entry
from bottega.core.errors import InvalidValue, NotFound
from bottega.governance.audit import verify_journal
from bottega.governance.checkpoint import RecordKey
from bottega.storage.compare import compare
from bottega.storage.database import Transaction
from bottega.storage.fold import RULES, run_of, step_of
from bottega.storage.journal import commitment
from bottega.storage.merkle import TILE, leaf_hash
from bottega.storage.schema import FOLDED_TABLES
from bottega.storage.state import State, open_state
from bottega.storage.tickets import Opening

Hire = Callable[[], State]
STOP = Act.RUN_STOP_ASKED


class Drawer:
    """A seal whose keys can be thrown away: content is hidden under a holder's pad."""

    def __init__(self) -> None:
        self.keys: dict[str, int] = {}

    def close(self, holder: str, plain: bytes) -> bytes:
        key = self.keys.setdefault(holder, 90 + len(self.keys))
        return bytes(byte ^ key for byte in plain)

    def open(self, holder: str, sealed: bytes) -> bytes | None:
        return bytes(byte ^ self.keys[holder] for byte in sealed) if holder in self.keys else None


def tables(state: State) -> dict[str, list[Any]]:
    return {name: sorted(state.database.rows(f"SELECT * FROM {name}")) for name in FOLDED_TABLES}


def test_entries_are_canonical_and_fit_their_leaves(workers: Hire, tmp_path: Path) -> None:
    state = workers()
    for word in ("ä", "two"):
        state.journal.write(STOP, f"run/{word}", actor="user:ada", why="a reason", cost={"usd": 1200})
    for n, text, leaf in state.journal.entries(0, state.journal.size()):
        entry = Entry.model_validate_json(text)
        assert entry.n == n
        assert canonical_json(json.loads(text)) == text
        assert leaf == leaf_hash(text)
    assert state.journal.entries(1, 2).__next__()[0] == 1
    key = RecordKey.local(tmp_path / "keys", "test")
    assert verify_journal(state.journal, [], key.vkey).size == 2


def test_time_never_goes_back(workers: Hire, clock: Clock) -> None:
    state = workers()
    for move in (0, 10, -3600, 5, 7200):
        clock.move(move)
        state.journal.write(STOP, "run/run", actor="user:ada")
    times = [entry.at for entry in state.journal.about()]
    assert times == sorted(times)
    assert times[1] == times[2] == times[3]  # it stands until the clock has caught up
    assert times[4] == clock()


def test_a_full_tile_gets_its_root(workers: Hire, tmp_path: Path) -> None:
    state = workers()

    def many(transaction: Transaction) -> None:
        for _ in range(TILE + 1):
            state.journal.append(transaction, STOP, "run/run", actor="user:ada")

    state.database.write(many)
    assert state.journal.tile(0) is not None
    assert state.journal.tile(1) is None
    assert verify_journal(state.journal, [], RecordKey.local(tmp_path / "keys", "test").vkey).size == TILE + 1


def test_a_refused_change_leaves_no_gap(workers: Hire) -> None:
    state = workers()

    def refused(transaction: Transaction) -> None:
        state.journal.append(transaction, STOP, "run/run", actor="user:ada")
        raise InvalidValue("no")

    with pytest.raises(InvalidValue):
        state.database.write(refused)
    assert state.journal.write(STOP, "run/run", actor="user:ada") == 0


def test_about_finds_a_subject_and_what_is_under_it(workers: Hire) -> None:
    state = workers()
    for subject in ("run/a", "run/a/step/x", "run/ab", "run/a.b", "ticket/a"):
        state.journal.write(Act.FILE_DELIVERED, subject, actor="user:ada")
    assert [entry.subject for entry in state.journal.about("run/a")] == ["run/a", "run/a/step/x"]


def test_about_finds_what_is_indexed_and_what_is_not_yet(workers: Hire) -> None:
    """Subjects are indexed a tile at a time; the entries after the last tile are looked through."""
    state = workers()
    for n in range(2 * TILE + 9):
        state.journal.write(Act.FILE_DELIVERED, f"run/{n % 7}", actor="user:ada")
    assert state.database.rows("SELECT COUNT(*) FROM subjects") == [(2 * TILE,)]
    expected = [*range(3, 2 * TILE + 9, 7)]
    assert [entry.n for entry in state.journal.about("run/3")] == expected
    assert [entry.n for entry in state.journal.about("run/3", last=2)] == expected[-2:]
    assert [entry.n for entry in state.journal.about(last=3)] == [*range(2 * TILE + 6, 2 * TILE + 9)]
    found = state.database.write(lambda transaction: state.journal.numbers(transaction, "run/3", 80))
    assert found == expected[-80:]


@pytest.mark.parametrize(
    ("change", "table"),
    [
        ("UPDATE subjects SET subject = 'run/other' WHERE n = 5", "subjects"),
        ("DELETE FROM subjects WHERE n = 5", "subjects"),
        ("INSERT INTO subjects (subject, n) VALUES ('run/run', 300)", "subjects"),
        ("UPDATE journal SET subject = 'run/other' WHERE n = 260", "journal"),
        ("UPDATE journal SET at = '2001-01-01T00:00:00.000Z' WHERE n = 260", "journal"),
    ],
)
def test_what_hides_an_entry_from_who_looks_for_it_is_found(workers: Hire, change: str, table: str) -> None:
    state = workers()

    def many(transaction: Transaction) -> None:
        for _ in range(TILE + 9):
            state.journal.append(transaction, STOP, "run/run", actor="user:ada")

    state.database.write(many)
    assert compare(state.journal, state.contents).differences == ()
    state.database.write(lambda transaction: transaction.execute(change).rowcount)
    assert [each.table for each in compare(state.journal, state.contents).differences] == [table]


async def test_folding_again_gives_the_same_tables(workers: Hire, tmp_path: Path) -> None:
    one, two = workers(), workers()
    run = submit(one, "red", "green", charge=["team"], files=["f" * 64])
    ticket = one.tickets.open(Opening(b'{"step":"a"}', "run", "a"), actor="worker:x")
    one.tickets.open(Opening(b'{"step":"b"}', "run", "b"), actor="worker:x")
    one.tickets.decide(ticket, "approve", "Ada", b"{}", "", rule=lambda stored: True)
    one.runs.accept_call("key", "request", "run", actor="user:ada")
    await finish(one, await lease(one, run, "a", "red"), reusable=True)
    await lease(one, run, "b", "green")
    die(one, tmp_path)
    await lease(two, run, "b", "green")
    await claim(two, submit(two, "red", run="other"), "a", "red")
    before = tables(two)
    assert all(before[name] for name in ("runs", "steps", "leases", "results", "refs", "tickets", "calls"))
    two.fold_again()
    assert tables(two) == before


def test_folding_again_sees_what_stands_before_it_in_its_group(workers: Hire) -> None:
    """Changes are committed in groups: entries that are not committed yet must not be lost from the tables."""
    state = workers()
    submit(state, "red")

    def work(transaction: Transaction) -> None:
        state.journal.append(transaction, STOP, "run/run", actor="user:ada")
        transaction.execute("DELETE FROM runs")
        transaction.execute("DELETE FROM refs")
        state.journal.replay(transaction)

    state.database.write(work)
    assert state.database.rows("SELECT stop_asked FROM runs") == [(1,)]


def test_an_act_without_a_rule_changes_no_table(workers: Hire) -> None:
    state = workers()
    before = tables(state)
    for act in set(Act) - set(RULES):
        state.journal.write(act, "other/x", actor="user:ada", detail={"word": "x"})
    assert tables(state) == before


def test_names_of_subjects() -> None:
    assert run_of("run/one") == run_of("run/one/step/a.b") == "one"
    assert step_of("run/one/step/a.b") == ("one", "a.b")


def test_a_holders_detail_is_sealed_and_its_erasure_leaves_the_proof(tmp_path: Path, clock: Clock) -> None:
    drawer = Drawer()
    state = open_state(tmp_path / "state", clock, seal=drawer)
    word = {"word": "her name"}
    n = state.journal.write(Act.FILE_DELIVERED, "run/x", actor="user:ada", detail=word, holder="h1")
    (entry,) = state.journal.about("run/x")
    assert entry.detail == {}
    assert "her name" not in state.database.rows("SELECT entry FROM journal")[0][0]
    assert state.journal.detail(entry) == (word, "h1")
    salted, _ = state.journal.unsealed(n)
    assert salted is not None
    assert commitment(salted) == entry.sealed
    del drawer.keys["h1"]
    assert state.journal.detail(entry) == ({}, "h1")
    assert verify_journal(state.journal, [], RecordKey.local(tmp_path / "keys", "test").vkey).size == 1
    state.close()


def test_folding_again_leaves_out_what_was_erased(tmp_path: Path, clock: Clock) -> None:
    drawer = Drawer()
    state = open_state(tmp_path / "state", clock, seal=drawer)
    submit(state, "red", run="kept")
    run, plan = state.runs.get("kept")
    hers = run.model_copy(update={"id": "hers", "holder": "h1"})
    state.runs.submit(hers, plan, actor="user:ada")
    before = tables(state)
    state.fold_again()
    assert tables(state) == before
    del drawer.keys["h1"]
    state.fold_again()
    assert [run.id for run in state.runs.all()] == ["kept"]
    state.close()


def test_documents_are_kept_by_digest_and_under_their_holders_key(tmp_path: Path, clock: Clock) -> None:
    drawer = Drawer()
    state = open_state(tmp_path / "state", clock, seal=drawer)

    def keep(transaction: Transaction) -> list[str]:
        names = [state.contents.keep(transaction, b"a plan", holder=holder) for holder in ("", "h1", "h1")]
        assert state.contents.find(transaction, names[0]) == b"a plan"  # seen before it is committed
        assert state.contents.find(transaction, names[0], holder="other") is None
        return names

    names = state.database.write(keep)
    assert set(names) == {digest_bytes(b"a plan")}
    assert state.contents.get(names[0], holder="h1") == b"a plan"
    assert b"a plan" not in [bytes(body) for (body,) in state.database.rows(
        "SELECT body FROM contents WHERE holder = 'h1'")]  # fmt: skip
    del drawer.keys["h1"]
    with pytest.raises(NotFound):
        state.contents.get(names[0], holder="h1")
    assert state.contents.get(names[0]) == b"a plan"
    with pytest.raises(NotFound):
        state.contents.get("0" * 64)
    state.close()
