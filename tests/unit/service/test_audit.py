"""Checkpoints are cheap, grow out of one another, and reach the witness; the tables are compared with the journal."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from bottega.bootstrap import now
from bottega.core.entry import Act
from bottega.core.errors import RecordAltered, StorageFailed, TablesAltered, Tampered
from bottega.governance import checkpoint
from bottega.governance.checkpoint import RecordKey
from bottega.governance.witness import Witness
from bottega.service.audit import Audit
from bottega.storage import compare, merkle, sqlite
from bottega.storage.database import Transaction
from bottega.storage.merkle import TILE
from bottega.storage.state import State, open_state


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    made = open_state(tmp_path / "state", now)
    yield made
    made.close()


def audit(state: State, tmp_path: Path, witness: str = "") -> Audit:
    place = Witness(tmp_path / witness) if witness else None
    return Audit(state, lambda: RecordKey.local(tmp_path / "record-key"), place, now)


def write(state: State, count: int) -> None:
    def work(transaction: Transaction) -> None:
        for _ in range(count):
            state.journal.append(transaction, Act.FILES_COLLECTED, "storage/artifacts", actor="user:test")

    state.database.write(work)


def test_each_checkpoint_has_the_root_and_only_what_is_new_is_read(
    state: State, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = audit(state, tmp_path), audit(state, tmp_path)
    read: list[int] = []
    leaves = state.journal.__class__.leaves

    def counted(self: object, start: int, end: int) -> list[bytes]:
        read.append(end - start)
        return leaves(state.journal, start, end)

    monkeypatch.setattr(state.journal.__class__, "leaves", counted)
    for count in (0, 1, 254, 1, 1, TILE, 300, 5):
        write(state, count)
        for signer in (one, other):
            read.clear()
            signed = checkpoint.verify(signer.checkpoint(), signer.vkey)
            assert max(read, default=0) < TILE
            assert signed.size == state.journal.size()
            assert signed.root == merkle.root(state.journal, signed.size).hex()
    assert audit(state, tmp_path).checkpoint() == one.checkpoint()
    assert one.checkpoint(force=True)
    found = one.verify()
    assert (found.covered, found.checkpoints) == (found.entries, 8)


def test_a_record_that_was_cut_or_rewritten_is_not_signed_by_the_next_process(
    state: State, tmp_path: Path
) -> None:
    write(state, 10)
    audit(state, tmp_path).checkpoint()
    state.database.write(lambda transaction: transaction.execute("DELETE FROM journal WHERE n = 9").rowcount)
    with pytest.raises(RecordAltered, match="truncated"):
        audit(state, tmp_path).checkpoint()
    write(state, 4)
    with pytest.raises(RecordAltered, match="rewritten"):
        audit(state, tmp_path).checkpoint()
    assert "rewritten" in audit(state, tmp_path).attest()


def test_a_checkpoint_of_another_key_is_not_built_upon(state: State, tmp_path: Path) -> None:
    write(state, 3)
    audit(state, tmp_path / "another").checkpoint()
    with pytest.raises(Tampered, match="not signed by the key"):
        audit(state, tmp_path).checkpoint()


def test_the_witness_gets_each_checkpoint_once_and_what_it_missed_with_the_next(
    state: State, tmp_path: Path
) -> None:
    write(state, 3)
    away = audit(state, tmp_path, "away/witness")
    with pytest.raises(StorageFailed):
        away.checkpoint()
    assert "cannot be written" in away.attest()
    assert away.verify().covered == 3  # it is kept all the same
    (tmp_path / "away").mkdir()
    note = away.checkpoint()
    assert away.checkpoint() == note
    assert Witness(tmp_path / "away" / "witness").all() == [note]


def test_the_tables_are_compared_while_others_write(
    state: State, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compare, "CATCH_UP", 50)
    write(state, 120)
    one = audit(state, tmp_path)
    assert one.verify().uncovered == 120
    state.database.write(
        lambda transaction: transaction.execute("INSERT INTO refs VALUES ('a', 'b', '')").rowcount
    )
    with pytest.raises(TablesAltered, match="'refs', sha256 a, run_id b: the journal knows nothing of it"):
        one.verify()


def test_deleted_rows_are_not_cut_off_while_somebody_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "BUSY", 0.1)
    state = open_state(tmp_path / "state", now)
    reader = sqlite3.connect(tmp_path / "state" / "bottega.sqlite")
    reader.execute("BEGIN")
    reader.execute("SELECT COUNT(*) FROM journal").fetchone()
    write(state, 1)
    assert not state.database.purge()
    reader.close()
    assert state.database.purge()
    state.close()
