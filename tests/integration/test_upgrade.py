"""A state that the first release left is brought up to date, and nothing of it is lost.

`tests/data/first_release.sql` is the dump of a database that the first release (commit 3566dff) wrote while it ran: a
run that was released, one approved by a person and released, one failed, one that waits for a person, one whose
process was killed in its second step, and a converted document.
"""

import asyncio
import json
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from tests.unit.pipelines.conftest import POLICY, echo, plan_of

from bottega.bootstrap import build, now
from bottega.core.brief import Brief
from bottega.core.canonical import canonical_json, digest_bytes
from bottega.core.entry import Act
from bottega.core.errors import InvalidBrief, StorageFailed
from bottega.core.plan import Plan
from bottega.pipelines.runner import Event
from bottega.service import Bottega
from bottega.settings import Settings
from bottega.storage import schema
from bottega.storage.compare import compare
from bottega.storage.merkle import TILE
from bottega.storage.state import State, open_state

DUMP = Path(__file__).parents[1] / "data" / "first_release.sql"
RUNS = ["released", "decided", "failed", "waiting", "killed"]
TEXTS = ("two words", "two words\nmore words", "once", "single")


def lay(folder: Path) -> Path:
    """The first release's database file."""
    path = folder / "bottega.sqlite"
    folder.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(DUMP.read_text("utf-8"))
    return path


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Bottega]:
    """Today's service over the first release's state."""
    lay(tmp_path / "state")
    (tmp_path / "policy.toml").write_text(POLICY)
    with closing(
        build(Settings(home=tmp_path / "home", state=tmp_path / "state"), policy=tmp_path / "policy.toml")
    ) as bottega:
        for text in TEXTS:
            bottega.shop.artifacts.put(text.encode(), "text/plain")
        yield bottega


def states(bottega: Bottega, run_id: str) -> dict[str, str]:
    return {result.step: result.state for result in bottega.shop.runs.get(run_id)[0].results}


