"""What the benchmarks say about the machine they ran on."""

import os
import platform
import sqlite3
import statistics
import time
from pathlib import Path
from typing import Any

LEVELS = ("OFF", "NORMAL", "FULL", "EXTRA")


def machine(folder: Path) -> dict[str, Any]:
    """Facts that change the figures; ``folder`` is where the databases are written."""
    cpu = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.processor(),
    )
    return {
        "cpu": cpu,
        "cores": os.cpu_count(),
        "load_1min": round(os.getloadavg()[0], 2),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "file_system": file_system(folder),
        "fdatasync_p50_ms": round(fdatasync_p50(folder), 3),
    }


def file_system(folder: Path) -> str:
    """Kind of the file system under ``folder``; on ``tmpfs`` a sync costs nothing and the figures mean little."""
    resolved = folder.resolve()
    kinds = [
        (len(where), kind)
        for _, where, kind, *_ in map(str.split, Path("/proc/mounts").read_text().splitlines())
        if resolved.is_relative_to(where)
    ]
    return max(kinds)[1]


def fdatasync_p50(folder: Path, writes: int = 50) -> float:
    """Median milliseconds to append 4 KiB and have it on the disk."""
    path, times = folder / "fdatasync", list[float]()
    with path.open("wb", buffering=0) as file:
        for _ in range(writes):
            start = time.perf_counter()
            file.write(bytes(4096))
            os.fdatasync(file.fileno())
            times.append(time.perf_counter() - start)
    path.unlink()
    return 1000 * statistics.median(times)


def levels(connection: sqlite3.Connection) -> str:
    """Journal and level of an open SQLite connection, as SQLite itself answers."""
    (journal,) = connection.execute("PRAGMA journal_mode").fetchone()
    (level,) = connection.execute("PRAGMA synchronous").fetchone()
    return f"{journal}, synchronous {LEVELS[level]}"
