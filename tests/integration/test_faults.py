"""Disks that are full, read-only or damaged, clocks that go back, memory that is out: each ends in a stated way."""

import asyncio
import os
import signal
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest
from benchmarks.chaos.crew import children
from tests.integration.watching import command_line, entries, slip, sound, submit, told, until, worker
from tests.unit.cli.conftest import Cli, write_plan
from tests.unit.pipelines.conftest import echo, plan_of

from bottega import bootstrap
from bottega.core.entry import Act
from bottega.settings import Settings

SLOW = 2.0  # seconds of the step during which the fault comes
ALONE = ("unshare", "-m") if os.geteuid() == 0 else ("unshare", "-Urm")
INSIDE = ("nsenter", "-m") if os.geteuid() == 0 else ("nsenter", "-U", "--preserve-credentials", "-m")


class Disk:
    """A file system of some MiB in a mount namespace of its own; ``cli`` runs inside, ``root`` shows it from here."""

    def __init__(self, cli: Cli, place: str, size: int) -> None:
        (cli.root / place).mkdir()
        script = (
            f"mount -t tmpfs -o size={size}m tmpfs '{cli.root / place}' && echo mounted && exec sleep 600"
        )
        self._holder = subprocess.Popen([*ALONE, "sh", "-c", script], stdout=subprocess.PIPE, text=True)
        assert self._holder.stdout is not None and self._holder.stdout.readline() == "mounted\n"
        self.within = (*INSIDE, "-t", str(self._holder.pid))
        self.cli = replace(cli, within=self.within)
        self.root = Path(f"/proc/{self._holder.pid}/root{cli.root}")
        self._place = cli.root / place
        self._filler = self.root / place / "filler"

    def fill(self) -> None:
        with self._filler.open("wb", buffering=0) as file:
            for size in (1 << 20, 4096, 1):
                try:
                    while True:
                        file.write(bytes(size))
                except OSError:
                    continue

    def free(self) -> None:
        self._filler.unlink()

    def mount(self, how: str) -> None:
        subprocess.run([*self.within, "mount", "-o", f"remount,{how}", self._place], check=True)

    def close(self) -> None:
        self._holder.kill()
        self._holder.communicate()  # closes the pipe too


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    return command_line(tmp_path, BOTTEGA_LIMITS="local=4,slip=4")


@pytest.fixture
def disk(cli: Cli) -> Iterator[Disk]:
    """The state lies on it."""
    made = Disk(cli, "state", 24)
    yield made
    made.close()


@pytest.fixture
def small(cli: Cli) -> Iterator[Disk]:
    """Something is to be delivered to it."""
    made = Disk(cli, "small", 1)
    yield made
    made.close()


def three_steps(cli: Cli, kilobytes: int = 0) -> None:
    slips = cli.root / "slips"
    slips.touch()
    slow = slip("slow", ("first",), seconds=SLOW, kilobytes=kilobytes, slips=str(slips))
    write_plan(cli.root / "plan.json", [slip("first"), slow, slip("last", ("slow",))])


def make(cli: Cli) -> list[str | Path]:
    words = ["--plan", cli.root / "plan.json", "--out", cli.root / "out", "--run-id", "run", "--yes"]
    return ["make", *words, "--policy", cli.root / "policy.toml"]


def resume(cli: Cli, *words: str | Path, expect: int = 0) -> str:
    said = cli("resume", "run", *words, "--policy", cli.root / "policy.toml", expect=expect)
    return said.out + said.err


@pytest.mark.parametrize(
    ("kilobytes", "words"),
    # a small artifact is a row that is written with the end of its step; its copy for the checks may come first
    [(0, ("database or disk is full", "No space left on device")), (3000, ("No space left on device",))],
    ids=["small", "large"],
)
def test_a_disk_that_is_full_in_mid_run_is_one_clear_error(
    cli: Cli, disk: Disk, kilobytes: int, words: tuple[str, ...]
) -> None:
    three_steps(cli, kilobytes)
    process = disk.cli.start(*make(cli))
    until(lambda: "began slow" in (cli.root / "slips").read_text())
    disk.fill()
    _, err = process.communicate(timeout=60)
    assert process.returncode == 8, err
    assert (
        err.count("error: ") == 1
        and any(each in err for each in words)
        and "what to do: " in err
        and "Traceback" not in err
    )
    disk.free()
    resume(disk.cli)
    assert len(told(disk.cli, Act.STEP_LEASED, step="first")) == 1
    assert told(disk.cli, Act.RUN_RELEASED)
    sound(disk.cli)


