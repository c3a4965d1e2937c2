"""The hash-chained record."""

import sqlite3
from pathlib import Path

import pytest

from bottega.core.errors import Tampered
from bottega.storage.database import Database
from bottega.storage.record import Record


@pytest.fixture
def record(tmp_path: Path) -> Record:
    record = Record(Database(tmp_path / "state.sqlite"))
    for number in range(5):
        record.append("2026-01-01T00:00:00Z", "bottega", "pipeline:step_done", f"run/{number}", {"n": number})
    return record


def change(tmp_path: Path, statement: str) -> None:
    with sqlite3.connect(tmp_path / "state.sqlite") as connection:
        connection.execute(statement)


def test_an_untouched_record_verifies(record: Record) -> None:
    assert record.verify() == 5
    assert [event.detail["n"] for event in record.events("run/3")] == [3]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE record SET event = replace(event, '\"n\":2', '\"n\":9') WHERE sequence = 3",
        "DELETE FROM record WHERE sequence = 2",
        "DELETE FROM record WHERE sequence = 1",
        "UPDATE record SET sequence = 100 WHERE sequence = 2",
    ],
)
def test_an_edit_a_deletion_and_a_move_are_found(record: Record, tmp_path: Path, statement: str) -> None:
    change(tmp_path, statement)
    with pytest.raises(Tampered, match="entry"):
        record.verify()
