"""kill -9 at any moment loses nothing, and repeats nothing that was finished."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from benchmarks.chaos.crew import children
from benchmarks.chaos.plans import Mixture
from benchmarks.chaos.storm import ZERO, Storm
from tests.integration.killed_at import POINTS
from tests.integration.watching import PLUGIN, command_line, slip, sound, submit, told, until, worker
from tests.unit.cli.conftest import Cli, write_plan
from tests.unit.pipelines.conftest import echo

from bottega import plugins
from bottega.core.entry import Act
from bottega.storage.leases import POISON

KILLED_AT = Path(__file__).with_name("killed_at.py")
KILLS = 50


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The counting engines, here and in what is started from here."""
    monkeypatch.syspath_prepend(PLUGIN)
    monkeypatch.setenv("PYTHONPATH", str(PLUGIN), prepend=os.pathsep)
    plugins.found.cache_clear()


@pytest.mark.usefixtures("installed")
def test_fifty_kills(either_database: str, tmp_path: Path) -> None:
    mixture = Mixture(11, str(tmp_path / "slips"), seconds=0.1, real=False)
    facts = Storm(tmp_path, mixture, KILLS, pause=0.2, at_hand=6, database=either_database).blow()
    assert facts["kills"] >= KILLS
    assert {name: facts.get(name, 0) for name in ZERO} == dict.fromkeys(ZERO, 0)
    assert facts["steps finished"] > facts["runs"] > 0
    assert facts["leases lost with their worker"] > 0


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    return command_line(tmp_path)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The digests before signing of what the plan makes when nobody is killed."""
    cli = command_line(tmp_path_factory.mktemp("undisturbed"))
    plan(cli)
    cli(*make(cli))
    return digests(cli.root / "out")


def plan(cli: Cli) -> None:
    large = slip("large", ("small",), kilobytes=40)
    write_plan(cli.root / "plan.json", [slip("small"), large, slip("last", ("large", "small"), apart=True)])


def make(cli: Cli) -> list[str | Path]:
    words = ["make", "--plan", cli.root / "plan.json", "--run-id", "run", "--out", cli.root / "out", "--yes"]
    return [*words, "--policy", cli.root / "policy.toml"]


def digests(out: Path) -> dict[str, str]:
    """Of each delivered file, which must be there, the digest of its bytes before it was signed."""
    artifacts: list[dict[str, Any]] = json.loads((out / "manifest.json").read_text())["artifacts"]
    assert all((out / file["path"]).is_file() for file in artifacts)
    return {file["path"]: file.get("content_digest") or file["made_sha256"] for file in artifacts}


def killed(cli: Cli, point: str, number: int) -> None:
    command = [sys.executable, str(KILLED_AT), point, str(number), *map(str, make(cli))]
    done = subprocess.run(
        command, env=cli.variables, cwd=cli.root, capture_output=True, text=True, check=False
    )
    assert done.returncode == -signal.SIGKILL, (done.returncode, done.stdout, done.stderr)


@pytest.mark.parametrize(
    ("point", "number"),
    [
        *((point, 1) for point in POINTS if "commit" not in point),
        *((point, 2) for point in ("before a lease", "after a lease")),
        *((point, number) for point in ("made, not finished", "finished") for number in (2, 3)),
        *(
            (point, number)
            for point in ("before a commit", "after a commit")
            for number in (3, 6, 9, 12, 14)  # of fifteen
        ),
    ],
)
def test_a_run_goes_on_from_wherever_it_was_killed(
    cli: Cli, undisturbed: dict[str, str], point: str, number: int
) -> None:
    plan(cli)
    killed(cli, point, number)
    cli("resume", "run", "--out", cli.root / "out", "--policy", cli.root / "policy.toml")
    assert digests(cli.root / "out") == undisturbed
    steps = [entry.subject for entry in told(cli, Act.STEP_FINISHED) if "@" not in entry.subject]
    assert len(steps) == len(set(steps)) == 3  # each was finished once, before or after
    finished: set[str] = set()
    for entry in told(cli, Act.STEP_LEASED, Act.STEP_FINISHED):
        if entry.act is Act.STEP_FINISHED:
            finished.add(entry.detail["key"])
        else:
            assert entry.detail["key"] not in finished  # and never begun again
    assert [path.name for path in cli.root.iterdir() if "bottega-" in path.name] == []
    assert [path for path in (cli.state / "scratch").iterdir() if path.is_dir()] == []
    sound(cli)


def test_a_step_that_kills_its_worker_is_parked_after_three(cli: Cli) -> None:
    deadly = echo("deadly", params={"text": "two words", "die": -9})
    write_plan(cli.root / "plan.json", [deadly])
    write_plan(cli.root / "good.json", [slip("good")])
    submit(cli)
    policy = ("--policy", cli.root / "policy.toml")
    for _ in range(POISON):
        cli("worker", "--once", *policy, expect=-signal.SIGKILL)
    submit(cli, "good", "good.json")
    cli("worker", "--once", *policy)
    (parked,) = told(cli, Act.STEP_PARKED)
    lost = told(cli, Act.STEP_LOST)
    assert parked.detail["deaths"] == len(lost) == POISON
    assert {entry.n for entry in lost} <= set(parked.detail["evidence"])
    assert len(told(cli, Act.STEP_LEASED, step="deadly")) == POISON
    (failed,) = told(cli, Act.RUN_FAILED)
    assert (
        "it ended its worker 3 times; see `bottega audit log run/run/step/deadly`" in failed.detail["reason"]
    )
    assert told(cli, Act.RUN_RELEASED, run_id="good")  # the others are not held up

    said = cli("resume", "run", *policy, expect=6)
    assert "it ended its worker 3 times" in said.out  # nothing is tried again unasked
    assert len(told(cli, Act.STEP_LEASED, step="deadly")) == POISON
    cli("resume", "run", "--retry-parked", *policy, expect=-signal.SIGKILL)
    assert len(told(cli, Act.STEP_LEASED, step="deadly")) == POISON + 1
    assert told(cli, Act.STEP_LEASED, step="deadly")[-1].detail["attempt"] == 1


def test_an_engine_that_is_killed_three_times_is_parked_and_an_operator_lets_it_go_on(cli: Cli) -> None:
    slips = cli.root / "slips"
    slips.touch()
    write_plan(cli.root / "plan.json", [slip("apart", apart=True, seconds=3, slips=str(slips))])
    submit(cli)
    killed: set[int] = set()
    with worker(cli) as one:
        for deaths in range(1, POISON + 1):
            # One that is killed before it has the request is replaced, and that is no death of the step.
            until(lambda deaths=deaths: slips.read_text().count("began apart") == deaths)
            engine: int = until(lambda: next((pid for pid in children(one.pid) if pid not in killed), 0))
            os.kill(engine, signal.SIGKILL)
            killed.add(engine)
            until(lambda deaths=deaths: len(told(cli, Act.STEP_DIED)) == deaths)
        until(lambda: told(cli, Act.RUN_FAILED))
    assert told(cli, Act.STEP_DIED)[0].detail["evidence"]["ended"] == "SIGKILL"
    assert told(cli, Act.STEP_PARKED)
    cli("resume", "run", "--retry-parked", "--policy", cli.root / "policy.toml")
    assert told(cli, Act.RUN_RELEASED)
    sound(cli)
