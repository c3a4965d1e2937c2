"""Workers in processes of their own: they share runs, follow one another, and let go."""

import json
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from subprocess import Popen

import pytest
from tests.integration.watching import command_line, entries, slip, sound, submit, told, until, worker
from tests.unit.cli.conftest import Cli, write_plan
from tests.unit.pipelines.conftest import echo

from bottega.core.entry import Act
from bottega.core.plan import Step

PATIENCE = 15.0  # seconds; generous: what takes this long does not happen by itself


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    return command_line(tmp_path, BOTTEGA_LIMITS="local=4,slip=4,slip_apart=4")


def leased_by(cli: Cli, process: "Popen[str]", step: str = "") -> bool:
    """Whether a worker has had a lease (of a step)."""
    return any(f":{process.pid}:" in entry.actor for entry in told(cli, Act.STEP_LEASED, step=step))


def released(cli: Cli, run_id: str = "run") -> bool:
    return bool(told(cli, Act.RUN_RELEASED, run_id=run_id))


def test_a_run_is_left_to_a_worker_that_comes_later(cli: Cli) -> None:
    write_plan(cli.root / "plan.json")
    submit(cli)
    assert [entry.act for entry in entries(cli)] == [Act.RUN_SUBMITTED]
    cli("worker", "--once", "--policy", cli.root / "policy.toml")
    assert released(cli)
    assert (cli.root / "out-run" / "second.txt").read_text() == "one two\nthree four"


def test_two_workers_share_one_run(cli: Cli) -> None:
    write_plan(cli.root / "plan.json", [slip(f"leg{index}", seconds=0.5) for index in range(8)])
    with worker(cli) as one, worker(cli) as other:
        submit(cli)
        until(lambda: released(cli))
        assert leased_by(cli, one) and leased_by(cli, other)
    assert len(told(cli, Act.STEP_FINISHED)) == 8 + 1  # and the delivery
    sound(cli)


def test_the_step_of_a_killed_worker_is_taken_over_by_the_other(cli: Cli) -> None:
    write_plan(cli.root / "plan.json", [slip("slow", seconds=4.0)])
    with worker(cli) as one, worker(cli) as other:
        submit(cli)
        until(lambda: told(cli, Act.STEP_LEASED))
        first, second = (one, other) if leased_by(cli, one) else (other, one)
        first.send_signal(signal.SIGKILL)
        began = time.monotonic()
        until(lambda: leased_by(cli, second, "slow"), PATIENCE)
        print(f"taken over after {time.monotonic() - began:.2f} s")  # noqa: T201
        until(lambda: released(cli))
    (lost,) = told(cli, Act.STEP_LOST)
    assert lost.why == "its process has ended"
    sound(cli)


def test_a_worker_that_hangs_is_followed_and_its_late_write_refused(cli: Cli) -> None:
    write_plan(cli.root / "plan.json", [slip("slow", seconds=1.0)])
    write_plan(cli.root / "next.json", [slip("other")])
    with worker(cli) as one, worker(cli) as other:
        submit(cli)
        until(lambda: told(cli, Act.STEP_LEASED))
        hung, second = (one, other) if leased_by(cli, one) else (other, one)
        hung.send_signal(signal.SIGSTOP)
        until(lambda: leased_by(cli, second, "slow"), PATIENCE)
        hung.send_signal(signal.SIGCONT)
        until(lambda: released(cli))
        second.send_signal(signal.SIGKILL)
        submit(cli, "next", "next.json")
        until(lambda: released(cli, "next"))  # by the one that hung
        assert any(f":{hung.pid}:" in entry.actor for entry in entries(cli, "next"))
    story = [
        (entry.act, entry.detail.get("token", entry.n))
        for entry in told(cli, Act.STEP_LEASED, Act.STEP_LOST, Act.STEP_FINISHED, step="slow")
    ]
    (_, stale), (_, lost), (_, token), (_, finished) = story
    assert [act for act, _ in story] == [Act.STEP_LEASED, Act.STEP_LOST, Act.STEP_LEASED, Act.STEP_FINISHED]
    assert (stale, token) == (lost, finished)
    assert "no heartbeat" in told(cli, Act.STEP_LOST, step="slow")[0].why
    sound(cli)


