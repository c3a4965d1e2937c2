"""Scan, collection, retention, backup and restore at the command line."""

import json
import os
import sqlite3
import time
from pathlib import Path

import pytest
from tests.unit.cli.conftest import Cli, write_plan
from tests.unit.pipelines.conftest import POLICY, echo

from bottega.core.canonical import digest_bytes

RETENTION = POLICY.replace('name = "test"\n', 'name = "test"\n[retention]\nruns_days = 30\n', 1)

LARGE = "one two " * 1000  # a file; smaller artifacts are rows of the database
OLD = time.time() - 7200


@pytest.fixture
def made(cli: Cli) -> Cli:
    write_plan(cli.root / "plan.json", [echo("a", LARGE)])
    make(cli, "mine")
    return cli


def make(cli: Cli, run: str, *more: str | Path) -> None:
    cli("make", "--plan", cli.root / "plan.json", "--policy", cli.root / "policy.toml",
        "--out", cli.root / run, "--yes", "--run-id", run, *more)  # fmt: skip


def blob(cli: Cli, text: str) -> Path:
    name = digest_bytes(text.encode())
    return cli.state / "artifacts" / name[:2] / name[2:]


def test_check_finds_what_is_damaged_and_what_is_missing(made: Cli) -> None:
    assert "every file is as it was kept" in made("store", "check").out
    path = blob(made, LARGE)
    path.chmod(0o644)
    path.write_text("one twO")
    assert [each["problem"] for each in made("store", "check", "--json", expect=9).json] == ["damaged"]
    path.unlink()
    said = made("store", "check", expect=9)
    assert "missing" in said.out and "what to do" in said.out


def test_only_what_nothing_refers_to_is_collected(made: Cli) -> None:
    stray = blob(made, "stray")
    stray.parent.mkdir(exist_ok=True)
    stray.write_text("stray")
    os.utime(stray, (OLD, OLD))
    os.utime(blob(made, LARGE), (OLD, OLD))
    assert made("store", "gc", "--dry-run", "--json").json["names"] == [digest_bytes(b"stray")]
    assert stray.exists()
    assert made("store", "gc", "--json").json["files"] == 1
    assert not stray.exists() and blob(made, LARGE).exists()
    (entry,) = made("audit", "log", "storage/artifacts", "--json").json
    assert entry["detail"] == {"bytes": 5, "files": 1}
    assert made("store", "gc", "--json").json["files"] == 0
    assert len(made("audit", "log", "storage/artifacts", "--json").json) == 1


def test_retention_removes_runs_and_then_their_files(made: Cli) -> None:
    """A clock cannot be set in a test of another process, so the ends of two runs lie in the past by their entries."""
    write_plan(made.root / "plan.json", [echo("b", "of a person")])
    make(made, "hers", "--data-subject", "Ada")
    write_plan(made.root / "plan.json", [echo("a", LARGE), echo("c", "three four")])
    make(made, "young")
    assert "keeps runs for good" in made("store", "expire", expect=2).err
    (made.root / "retention.toml").write_text(RETENTION)
    policy = ("--policy", made.root / "retention.toml")
    assert made("store", "expire", *policy, "--json").json["runs"] == []
    with sqlite3.connect(made.state / "bottega.sqlite") as database:
        database.execute(
            "UPDATE runs SET finished_at = '2020-01-01T00:00:00.000Z' WHERE id IN ('mine', 'hers')"
        )
    database.close()
    assert made("store", "expire", *policy, "--dry-run", "--json").json["runs"] == ["mine", "hers"]
    done = made("store", "expire", *policy, "--json").json
    assert (done["runs"], done["days"]) == (["mine", "hers"], 30)
    assert [run["id"] for run in made("runs", "--json").json] == ["young"]
    # What the young run took over stays: its result, and the file; the rest is collected.
    gone = made("store", "gc", "--older-than", "0", "--json").json
    assert gone["files"] == 1 and blob(made, LARGE).exists()
    assert made("store", "check", "--json").json == []
    found = made("audit", "verify", "--json").json
    assert found["holds"]
    entries = made("audit", "log", "run/mine", "--json").json
    assert entries[-1]["act"] == "pipeline:run:expired" and "30 days" in entries[-1]["why"]
    make(made, "young")


