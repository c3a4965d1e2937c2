"""What it costs to make five trivial steps in a row survive a crash: Bottega, DBOS, LangGraph and the bare floor.

    pip install -r benchmarks/durable/requirements.txt
    python -m benchmarks.durable                        # from the root of the repository; about two minutes
    python -m benchmarks.durable --arms floor,langgraph --rounds 3 --runs 20 --json

Every arm takes a text of 200 characters through five steps that each return another one, and has every result
durable before the next step starts: during the warm-up each step looks for the earlier results through a
connection of its own, and at the end all rows are counted. Each round runs every arm in a fresh process and
a fresh folder, every second round backwards. CPU is user and system time of all threads, so it holds what the
arm's background threads use meanwhile and what the kernel spends on syncs: most of the floor's at level FULL.

Columns: CPU milliseconds a run, median of the rounds (least to most); the same as multiple of the base, taken round
by round; wall milliseconds a run, median of the medians; bytes a run adds to the files; threads.
The base is Bottega's arm, or the floor where Bottega's is not measured.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from benchmarks.durable.arm import ArmModule, arms
from benchmarks.machine import machine

ROOT = Path(__file__).parents[2]
BASES = ("bottega", "floor")


def installed(known: Mapping[str, ArmModule], chosen: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    """The chosen arms that can run, and the versions of what they need; says which are left out."""
    ready: list[str] = []
    versions: dict[str, str] = {}
    for name in chosen:
        try:
            versions |= {package: version(package) for package in known[name].PACKAGES}
            ready.append(name)
        except PackageNotFoundError as error:
            print(
                f"skipped {name}: {error.name} is not installed; pip install -r benchmarks/durable/requirements.txt",
                file=sys.stderr,
            )
    return ready, versions


def one_round(name: str, folder: Path, runs: int) -> dict[str, Any]:
    """One arm in a process of its own. Raises: SystemExit with what the arm said when it failed."""
    command = [sys.executable, "-m", "benchmarks.durable.child", name, str(folder), str(runs)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{name} failed:\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def summary(rounds: Sequence[Mapping[str, Any]], base: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Figures over the rounds; ratios pair an arm with the base of the same round."""
    cpu = [figures["cpu_ms"] for figures in rounds]
    ratio = [mine / other["cpu_ms"] for mine, other in zip(cpu, base, strict=True)]
    return {
        "cpu_ms": [round(pick(cpu), 3) for pick in (statistics.median, min, max)],
        "ratio": [round(pick(ratio), 2) for pick in (statistics.median, min, max)],
        "wall_ms_p50": round(statistics.median(figures["wall_ms_p50"] for figures in rounds), 2),
        "bytes": round(statistics.median(figures["bytes"] for figures in rounds)),
        "threads": rounds[0]["threads"],
        "rows_proved": sum(figures["rows"] for figures in rounds),
        "durability": rounds[0]["durability"],
    }


def main() -> None:
    known = arms()
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--arms", default=",".join(known), help="which, joined by commas (default: all)")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--runs", type=int, default=150, help="timed runs in a round")
    parser.add_argument(
        "--folder", type=Path, default=Path(tempfile.gettempdir()), help="on the disk to test"
    )
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    chosen = options.arms.split(",")
    if unknown := set(chosen) - set(known):
        parser.error(f"no arm {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    ready, versions = installed(known, chosen)
    if not ready:
        parser.error("no arm to run")
    facts = machine(options.folder)
    if facts["file_system"] == "tmpfs":
        print(f"{options.folder} is in memory: a sync costs nothing there; give --folder", file=sys.stderr)
    measured: dict[str, list[dict[str, Any]]] = {name: [] for name in ready}
    for number in range(options.rounds):
        for name in ready if number % 2 == 0 else reversed(ready):
            with tempfile.TemporaryDirectory(dir=options.folder) as folder:
                measured[name].append(one_round(name, Path(folder), options.runs))
        print(f"round {number + 1} of {options.rounds}", file=sys.stderr, flush=True)
    base = next((name for name in BASES if name in ready), ready[0])
    table = {name: summary(rounds, measured[base]) for name, rounds in measured.items()}
    if options.json:
        report = {"machine": facts, "versions": versions, "base": base, "arms": table, "rounds": measured}
        print(json.dumps(report, indent=2))
        return
    print(f"{facts}\n{versions}\n{options.rounds} rounds of {options.runs} runs; base: {base}\n")
    print(f"{'arm':17}{'CPU ms a run':>26}{'of the base':>25}{'wall p50':>10}{'bytes':>8}{'threads':>9}")
    for name, row in sorted(table.items(), key=lambda item: item[1]["cpu_ms"][0]):
        cpu = "{:.2f} ({:.2f} to {:.2f})".format(*row["cpu_ms"])
        ratio = "{:.2f} ({:.2f} to {:.2f})".format(*row["ratio"])
        print(f"{name:17}{cpu:>26}{ratio:>25}{row['wall_ms_p50']:>10}{row['bytes']:>8}{row['threads']:>9}")
    print()
    for name in ready:
        print(
            f"{name}: {known[name].VARIANTS[name]}. Seen: {table[name]['durability']}, "
            f"{table[name]['rows_proved']} durable results counted"
        )


if __name__ == "__main__":
    main()
