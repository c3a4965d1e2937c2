"""``python -m benchmarks.gateway.soak [--minutes 10]``: half of what the server can do, for a while: memory, errors, the record.

First what it can do with this mixture, a quarter of it streams, is measured by 16 callers for a while; then calls come at half that
rate, open loop: a call that is late delays no other. Memory is looked at every second; its slope is a least-squares line over the second half.
"""

import argparse
import asyncio
import itertools
import json
import statistics
import tempfile
import time
from collections import Counter
from pathlib import Path

import aiohttp
from benchmarks.gateway.gateways import Gateway, ours, upstream
from benchmarks.gateway.load import ask, ready
from benchmarks.gateway.record import verified
from benchmarks.machine import machine

PROBE = 20.0  # seconds
CALLERS = 16


def main() -> None:
    """Run it and print one line of JSON."""
    options = argparse.ArgumentParser()
    options.add_argument("--minutes", type=float, default=10)
    options.add_argument("--share", type=float, default=0.5, help="of what it can do")
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        behind = upstream(place)
        gateway = ours(place, behind)
        try:
            found = asyncio.run(_soak(gateway, given.minutes * 60, given.share))
        finally:
            gateway.close()
            behind.close()
        print(json.dumps({**found, "record": verified(place / "state"), **machine(place)}))


async def _most(session: aiohttp.ClientSession, gateway: Gateway) -> float:
    """Calls a second that it answers when as many as it works on at a time always wait."""
    numbers, until = itertools.count(), time.perf_counter() + PROBE

    async def caller() -> None:
        while time.perf_counter() < until:
            await ask(session, gateway, stream=next(numbers) % 4 == 0)

    await asyncio.gather(*(caller() for _ in range(CALLERS)))
    return next(numbers) / PROBE


async def _soak(gateway: Gateway, seconds: float, share: float) -> dict[str, object]:
    ended: Counter[str] = Counter()
    waits: list[float] = []
    memory: list[tuple[float, float]] = []
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        await ready(session, gateway)
        rate = share * await _most(session, gateway)

        async def one(number: int) -> None:
            asked = time.perf_counter()
            try:
                await ask(session, gateway, stream=number % 4 == 0)
                ended["answered"] += 1
            except (AssertionError, aiohttp.ClientError) as error:
                ended[f"{type(error).__name__}: {error}"[:200]] += 1
            waits.append(time.perf_counter() - asked)

        began, number, looked = time.monotonic(), 0, 0.0
        running: set[asyncio.Task[None]] = set()
        while (now := time.monotonic() - began) < seconds:
            while number < now * rate:
                number += 1
                task = asyncio.create_task(one(number))
                running.add(task)
                task.add_done_callback(running.discard)
            if now - looked >= 1:
                looked = now
                memory.append((now, gateway.memory()))
            await asyncio.sleep(0.005)
        await asyncio.gather(*running)
    half = [point for point in memory if point[0] > seconds / 2]
    line = statistics.linear_regression(*zip(*half, strict=True))
    return {
        "minutes": round(seconds / 60, 1), "calls_per_second": round(rate, 1), "ended": dict(ended),
        "p50_ms": round(statistics.median(waits) * 1000, 1), "p99_ms": round(sorted(waits)[int(0.99 * len(waits))] * 1000, 1),
        "memory_mib": {"first": round(memory[0][1], 1), "middle": round(half[0][1], 1), "last": round(memory[-1][1], 1)},
        "mib_an_hour": round(line.slope * 3600, 1),
    }  # fmt: skip


if __name__ == "__main__":
    main()
