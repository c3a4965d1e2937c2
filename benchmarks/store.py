"""Measures hashing and the artifact store on this machine's disk.

    python benchmarks/store.py                          # in a temporary folder
    python benchmarks/store.py --folder /srv/bottega    # on the disk that will be used
    python benchmarks/store.py --json

BLAKE3 is measured when `pip install blake3` was done in this environment; the project does not use it. CPU time is of this
process; wall time is the median of the rounds.
"""

import argparse
import hashlib
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from bottega.core.artifact import Artifact
from bottega.storage.artifacts import ArtifactStore
from bottega.storage.upkeep import scan

KB, MB = 1000, 1_000_000
LARGE = 64 << 20  # bytes


def timed(act: Callable[[], object], rounds: int) -> tuple[float, float]:
    """Median wall seconds and mean CPU seconds of one call."""
    walls: list[float] = []
    cpu = time.process_time()
    for _ in range(rounds):
        start = time.perf_counter()
        act()
        walls.append(time.perf_counter() - start)
    return statistics.median(walls), (time.process_time() - cpu) / rounds


def hashes() -> dict[str, Callable[[bytes], object]]:
    known: dict[str, Callable[[bytes], object]] = {"SHA-256": lambda data: hashlib.sha256(data).digest()}
    if find_spec("blake3"):
        blake3 = import_module("blake3").blake3
        known["BLAKE3"] = lambda data: blake3(data).digest()
    return known


def measure(folder: Path) -> dict[str, dict[str, float]]:
    rows: dict[str, dict[str, float]] = {}

    def row(name: str, size: int, wall: float, cpu: float) -> None:
        rows[name] = {
            "wall_ms": wall * 1e3,
            "cpu_ms": cpu * 1e3,
            "per_s": 1 / wall,
            "mb_per_s": size / MB / wall,
        }

    for name, digest in hashes().items():
        for label, size, rounds in (("16 kB", 16 * KB, 2000), ("1 MB", MB, 200)):
            data = os.urandom(size)
            row(f"{name} of {label}", size, *timed(lambda data=data, digest=digest: digest(data), rounds))

    outer = ArtifactStore(folder / "artifacts", folder / "cache")
    for kind, store in (("put", outer), ("sealed put", outer.sealed(os.urandom(32)))):
        for label, size, rounds in (("16 kB", 16 * KB, 200), ("1 MB", MB, 100)):
            fresh = iter([os.urandom(size) for _ in range(rounds)])
            row(
                f"{kind} of {label}",
                size,
                *timed(lambda store=store, fresh=fresh: store.put(next(fresh), ""), rounds),
            )
    again = os.urandom(MB)
    outer.put(again, "")
    row("put of 1 MB that is there", MB, *timed(lambda: outer.put(again, ""), 100))

    source = folder / "source"
    kept: dict[str, Artifact] = {}
    for kind, store in (("", outer), ("sealed ", outer.sealed(os.urandom(32)))):

        def put(store: ArtifactStore = store, kind: str = kind) -> None:
            kept[kind] = store.put_file(source, "")

        walls: list[tuple[float, float]] = []
        for _ in range(5):
            source.write_bytes(os.urandom(LARGE))
            walls.append(timed(put, 1))
        row(
            f"{kind}put of a file of 64 MiB",
            LARGE,
            *(statistics.median(column) for column in zip(*walls, strict=True)),
        )
        row(
            f"{kind}verify of 64 MiB",
            LARGE,
            *timed(lambda store=store, kind=kind: store.verify(kept[kind]), 5),
        )
    size = sum(each.size for each in outer.list())
    row(f"scan of {sum(1 for _ in outer.list())} objects", size, *timed(lambda: list(scan(outer)), 1))
    outer.close()
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--folder", type=Path, help="measure on the disk of this folder")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=asked.folder) as folder:
        rows = measure(Path(folder))
    if asked.json:
        print(json.dumps(rows, indent=2))
        return
    print(f"{'':28} {'wall ms':>9} {'CPU ms':>9} {'per s':>9} {'MB/s':>8}")
    for name, each in rows.items():
        print(
            f"{name:28} {each['wall_ms']:9.3f} {each['cpu_ms']:9.3f} {each['per_s']:9.0f} {each['mb_per_s']:8.0f}"
        )


if __name__ == "__main__":
    main()
