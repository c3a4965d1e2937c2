"""What tests of several processes share: a command line with the counting engines, and a look into its journal."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Iterable
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from subprocess import Popen
from typing import Any

from tests.unit.cli.conftest import Cli
from tests.unit.pipelines.conftest import POLICY

from bottega.bootstrap import now
from bottega.core.entry import Act, Entry
from bottega.core.plan import Step
from bottega.governance.audit import verify_journal
from bottega.governance.checkpoint import RecordKey
from bottega.storage.state import open_state

PLUGIN = Path(__file__).parents[2] / "benchmarks" / "chaos" / "plugin"


def command_line(root: Path, **environment: str) -> Cli:
    """`bottega` with its state under a folder, the small policy and the engines `slip` and `slip_apart`."""
    (root / "policy.toml").write_text(POLICY)
    path = os.pathsep.join([str(PLUGIN), *filter(None, [os.environ.get("PYTHONPATH")])])  # noqa: TID251
    return Cli(root, {"PYTHONPATH": path, "BOTTEGA_SILENCE": "2", **environment})


def slip(step_id: str, after: Iterable[str] = (), *, apart: bool = False, **params: object) -> Step:
    """A step of the counting engine."""
    needs = tuple(f"{name}.text" for name in after)
    return Step(
        id=step_id,
        engine="slip_apart" if apart else "slip",
        params={"text": f"{step_id} says so", **params},
        inputs={"text": needs} if needs else {},
        checks={"length": {"min_words": 2}},
    )


def submit(cli: Cli, run_id: str = "run", plan: str = "plan.json", **more: Any) -> None:
    """`bottega make --detach`."""
    words = ("--plan", cli.root / plan, "--run-id", run_id, "--out", cli.root / f"out-{run_id}", "--yes")
    cli("make", *words, "--policy", cli.root / "policy.toml", "--detach", **more)


@contextmanager
def worker(cli: Cli, *words: str) -> Generator["Popen[str]"]:
    """`bottega worker`, killed at the end if it is still there."""
    process = cli.start("worker", "--policy", cli.root / "policy.toml", *words)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def entries(cli: Cli, run_id: str = "run") -> list[Entry]:
    """What the journal tells of a run so far."""
    if cli.within:
        outside = replace(cli, within=())
        code = (
            f"print(*(entry.canonical().decode() for entry in entries({outside!r}, {run_id!r})), sep='\\n')"
        )
        return [Entry.model_validate_json(line) for line in _inside(cli, code).split("\n") if line]
    if not (cli.state / "bottega.sqlite").exists():
        return []
    with closing(open_state(cli.state, now)) as state:
        return state.journal.about(f"run/{run_id}")


def told(cli: Cli, *acts: Act, run_id: str = "run", step: str = "") -> list[Entry]:
    """The entries of these acts, of one step or of the whole run."""
    subject = f"run/{run_id}/step/{step}"
    return [
        entry
        for entry in entries(cli, run_id)
        if entry.act in acts and (not step or entry.subject == subject)
    ]


def until(condition: Callable[[], Any], seconds: float = 30.0) -> Any:
    """Wait for something to become true, and give it."""
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, f"not within {seconds} s"
        time.sleep(0.05)
    return found


def sound(cli: Cli) -> None:
    """The journal verifies, and no lease is left."""
    if cli.within:
        _inside(cli, f"sound({replace(cli, within=())!r})")
        return
    with closing(open_state(cli.state, now)) as state:
        verify_journal(state.journal, [], RecordKey.local(cli.root / "record", "tests.example").vkey)
        assert state.database.rows("SELECT * FROM leases") == []


def _inside(cli: Cli, code: str) -> str:
    """What a line of Python says where the commands run: SQLite follows no path into another mount namespace."""
    head = (
        f"import sys; sys.path.insert(0, {str(Path(__file__).parents[2])!r}); from pathlib import PosixPath; "
        "from tests.unit.cli.conftest import Cli; from tests.integration.watching import *; "
    )
    command = [*cli.within, sys.executable, "-c", head + code]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout
