"""Kills `bottega make examples/launch-kit/brief.toml` at random moments, resumes it, and compares the kit with an undisturbed one.

    python -m benchmarks.chaos.kit --keep DIR [--kills 6] [--seed 3] [--json]

Each time a process has begun a few steps more, it and the processes of its engines get SIGKILL, and `bottega resume` goes on. Then
every artifact's `content_digest`, that of its bytes before signing, must be that of a kit made without a kill in another
state folder. Ends with 1 if one differs. With real models on two cores it takes an hour; what is in DIR already is not made again.
"""

import argparse
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from contextlib import closing, suppress
from pathlib import Path
from random import Random
from typing import Any

BRIEF = Path(__file__).parents[2] / "examples" / "launch-kit" / "brief.toml"
RUN = "kit"
LEASED, FINISHED = "pipeline:step:leased", "pipeline:step:finished"


def bottega(folder: Path, *words: str) -> "subprocess.Popen[bytes]":
    """The command line on the state in ``folder``, in a process group of its own."""
    with (folder / "log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "bottega", *words, "--out", str(folder / "out")],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            env={**os.environ, "BOTTEGA_STATE": str(folder / "state")},
        )  # fmt: skip


def acts(folder: Path) -> Counter[str]:
    """How often each act stands in the journal about a step of the run."""
    file = folder / "state" / "bottega.sqlite"
    if not file.exists():
        return Counter()
    counted: Counter[str] = Counter()
    with (
        suppress(sqlite3.OperationalError),
        closing(_read_only(file)) as database,
    ):  # the tables are being made
        rows = database.execute(
            "SELECT json_extract(entry, '$.act'), count(*) FROM journal WHERE subject LIKE ? GROUP BY 1",
            (f"run/{RUN}/step/%",),
        )
        counted.update(dict(rows.fetchall()))
    return counted


def _read_only(file: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{file}?mode=ro", uri=True, timeout=30)


def undisturbed(folder: Path, brief: Path) -> None:
    """The kit as it comes."""
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "out" / "manifest.json").exists():
        code = bottega(folder, "make", str(brief), "--yes", "--run-id", RUN).wait()
        assert code == 0, (folder / "log").read_text()[-2000:]


def disturbed(folder: Path, brief: Path, kills: int, random: Random) -> list[dict[str, Any]]:
    """The kit with so many kills; when each came."""
    folder.mkdir(parents=True, exist_ok=True)
    blows: list[dict[str, Any]] = []
    while True:
        words = ("resume", RUN) if blows else ("make", str(brief), "--yes", "--run-id", RUN)
        process = bottega(folder, *words)
        wanted = acts(folder)[LEASED] + random.randint(1, 6)
        if len(blows) < kills:
            while process.poll() is None and acts(folder)[LEASED] < wanted:
                time.sleep(0.2)
            until = time.monotonic() + random.expovariate(1 / 8)
            while process.poll() is None and time.monotonic() < until:
                time.sleep(0.05)
        else:
            process.wait()
        if process.poll() is not None:
            assert process.returncode == 0, (folder / "log").read_text()[-2000:]
            return blows
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        now = acts(folder)
        blows.append({"leased": now[LEASED], "finished": now[FINISHED]})
        print(f"kill {len(blows)}: {blows[-1]}", file=sys.stderr, flush=True)


def contents(folder: Path) -> dict[str, str]:
    """The digest of each artifact before signing, by its path."""
    artifacts: list[dict[str, str]] = json.loads((folder / "out" / "manifest.json").read_text())["artifacts"]
    return {each["path"]: each["content_digest"] for each in artifacts}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--brief", type=Path, default=BRIEF)
    parser.add_argument("--keep", type=Path, required=True, help="where both kits are made")
    parser.add_argument("--kills", type=int, default=6)
    parser.add_argument("--seed", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    stormy, calm = asked.keep / "killed", asked.keep / "undisturbed"
    blows = disturbed(stormy, asked.brief, asked.kills, Random(asked.seed))
    found = acts(stormy)
    undisturbed(calm, asked.brief)
    got, expected = contents(stormy), contents(calm)
    facts = {
        "kills": len(blows),
        "when (steps begun and finished until then)": [[each["leased"], each["finished"]] for each in blows],
        "steps finished": found[FINISHED],
        "leases, of them lost with the process": [found[LEASED], found["pipeline:step:lost"]],
        "artifacts": len(expected),
        "artifacts with another content": sorted(
            path for path in got.keys() | expected.keys() if got.get(path) != expected.get(path)
        ),
    }
    print(
        json.dumps(facts, indent=2)
        if asked.json
        else "\n".join(f"{name}: {value}" for name, value in facts.items())
    )
    sys.exit(bool(facts["artifacts with another content"]))


if __name__ == "__main__":
    main()
