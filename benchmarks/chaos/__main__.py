"""Kills workers at random while plans run, then counts: python -m benchmarks.chaos [--kills 1000] [--database both].

On a busy machine raise ``--pause``, the mean seconds between two blows: a worker that is killed while it starts proves little.
"""

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.chaos.crew import install
from benchmarks.chaos.plans import Mixture
from benchmarks.chaos.storm import ZERO, Storm
from benchmarks.machine import machine


@contextmanager
def server(kind: str) -> Generator[Any]:
    """A database server for `postgres`, None for `sqlite`."""
    if kind == "sqlite":
        yield None
        return
    from tests.servers import PostgresServer

    made = PostgresServer()
    try:
        made.start()
        yield made
    finally:
        made.remove()


def storm(kind: str, kills: int, seed: int, pause: float) -> dict[str, Any]:
    """The facts of one storm over one database."""
    root = Path(tempfile.mkdtemp(prefix=f"chaos-{kind}-"))
    with server(kind) as database:

        def restart() -> None:
            database.stop("immediate")
            database.start()

        facts = Storm(
            root,
            Mixture(seed, str(root / "slips")),
            kills,
            pause,
            database=database.url() if database else "",
            upset=restart if database else None,
            say=lambda text: print(f"{kind}: {text}", file=sys.stderr),
        ).blow()
    if all(facts.get(name, 0) == 0 for name in ZERO):
        shutil.rmtree(root)
    else:
        print(f"what is left is in {root}", file=sys.stderr)
    return facts


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--kills", type=int, default=1000)
    arguments.add_argument("--database", choices=("sqlite", "postgres", "both"), default="sqlite")
    arguments.add_argument("--seed", type=int, default=7)
    arguments.add_argument("--pause", type=float, default=0.55)
    arguments.add_argument("--json", action="store_true")
    asked = arguments.parse_args()
    install()
    kinds = ("sqlite", "postgres") if asked.database == "both" else (asked.database,)
    found = {kind: storm(kind, asked.kills, asked.seed, asked.pause) for kind in kinds}
    about = machine(Path(tempfile.gettempdir()))
    if asked.json:
        print(
            json.dumps(
                {"machine": about, "seed": asked.seed, "pause_s": asked.pause, "storms": found}, indent=2
            )
        )
    else:
        print(f"{about}\n\n| seed {asked.seed} | {' | '.join(kinds)} |\n|---|{'---:|' * len(kinds)}")
        for name in dict.fromkeys(name for facts in found.values() for name in facts):
            star = " **(must be 0)**" if name in ZERO else ""
            print(f"| {name}{star} | {' | '.join(str(found[kind].get(name, '')) for kind in kinds)} |")
    if any(facts.get(name, 0) for facts in found.values() for name in ZERO):
        sys.exit(1)


if __name__ == "__main__":
    main()
