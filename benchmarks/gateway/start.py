"""``python -m benchmarks.gateway.start [--rounds 10]``: from the start of ``bottega serve`` to its first answered request."""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

from benchmarks.machine import machine


def main() -> None:
    """Measure and print one line of JSON: wall and CPU seconds, medians and best."""
    options = argparse.ArgumentParser()
    options.add_argument("--rounds", type=int, default=10)
    given = options.parse_args()
    walls, spent = list[float](), list[float]()
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(given.rounds):
            before, began = _cpu(), time.perf_counter()
            command = [sys.executable, "-m", "bottega", "serve", "--port", "0"]
            environment = {**os.environ, "BOTTEGA_STATE": str(Path(folder) / "state")}
            server = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
            assert server.stdout is not None
            url = next(line for line in server.stdout if line.startswith("serving ")).split()[1]
            with urllib.request.urlopen(f"{url.removesuffix('/v1')}/health/ready") as answer:
                assert answer.status == 200
            walls.append(time.perf_counter() - began)
            server.terminate()
            server.wait(20)
            spent.append(_cpu() - before)
        found = {"wall_s": walls, "cpu_s": spent}
        told = {
            name: {"median": round(statistics.median(each), 2), "best": round(min(each), 2)}
            for name, each in found.items()
        }
        print(json.dumps({**told, **machine(Path(folder))}))


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
