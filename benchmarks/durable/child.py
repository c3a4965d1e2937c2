"""Measures one arm in this process: warm-up under proof, timed runs, proof again. Prints one line of JSON.

python -m benchmarks.durable.child VARIANT FOLDER RUNS
"""

import json
import resource
import sqlite3
import statistics
import sys
import threading
import time
from contextlib import closing
from pathlib import Path
from typing import Any

from benchmarks.durable.arm import STEPS, Arm, arms, first_text, last_text, transform

WARM_UP = 10


class Work:
    """The step, counted; under proof it also demands that all results before it are durable."""

    def __init__(self) -> None:
        self.calls = 0
        self.proof: tuple[Arm, str] | None = None

    def step(self, position: int, text: str) -> str:
        self.calls += 1
        if self.proof:
            arm, run_id = self.proof
            found = arm.committed(run_id)
            if found != position:
                raise AssertionError(f"step {position} started with {found} durable results")
        return transform(position, text)


def measure(variant: str, folder: Path, runs: int) -> dict[str, Any]:
    """The figures of one round of one arm.

    Raises:
        AssertionError: when a result is wrong, missing, computed twice, or was not durable in time.
    """
    work = Work()
    arm = arms()[variant].open_arm(folder, variant, work.step)

    def run(number: int, *, proof: bool) -> float:
        run_id = f"run-{number}"
        work.proof = (arm, run_id) if proof else None
        start = time.perf_counter()
        text = arm.run(run_id, first_text(number))
        seconds = time.perf_counter() - start
        if text != last_text(number):
            raise AssertionError(f"{run_id} returned {text!r}")
        return seconds

    for number in range(WARM_UP):
        run(number, proof=True)
    size, cpu = stored_bytes(folder), cpu_seconds()
    walls = [run(number, proof=False) for number in range(WARM_UP, WARM_UP + runs)]
    cpu, size = cpu_seconds() - cpu, stored_bytes(folder) - size
    if living := living_children():
        raise AssertionError(f"CPU of child processes {living} is not counted before they end")
    run(WARM_UP + runs, proof=True)
    total = WARM_UP + runs + 1
    rows = [arm.committed(f"run-{number}") for number in range(total)]
    if work.calls != total * STEPS or rows != [STEPS] * total:
        raise AssertionError(f"{work.calls} calls and {sum(rows)} durable results for {total * STEPS} steps")
    figures = {
        "cpu_ms": 1000 * cpu / runs,
        "wall_ms_p50": 1000 * statistics.median(walls),
        "bytes": size / runs,
        "threads": threading.active_count(),
        "durability": arm.durability(),
        "rows": sum(rows),
    }
    arm.close()
    return figures


def cpu_seconds() -> float:
    """User and system time of all threads of this process and of its children that have ended."""
    own, ended = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return own.ru_utime + own.ru_stime + ended.ru_utime + ended.ru_stime


def living_children() -> str:
    return " ".join(path.read_text() for path in Path("/proc/self/task").glob("*/children")).strip()


def stored_bytes(folder: Path) -> int:
    """Bytes of the files under ``folder``; of a SQLite database its pages, those still in the WAL included."""
    total = 0
    for path in folder.rglob("*"):
        if not path.is_file() or path.name.endswith(("-wal", "-shm", "-journal")):
            continue
        if path.suffix != ".sqlite":
            total += path.stat().st_size
            continue
        with closing(sqlite3.connect(path)) as reader:
            total += reader.execute(
                "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size"
            ).fetchone()[0]
    return total


if __name__ == "__main__":
    print(json.dumps(measure(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))))