def test_stop_from_another_process_ends_a_running_step(cli: Cli) -> None:
    write_plan(cli.root / "plan.json", [slip("endless", apart=True, seconds=60), slip("after", ("endless",))])
    with worker(cli) as one:
        submit(cli)
        until(lambda: leased_by(cli, one))
        time.sleep(0.5)  # its engine's process has begun
        cli("stop", "run", "--why", "enough")
        until(lambda: told(cli, Act.RUN_CANCELLED), PATIENCE)
    asked, stopped = told(cli, Act.RUN_STOP_ASKED, Act.STEP_STOPPED)
    assert asked.why == "enough"
    assert stopped.detail["usage"]["seconds"] > 0
    sound(cli)


def test_an_approval_is_taken_while_no_worker_is_there(cli: Cli) -> None:
    write_plan(cli.root / "plan.json", [echo("one", "word")])
    submit(cli)
    cli("worker", "--once", "--policy", cli.root / "policy.toml")
    assert told(cli, Act.RUN_WAITING)
    (review,) = cli("review", "list", "--json").json
    policy = ("--policy", cli.root / "policy.toml")
    cli("review", "approve", review["id"], "--who", "Ada", "--no-resume", *policy)
    cli("worker", "--once", *policy)
    assert released(cli)
    assert [entry.detail["approved_by"] for entry in told(cli, Act.STEP_FINISHED, step="one")] == ["Ada"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_worker_that_is_asked_to_leave_lets_go(cli: Cli, number: int) -> None:
    write_plan(cli.root / "plan.json", [slip("slow", apart=True, seconds=3.0)])
    with worker(cli) as one, worker(cli) as other:
        submit(cli)
        until(lambda: told(cli, Act.STEP_LEASED))
        leaving, second = (one, other) if leased_by(cli, one) else (other, one)
        leaving.send_signal(number)
        assert leaving.wait(PATIENCE) == 0
        until(lambda: leased_by(cli, second, "slow"), PATIENCE)
        until(lambda: released(cli))
    (lost,) = told(cli, Act.STEP_LOST)
    assert lost.detail["counts"] is False
    assert [entry.detail["attempt"] for entry in told(cli, Act.STEP_LEASED, step="slow")] == [1, 1]
    sound(cli)


def test_an_idle_worker_leaves_when_asked(cli: Cli) -> None:
    with worker(cli) as one:
        until(lambda: (cli.state / "workers").is_dir() and any((cli.state / "workers").iterdir()))
        time.sleep(0.5)
        one.send_signal(signal.SIGTERM)
        assert one.wait(PATIENCE) == 0
    assert list((cli.state / "workers").iterdir()) == []
    assert list((cli.state / "wakes").iterdir()) == []


@pytest.mark.weights("lucide-icons")
def test_a_host_without_the_weights_leaves_the_run_to_others(
    cli: Cli, weights: Callable[[str], Path]
) -> None:
    full = replace(
        cli, environment={**cli.environment, "BOTTEGA_HOME": str(weights("lucide-icons").parents[1])}
    )
    icons = Step(id="icons", engine="icons", params={"words": ["water"], "source": "designed"})
    plan = json.loads(write_plan(cli.root / "plan.json", [slip("words")]).read_text())
    plan["steps"].append(icons.document())
    (cli.root / "plan.json").write_text(json.dumps(plan))
    submit(full)
    policy = ("--policy", cli.root / "policy.toml")
    said = cli("worker", "--once", *policy)
    assert "run run is left to others: step 'icons': the weights of 'lucide-icons'" in said.err
    assert told(cli, Act.STEP_LEASED) == []
    full("worker", "--once", *policy)
    assert released(cli)
