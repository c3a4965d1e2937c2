"""Entries a second into an audit log, and how long a caller waits until its entry is durable.

    python -m benchmarks.audit                          # from the root of the repository; about a minute
    python -m benchmarks.audit --seconds 2 --rounds 5 --json

Every line hashes each entry as a leaf of RFC 6962, stores both, and at the end reads the log back and checks every
leaf. ``groups of N``: one producer makes entries one after the other and writes a group when it is full; the wait
of an entry counts from its making to the end of the commit that holds it. ``N threads`` and ``N coroutines``: closed
loops; a caller hands in its next entry when its last one is durable. Lines are interleaved in rounds, every second
round backwards. A further log that takes entries from many callers is one class in ``logs.py``, named in
``SHARED_LOGS``.

Columns: entries a second, median of the rounds (least to most); wait in milliseconds, median and 99th percentile over
all rounds; CPU microseconds an entry, the making of the entry included.
"""

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from benchmarks.audit.logs import SHARED_LOGS, Lines, Log, SharedLog, Sqlite, entry, leaf
from benchmarks.machine import machine

GROUPS = (1, 64, 1024)
CALLERS = (1, 16, 64)


@dataclass(frozen=True)
class Tally:
    """One line in one round, in seconds: the wait of every entry, the whole, the CPU of all threads."""

    waits: list[float]
    wall: float
    cpu: float


def in_groups(size: int, log: Log, seconds: float) -> list[float]:
    """One producer, groups of ``size``, for about ``seconds``: the waits."""
    waits: list[float] = []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        made: list[float] = []
        group: list[bytes] = []
        for number in range(len(waits), len(waits) + size):
            made.append(time.perf_counter())
            group.append(entry(number))
        log.write(group)
        now = time.perf_counter()
        waits += [now - moment for moment in made]
    return waits


def from_threads(callers: int, log: SharedLog, seconds: float) -> list[float]:
    """``callers`` threads, each waiting for its entry before the next: the waits."""
    end = time.perf_counter() + seconds

    def call(caller: int) -> list[float]:
        waits: list[float] = []
        while (start := time.perf_counter()) < end:
            log.append(entry(caller * 1_000_000 + len(waits)))
            waits.append(time.perf_counter() - start)
        return waits

    with ThreadPoolExecutor(callers) as pool:
        return [wait for waits in pool.map(call, range(callers)) for wait in waits]


def from_coroutines(callers: int, log: SharedLog, seconds: float) -> list[float]:
    """``callers`` coroutines on one loop, each waiting for its entry before the next: the waits."""
    end = time.perf_counter() + seconds
    waits: list[float] = []

    async def call(caller: int) -> None:
        number = 0
        while (start := time.perf_counter()) < end:
            await log.append_async(entry(caller * 1_000_000 + number))
            waits.append(time.perf_counter() - start)
            number += 1

    async def all_callers() -> None:
        await asyncio.gather(*(call(caller) for caller in range(callers)))

    asyncio.run(all_callers())
    return waits


Line = Callable[[Path, float], Tally]
AnyLog = TypeVar("AnyLog", Log, SharedLog)


def checked(open_log: Callable[[Path], AnyLog], drive: Callable[[AnyLog, float], list[float]]) -> Line:
    """A line: a new log, driven for a time, then read back.

    Raises (the line): AssertionError when an entry is missing or a leaf hash is wrong.
    """

    def line(folder: Path, seconds: float) -> Tally:
        log = open_log(folder / "log.sqlite")
        wall, cpu = time.perf_counter(), time.process_time()
        waits = drive(log, seconds)
        tally = Tally(waits, time.perf_counter() - wall, time.process_time() - cpu)
        log.close()
        good = {data for data, stored in log.read() if leaf(data) == stored}
        if len(good) != len(waits):
            raise AssertionError(f"{len(good)} good entries of {len(waits)}")
        return tally

    return line


def lines() -> dict[str, Line]:
    """Every line by name."""
    plain: dict[str, Callable[[Path], Log]] = {
        "sqlite FULL": lambda path: Sqlite(path, "FULL"),
        "sqlite NORMAL": lambda path: Sqlite(path, "NORMAL"),
        "file, fdatasync": Lines,
    }
    found: dict[str, Line] = {}
    for name, open_log in plain.items():
        for size in GROUPS:
            found[f"{name}, groups of {size:,}"] = checked(open_log, partial(in_groups, size))
    for name, open_shared in SHARED_LOGS.items():
        for drive, kind in ((from_threads, "threads"), (from_coroutines, "coroutines")):
            for callers in CALLERS:
                found[f"{name}, {callers} {kind}"] = checked(open_shared, partial(drive, callers))
    return found


def summary(tallies: list[Tally]) -> dict[str, Any]:
    rates = [len(tally.waits) / tally.wall for tally in tallies]
    waits = sorted(1000 * wait for tally in tallies for wait in tally.waits)
    return {
        "per_second": [round(pick(rates)) for pick in (statistics.median, min, max)],
        "wait_ms_p50": round(waits[len(waits) // 2], 3),
        "wait_ms_p99": round(waits[len(waits) * 99 // 100], 3),
        "cpu_us": round(1e6 * sum(tally.cpu for tally in tallies) / len(waits), 1),
        "entries_checked": len(waits),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=1.0, help="of each line in a round")
    parser.add_argument(
        "--folder", type=Path, default=Path(tempfile.gettempdir()), help="on the disk to test"
    )
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    facts = machine(options.folder)
    if facts["file_system"] == "tmpfs":
        print(f"{options.folder} is in memory: a sync costs nothing there; give --folder", file=sys.stderr)
    known = lines()
    tallies: dict[str, list[Tally]] = {name: [] for name in known}
    for number in range(options.rounds):
        for name in known if number % 2 == 0 else reversed(known):
            with tempfile.TemporaryDirectory(dir=options.folder) as folder:
                tallies[name].append(known[name](Path(folder), options.seconds))
        print(f"round {number + 1} of {options.rounds}", file=sys.stderr, flush=True)
    table = {name: summary(rounds) for name, rounds in tallies.items()}
    if options.json:
        print(json.dumps({"machine": facts, "lines": table}, indent=2))
        return
    print(f"{facts}\n{options.rounds} rounds of {options.seconds} s a line\n")
    print(f"{'line':48}{'entries a second':>28}{'wait p50':>10}{'p99 ms':>9}{'CPU µs':>8}")
    for name, row in table.items():
        rate = "{:,} ({:,} to {:,})".format(*row["per_second"])
        print(f"{name:48}{rate:>28}{row['wait_ms_p50']:>10}{row['wait_ms_p99']:>9}{row['cpu_us']:>8}")


if __name__ == "__main__":
    main()