def dump(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as connection:
        return list(connection.iterdump())


def folded(state: State) -> list[list[object]]:
    return [sorted(state.database.rows(f"SELECT * FROM {table}")) for table in schema.FOLDED_TABLES]


def test_every_run_is_there_with_its_state_and_plan(service: Bottega) -> None:
    found = service.runs()
    assert [(run.id, run.state) for run in found] == [
        ("released", "released"), ("decided", "released"), ("failed", "failed"), ("waiting", "awaiting_review"),
        ("killed", "running"),
    ]  # fmt: skip
    assert [run.out for run in found] == [f"/srv/out/{run_id}" for run_id in RUNS]
    failed = service.shop.runs.get("failed")[0]
    assert failed.reason == "a: no paper"
    run, plan = service.shop.runs.get("released")
    assert plan.identity == run.plan
    assert plan.brief.identity == run.brief
    assert plan.brief.goal == "say it"


def test_what_happened_is_told_to_the_journal_and_the_old_record_stays(service: Bottega) -> None:
    entries = service.state.journal.about()
    assert entries[0].act is Act.STATE_MIGRATED
    rows = service.state.database.rows("SELECT event, hash FROM first_record ORDER BY sequence")
    assert entries[0].detail == {
        "from": 1, "to": schema.VERSION, "table": "first_record", "entries": len(rows), "head": rows[-1][1],
    }  # fmt: skip
    previous = "0" * 64
    for event, stored in rows:  # the first release's own rule
        assert json.loads(event)["previous"] == previous
        previous = digest_bytes(canonical_json(json.loads(event)))
        assert stored == previous
    before = folded(service.state)
    service.state.fold_again()
    assert folded(service.state) == before


def test_results_are_used_and_judged_again(service: Bottega) -> None:
    """The first releases did not write down by what they were judged."""
    happened: list[str] = []

    def watch(event: Event) -> None:
        happened.append(event.what)

    plan = plan_of(echo("x"), echo("y", "more words", ("x",)))
    made = asyncio.run(service.make(plan, None, run_id="new", watch=watch))
    assert [result.state for result in made.run.results] == ["done", "done"] and "output" not in happened
    assert made.run.results[0].outputs[0].artifact.sha256 == digest_bytes(b"two words")
    assert [verdict.outcome for verdict in made.run.results[0].outputs[0].verdicts] == ["pass"]


def test_a_finished_run_comes_out_the_same_without_work(service: Bottega, tmp_path: Path) -> None:
    happened: list[str] = []

    def watch(event: Event) -> None:
        happened.append(event.what)

    made = asyncio.run(service.resume("released", out=tmp_path / "out", watch=watch))
    assert made.run.state == "released"
    assert "output" not in happened
    assert (tmp_path / "out" / "text.txt").read_text() == "two words\nmore words"


def test_a_killed_run_goes_on(service: Bottega, tmp_path: Path) -> None:
    made = asyncio.run(service.resume("killed", out=tmp_path / "out"))
    assert made.run.state == "released"
    assert states(service, "killed") == {"a": "done", "b": "done"}
    assert (tmp_path / "out" / "text.txt").read_text() == "two words\nother words"


def test_an_open_ticket_is_decided_and_its_run_goes_on(service: Bottega, tmp_path: Path) -> None:
    (waiting,) = [ticket for ticket in service.reviews().all("waiting") if ticket.state == "open"]
    service.reviews().decide(waiting.id[:8], "approve", "Ada")
    made = asyncio.run(service.resume("waiting", out=tmp_path / "out"))
    assert made.run.state == "released"
    results = {result.step: result for result in made.run.results}
    assert results["b"].approved_by == "Ada"
    assert results["b"].outputs[0].artifact.sha256 == digest_bytes(
        b"single"
    )  # what was looked at, not made again
    assert (tmp_path / "out" / "text.txt").read_text() == "single\nafter it"


def test_a_decision_still_counts(service: Bottega, tmp_path: Path) -> None:
    (ticket,) = service.reviews().all("decided")
    (decision,) = ticket.decisions
    assert (decision.outcome, decision.who) == ("approve", "Ada")
    made = asyncio.run(service.resume("decided", out=tmp_path / "out"))
    assert made.run.state == "released"
    assert (tmp_path / "out" / "text.txt").read_text() == "once"


def test_a_run_id_still_belongs_to_its_brief(service: Bottega) -> None:
    _, plan = service.shop.runs.get("failed")
    mended = plan.model_copy(update={"steps": (echo("a"),)})
    made = asyncio.run(service.make(Plan.model_validate(mended.document()), None, run_id="failed"))
    assert made.run.state == "released"
    other = plan.model_copy(update={"brief": Brief(goal="something else")})
    with pytest.raises(InvalidBrief, match="another brief"):
        asyncio.run(service.make(other, None, run_id="failed"))


def test_documents_are_kept(service: Bottega) -> None:
    assert service.shop.runs.document("0" * 64, "sheet.md", "markdown/1") == '{"pages":1}'


def test_it_is_done_once(service: Bottega, tmp_path: Path) -> None:
    size = service.state.journal.size()
    with closing(open_state(tmp_path / "state", now)) as again:
        assert again.journal.size() == size
        assert again.database.version() == schema.VERSION


KILLED = """
import os, sys
from pathlib import Path
from bottega.bootstrap import now
from bottega.storage.journal import Journal
from bottega.storage.state import open_state
append, left = Journal.append, int(sys.argv[2])
def counted(*words, **more):
    global left
    left -= 1
    if left < 0:
        os._exit(9)
    return append(*words, **more)
Journal.append = counted
open_state(Path(sys.argv[1]), now).close()
"""


def test_a_kill_in_the_middle_changes_nothing(tmp_path: Path) -> None:
    path = lay(tmp_path / "state")
    whole = dump(path)
    for entries in (0, 7, 15):
        words = [sys.executable, "-c", KILLED, str(tmp_path / "state"), str(entries)]
        assert subprocess.run(words, timeout=60, check=False).returncode == 9
        with closing(sqlite3.connect(path)) as connection:
            assert connection.execute("PRAGMA user_version").fetchone() == (1,)
        assert dump(path) == whole
    with closing(open_state(tmp_path / "state", now)) as state:
        assert [run.id for run in state.runs.all()] == RUNS


def test_a_newer_state_is_left_alone(tmp_path: Path) -> None:
    path = lay(tmp_path / "state")
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA user_version = {schema.VERSION + 1}")
    whole = dump(path)
    with pytest.raises(StorageFailed, match="newer release"):
        open_state(tmp_path / "state", now)
    assert dump(path) == whole


VERSION_5 = """
DROP INDEX results_run; DROP INDEX refs_run; DROP INDEX calls_run; ALTER TABLE runs DROP COLUMN kept;
PRAGMA user_version = 5;
"""  # what version 6 changed, as version 5 had it
VERSION_4 = (
    VERSION_5
    + """
DROP TABLE subjects; CREATE INDEX journal_subject ON journal (subject, n);
ALTER TABLE small RENAME TO new_small;
CREATE TABLE small (name TEXT PRIMARY KEY, kept_at INTEGER NOT NULL, body BLOB NOT NULL) STRICT;
INSERT INTO small SELECT * FROM new_small; DROP TABLE new_small; PRAGMA user_version = 4;
"""
)  # what version 5 changed, as version 4 had it


@pytest.mark.parametrize("earlier", [VERSION_4, VERSION_5])
def test_later_versions_get_their_indices_and_keep_their_small_artifacts(
    tmp_path: Path, earlier: str
) -> None:
    (tmp_path / "policy.toml").write_text(POLICY)
    settings = Settings(home=tmp_path / "home", state=tmp_path / "state")
    with closing(build(settings, policy=tmp_path / "policy.toml")) as service:
        kept = service.shop.artifacts.put(b"a few bytes", "text/plain")
        for n in range(TILE + 4):
            service.state.journal.write(Act.FILE_DELIVERED, f"run/{n % 3}", actor="user:ada")
        entries = [service.state.journal.about(f"run/{n}") for n in range(3)]
    with closing(sqlite3.connect(tmp_path / "state" / "bottega.sqlite")) as connection:
        connection.executescript(earlier)
    with closing(build(settings, policy=tmp_path / "policy.toml")) as service:
        assert service.state.database.version() == schema.VERSION
        indices = service.state.database.rows(
            "SELECT name FROM sqlite_master WHERE name LIKE '%\\_run' ESCAPE '\\'"
        )
        assert {name for (name,) in indices} == {"results_run", "refs_run", "calls_run", "tickets_run"}
        assert service.shop.artifacts.read(kept) == b"a few bytes"
        assert [service.state.journal.about(f"run/{n}") for n in range(3)] == entries
        assert compare(service.state.journal, service.state.contents).differences == ()
