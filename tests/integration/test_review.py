"""A person decides while no worker is there; processes that start later go on, or refuse what was changed."""

import asyncio
import json
import multiprocessing
import sqlite3
from contextlib import closing
from multiprocessing.connection import Connection
from pathlib import Path

from tests.unit.cli.conftest import Cli, write_plan
from tests.unit.pipelines.conftest import POLICY, echo

from bottega.bootstrap import build
from bottega.core.errors import BottegaError
from bottega.settings import Settings


def _resume(root: str, answer: Connection) -> None:
    """A worker's process: takes what waits for one and works on it."""
    folder = Path(root)
    settings = Settings(home=folder / "home", state=folder / "state")
    service = build(settings, policy=folder / "policy.toml")
    (run_id,) = service.shop.runs.unfinished()
    try:
        made = asyncio.run(service.resume(run_id))
        answer.send((made.run.state, made.run.reason))
    except BottegaError as error:
        answer.send((type(error).__name__, str(error)))
    finally:
        service.close()


def later(root: Path) -> tuple[str, str]:
    """What comes of the run in a process that starts now."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_resume, args=(str(root), there))
    process.start()
    try:
        assert here.poll(60)
        return here.recv()
    finally:
        process.join(30)


def approved_by_ada(root: Path) -> str:
    """A run that waited, and was approved from the command line; gives the digest of what was approved."""
    (root / "policy.toml").write_text(POLICY)
    cli = Cli(root)
    write_plan(root / "plan.json", [echo("short", "word"), echo("after", "more words", ("short",))])
    policy = ("--policy", root / "policy.toml")
    cli("make", "--plan", root / "plan.json", *policy, "--out", root / "out", "--yes", expect=4)
    (review,) = cli("review", "list", "--json").json
    said = cli("review", "approve", review["id"], "--who", "Ada", "--no-resume", *policy)
    assert "goes on with the next worker" in said.out
    assert cli("runs", "--json").json[0]["state"] == "planned"
    assert not (root / "out" / "short.txt").exists()
    return review["ticket"]["artifact"]


def test_a_process_that_starts_after_the_approval_goes_on(tmp_path: Path) -> None:
    approved_by_ada(tmp_path)
    assert later(tmp_path) == ("released", "")
    assert (tmp_path / "out" / "short.txt").read_text() == "word"
    files = json.loads((tmp_path / "out" / "manifest.json").read_text())["artifacts"]
    approvals = {file["path"]: file.get("approved_by", "") for file in files}
    assert approvals == {"short.txt": "Ada", "after.txt": ""}


def test_a_byte_changed_after_the_approval_refuses(tmp_path: Path) -> None:
    artifact = approved_by_ada(tmp_path)
    with closing(sqlite3.connect(tmp_path / "state" / "bottega.sqlite")) as database:
        assert (
            database.execute("UPDATE small SET body = ? WHERE name = ?", (b"sword", artifact)).rowcount == 1
        )
        database.commit()
    state, reason = later(tmp_path)
    assert state == "failed"
    assert "now hashes to" in reason
    assert not (tmp_path / "out" / "short.txt").exists()
