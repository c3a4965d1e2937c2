"""``python -m benchmarks.gateway [--nginx FILE] [--litellm DIR] [--portkey DIR]``: one interleaved run on loopback.

``FILE`` is the nginx program; ``DIR`` a virtual environment with ``litellm[proxy]``, or a folder with
``node_modules/@portkey-ai/gateway``. A rival that is not given is not measured. CPU time is that of the gateway's processes
(utime and stime), which a busy machine inflates for all alike; so ratios count, and come from rounds in which every gateway
is asked in turn.
"""

import argparse
import asyncio
import json
import statistics
import tempfile
from pathlib import Path

import aiohttp
from benchmarks.gateway.gateways import EVENTS, Gateway, bare, litellm, nginx, ours, portkey, upstream
from benchmarks.gateway.load import ask, many, ready
from benchmarks.machine import machine


def main() -> None:
    """Measure and print the table."""
    options = argparse.ArgumentParser()
    options.add_argument("--nginx", type=Path)
    options.add_argument("--litellm", type=Path)
    options.add_argument("--portkey", type=Path)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--calls", type=int, default=200)
    options.add_argument("--streams", type=int, default=30)
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        behind = upstream(place)
        gateways = [bare(behind), ours(place, behind)]
        gateways += [nginx(place, given.nginx, behind)] if given.nginx else []
        gateways += [litellm(place, given.litellm, behind)] if given.litellm else []
        gateways += [portkey(given.portkey, behind)] if given.portkey else []
        try:
            asyncio.run(_measure(gateways, given.rounds, given.calls, given.streams))
            print(json.dumps(machine(place)))
        finally:
            for each in (*gateways, behind):
                each.close()


async def _measure(gateways: list[Gateway], rounds: int, calls: int, streams: int) -> None:
    found: dict[tuple[str, str], list[float]] = {}
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=64)) as session:
        for gateway in gateways:
            await ready(session, gateway)
            await many(session, gateway, 20, 4, stream=False)
            gateway.streams = await _streams(session, gateway)
        for _ in range(rounds):
            for gateway in gateways:
                for what, count, at_once, stream in (
                    ("call", calls, 1, False), ("call at 16", calls, 16, False), ("stream", streams, 1, True),
                ):  # fmt: skip
                    if stream and not gateway.streams:
                        continue
                    before = gateway.cpu()
                    waits = sorted(await many(session, gateway, count, at_once, stream))
                    spent = (gateway.cpu() - before) / count * 1000
                    found.setdefault((gateway.name, what), []).append(spent)
                    late = waits[int(0.99 * len(waits))] * 1000
                    found.setdefault((gateway.name, f"{what}, p99"), []).append(late)
    print("| gateway | CPU ms a call | at 16 | CPU ms a stream event | p99 ms at 16 | memory MiB |")
    print("|---|---|---|---|---|---|")
    for gateway in gateways:
        call, at_16, late = (
            statistics.median(found[gateway.name, what]) for what in ("call", "call at 16", "call at 16, p99")
        )
        event = "fails"
        if gateway.streams:
            event = f"{max(statistics.median(found[gateway.name, 'stream']) - call, 0) / EVENTS:.4f}"
        print(
            f"| {gateway.name} | {call:.2f} | {at_16:.2f} | {event} | {late:.1f} | {gateway.memory():.0f} |"
        )


async def _streams(session: aiohttp.ClientSession, gateway: Gateway) -> bool:
    """Whether it can stream at all with the software that is here."""
    try:
        await ask(session, gateway, stream=True)
    except (AssertionError, aiohttp.ClientError) as error:
        print(f"{gateway.name} does not stream here: {error}")
        return False
    return True


if __name__ == "__main__":
    main()
