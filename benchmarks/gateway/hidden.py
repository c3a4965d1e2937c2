"""``python -m benchmarks.gateway.hidden [--asked 400]``: does a 404 take as long for another's things as for what never was?

One key makes a run, a file, a batch, a response and an artifact; another asks for each of them and for one that never was, in turns, the first of a
turn by lot. The server runs alone, on loopback. Printed is the median of each in microseconds, their difference, and how sure it is: 95 % by resampling.
"""

import argparse
import random
import statistics
import tempfile
import time
from pathlib import Path

import httpx
from benchmarks.gateway.gateways import made_key, ours

STEPS = [{"id": "s", "engine": "compose", "params": {"template": "Mine alone.\n"}, "path": "s.md"}]
NEVER = {
    "/v1/runs/": "run-000000000000",
    "/v1/files/": "file-" + "0" * 24,
    "/v1/batches/": "batch_" + "0" * 24,
    "/v1/responses/": "resp_call-000000000000",
    "/v1/artifacts/": "0" * 64,
}


def made(client: httpx.Client) -> dict[str, str]:
    """One of each kind, by the beginning of its path."""
    line = b'{"custom_id":"a","method":"POST","url":"/v1/responses","body":{"model":"echo","input":"x"}}'
    file = client.post("/v1/files", files={"file": ("a.jsonl", line)}).json()["id"]
    batch = client.post("/v1/batches", json={"input_file_id": file, "endpoint": "/v1/responses"}).json()["id"]
    response = client.post("/v1/responses", json={"model": "echo", "input": "mine"}).json()["id"]
    source = client.post("/v1/files", files={"file": ("a.txt", b"words to write from")}).json()["id"]
    brief = {"goal": "mine", "steps": STEPS, "sources": [source]}
    run = client.post("/v1/runs", json={"brief": brief}).json()["id"]
    client.get(f"/v1/runs/{run}/events").raise_for_status()
    (output,) = client.get(f"/v1/runs/{run}").json()["steps"][0]["outputs"]
    return dict(zip(NEVER, (run, file, batch, response, output["artifact"]["sha256"]), strict=True))


def asked(client: httpx.Client, path: str) -> float:
    """Microseconds until it is not there."""
    start = time.perf_counter()
    answer = client.get(path)
    taken = time.perf_counter() - start
    assert answer.status_code == 404, (path, answer.status_code)
    return taken * 1e6


def main() -> None:
    """Print a line for each kind of thing."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--asked", type=int, default=400)
    times = parser.parse_args().asked
    chance = random.Random(0)
    with tempfile.TemporaryDirectory() as folder:
        server = ours(Path(folder), None)
        try:
            keys = [made_key(Path(folder), name) for name in ("owner", "stranger")]
            owner, stranger = (
                httpx.Client(base_url=server.url, headers={"authorization": f"Bearer {key}"}, timeout=60) for key in keys
            )  # fmt: skip
            print(f"{'':16}{'never':>9}{'another':>9}{'difference':>12}  95 %")
            for begin, its in made(owner).items():
                pair = {"never": f"{begin}{NEVER[begin]}", "another": f"{begin}{its}"}
                taken: dict[str, list[float]] = {name: [] for name in pair}
                for turn in range(times + 20):
                    for name in chance.sample([*pair], 2):
                        micros = asked(stranger, pair[name])
                        if turn >= 20:
                            taken[name].append(micros)
                medians = {name: statistics.median(found) for name, found in taken.items()}
                again = sorted(
                    statistics.median(chance.choices(taken["another"], k=times))
                    - statistics.median(chance.choices(taken["never"], k=times))
                    for _ in range(400)
                )
                apart = medians["another"] - medians["never"]
                print(f"{begin:16}{medians['never']:9.0f}{medians['another']:9.0f}{apart:+12.0f}  [{again[10]:+.0f}, {again[389]:+.0f}]")  # fmt: skip
        finally:
            server.close()


if __name__ == "__main__":
    main()