def test_a_worker_waits_until_the_full_disk_has_room_again(cli: Cli, disk: Disk) -> None:
    three_steps(cli, 3000)
    submit(disk.cli)
    with worker(disk.cli) as one:
        until(lambda: "began slow" in (cli.root / "slips").read_text())
        disk.fill()
        assert one.stderr is not None
        while "beginning again" not in (line := one.stderr.readline()):
            assert line
        assert "No space left on device" in line or "disk is full" in line
        disk.free()
        until(lambda: told(disk.cli, Act.RUN_RELEASED), 60)
    assert told(disk.cli, Act.STEP_PARKED) == []
    sound(disk.cli)


def test_a_read_only_disk_is_named_and_the_run_goes_on_when_it_can_be_written(cli: Cli, disk: Disk) -> None:
    three_steps(cli)
    process = disk.cli.start(*make(cli))
    until(lambda: "began slow" in (cli.root / "slips").read_text())
    process.kill()
    process.communicate()
    disk.mount("ro")
    assert "what to do: make the folder writable" in resume(disk.cli, expect=8)
    disk.mount("rw")
    resume(disk.cli)
    assert len(told(disk.cli, Act.STEP_LEASED, step="first")) == 1
    sound(disk.cli)


def test_a_folder_that_cannot_hold_the_delivery_leaves_the_run_to_another(cli: Cli, small: Disk) -> None:
    write_plan(cli.root / "plan.json", [slip("large", kilobytes=3000)])
    words = make(cli)
    words[words.index("--out") + 1] = cli.root / "small" / "out"
    said = small.cli(*words, expect=8)
    assert (
        "No space left on device" in said.err
        and "what to do: free some space or choose another --out" in said.err
    )
    assert [path.name for path in (small.root / "small").iterdir()] == []
    assert told(cli, Act.RUN_FAILED) == []
    sound(cli)
    said = small.cli("worker", "--once", "--policy", cli.root / "policy.toml")
    assert "run run is left to others" in said.err and "No space left on device" in said.err
    resume(small.cli, "--out", cli.root / "out")
    assert (cli.root / "out" / "large.txt").stat().st_size >= 3000 * 1024
    assert len(told(cli, Act.STEP_LEASED, step="large")) == 1


def test_the_time_of_the_journal_never_goes_back(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = count()

    def clock() -> str:
        hour = 12 if (tick := next(ticks)) < 12 else 9
        return f"2030-01-01T{hour:02d}:00:{tick % 60:02d}.000Z"

    monkeypatch.setattr(bootstrap, "now", clock)
    service = bootstrap.build(Settings(state=cli.state), policy=cli.root / "policy.toml")
    plan = plan_of(*(echo(f"step{index}", f"two words {index}") for index in range(6)))
    made = asyncio.run(service.make(plan, None, run_id="run"))
    service.close()
    assert made.run.state == "released"
    times = [entry.at for entry in entries(cli)]
    assert times == sorted(times)
    assert len(set(times)) < len(
        times
    )  # the clock did go back: later entries keep the time of the last one before
    sound(cli)


@pytest.mark.parametrize("table", ["journal", "runs", "steps"])
def test_a_damaged_page_is_named_and_so_is_the_backup(cli: Cli, table: str) -> None:
    write_plan(cli.root / "plan.json", [slip("one")])
    cli(*make(cli))
    path = cli.state / "bottega.sqlite"
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        (root,) = database.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (table,)).fetchone()
        (size,) = database.execute("PRAGMA page_size").fetchone()
    with path.open("r+b") as file:
        file.seek((root - 1) * size)
        file.write(b"\xff" * size)
    said = resume(cli, expect=8)
    assert "malformed" in said and "what to do: restore a backup" in said
    said = cli(
        "make", *make(cli)[1:-5], "--run-id", "other", "--yes", "--policy", cli.root / "policy.toml", expect=8
    )
    assert "restore a backup" in said.err


def test_an_engine_killed_as_by_a_full_memory_is_tried_again(cli: Cli) -> None:
    write_plan(cli.root / "plan.json", [slip("apart", apart=True, seconds=2)])
    submit(cli)
    with worker(cli) as one:
        until(lambda: told(cli, Act.STEP_LEASED))
        (engine,) = until(lambda: list(children(one.pid)))
        os.kill(engine, signal.SIGKILL)
        until(lambda: told(cli, Act.RUN_RELEASED))
    (died,) = told(cli, Act.STEP_DIED)
    assert died.detail["evidence"]["ended"] == "SIGKILL"
    assert [entry.detail["attempt"] for entry in told(cli, Act.STEP_LEASED, step="apart")] == [1, 2]
    sound(cli)