def test_a_worker_keeps_to_the_policy_once_a_day(made: Cli) -> None:
    (made.root / "retention.toml").write_text(RETENTION)
    worker = ("worker", "--once", "--policy", made.root / "retention.toml")
    old = time.time() - 2 * 86400
    os.utime(blob(made, LARGE), (old, old))
    age(made)
    assert "retention of 30 days: 1 runs and calls, 1 files removed" in made(*worker).err
    assert made("runs", "--json").json == [] and not blob(made, LARGE).exists()
    begun, applied = made("audit", "log", "store/retention", "--json").json
    assert begun["act"] == "store:retention:begun" and begun["actor"] == applied["actor"]
    assert applied["act"] == "store:retention:applied"
    facts = {"policy": "test", "days": 30, "runs": 1, "documents": 2, "files": 1, "bytes": len(LARGE)}
    assert applied["detail"] == facts
    assert made("audit", "verify", "--json").json["holds"]
    make(made, "mine")
    age(made)
    assert "retention" not in made(*worker).err
    assert [run["id"] for run in made("runs", "--json").json] == ["mine"]


def age(cli: Cli) -> None:
    """Let all runs have ended long ago, by their rows."""
    with sqlite3.connect(cli.state / "bottega.sqlite") as database:
        database.execute("UPDATE runs SET finished_at = '2020-01-01T00:00:00.000Z'")
    database.close()


def test_a_backup_taken_while_work_goes_on_is_restored_and_verifies(made: Cli, tmp_path: Path) -> None:
    write_plan(made.root / "plan.json", [echo("b", "of a person")])
    make(made, "hers", "--data-subject", "Ada")
    slow = echo("slow", params={"text": "word " * 80, "delay": 0.05})
    plan = write_plan(made.root / "slow.json", [slow])
    words = ("--policy", made.root / "policy.toml", "--out", made.root / "slow", "--yes", "--run-id", "slow")
    working = made.start("make", "--plan", plan, *words)
    log = made.state / "bottega.sqlite-wal"
    while not log.exists() or b"run/slow/step" not in log.read_bytes():
        assert working.poll() is None
        time.sleep(0.02)
    said = made("store", "backup", tmp_path / "backup")
    assert working.wait(timeout=60) == 0
    working.communicate()
    assert "verify" in said.out and "keys" in said.err
    assert (tmp_path / "backup").stat().st_mode & 0o077 == 0
    assert "in use" in made("store", "backup", tmp_path / "backup", expect=2).err

    restored = Cli(made.root, {"BOTTEGA_STATE": str(tmp_path / "again")})
    said = restored("store", "restore", tmp_path / "backup")
    assert "the restore is on record" in said.out
    assert restored("audit", "verify", "--json").json["holds"]
    assert restored("store", "check", "--json").json == []
    states = {run["id"]: run["state"] for run in restored("runs", "--json").json}
    assert (states["mine"], states["hers"]) == ("released", "released")
    assert restored("audit", "key").out == made("audit", "key").out
    restored("make", "--plan", plan, *words)  # the run that was going on goes on
    restored("erase", "Ada", "--why", "asked", "--yes")
    assert "in use" in restored("store", "restore", tmp_path / "backup", expect=2).err
    assert "no backup" in restored("store", "restore", tmp_path, expect=2).err
    acts = [entry["act"] for entry in restored("audit", "log", "--last", "0", "--json").json]
    assert "storage:state:restored" in acts


def test_a_backup_that_lacks_a_file_is_said_to(made: Cli, tmp_path: Path) -> None:
    blob(made, LARGE).unlink()
    assert "store check" in made("store", "backup", tmp_path / "backup", expect=8).err
    assert json.loads(made("store", "check", "--json", expect=9).out)
