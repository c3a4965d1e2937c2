"""``python -m benchmarks.gateway [--litellm DIR] [--portkey DIR]``: one interleaved run on loopback.

``DIR`` is a virtual environment with ``litellm[proxy]``, or a folder with ``node_modules/@portkey-ai/gateway``. A rival that is
not given is not measured. CPU time is that of the gateway's processes (utime and stime), which a busy machine inflates for all
alike; so ratios count, and come from rounds in which every gateway is asked in turn.
"""

import argparse
import asyncio
import json
import os
import secrets
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from benchmarks.machine import machine

EVENTS = 100
TICK = os.sysconf("SC_CLK_TCK")
CONFIG = """
[[models]]
name = "mock"
targets = [{ engine = "openai_chat", model = "mock", params = { base_url = "http://127.0.0.1:%d/v1" } }]
"""
LITELLM = """
model_list:
  - model_name: mock
    litellm_params: {model: openai/mock, api_base: "http://127.0.0.1:%d/v1", api_key: none}
litellm_settings: {callbacks: [], num_retries: 0}
general_settings: {master_key: %s}
"""


@dataclass
class Gateway:
    """One process that answers; ``head`` is what it wants to be asked with."""

    name: str
    process: subprocess.Popen[Any]
    url: str
    head: dict[str, str]

    def cpu(self) -> float:
        """Seconds of CPU of the process and all it started."""
        return sum(_cpu(pid) for pid in _family(self.process.pid))

    def memory(self) -> float:
        """Resident memory in MiB."""
        return sum(_resident(pid) for pid in _family(self.process.pid))


def main() -> None:
    """Measure and print the table."""
    options = argparse.ArgumentParser()
    options.add_argument("--litellm", type=Path)
    options.add_argument("--portkey", type=Path)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--calls", type=int, default=200)
    options.add_argument("--streams", type=int, default=30)
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        upstream, port = _upstream(place)
        gateways = [_bare(port), _ours(place, port)]
        if given.litellm:
            gateways.append(_litellm(place, given.litellm, port))
        if given.portkey:
            gateways.append(_portkey(given.portkey, port))
        try:
            asyncio.run(_measure(gateways, given.rounds, given.calls, given.streams))
            print(json.dumps(machine(place)))
        finally:
            for each in (*(gateway.process for gateway in gateways), upstream):
                each.terminate()
                each.wait(20)


async def _measure(gateways: list[Gateway], rounds: int, calls: int, streams: int) -> None:
    found: dict[tuple[str, str], list[float]] = {}
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=64)) as session:
        for gateway in gateways:
            await _ready(session, gateway)
            for _ in range(20):
                await _ask(session, gateway, stream=False)
            await _ask(session, gateway, stream=True)
        for _ in range(rounds):
            for gateway in gateways:
                for what, count, at_once, stream in (
                    ("call", calls, 1, False), ("call at 16", calls, 16, False), ("stream", streams, 1, True),
                ):  # fmt: skip
                    before, began = gateway.cpu(), time.perf_counter()
                    waits = await _many(session, gateway, count, at_once, stream)
                    found.setdefault((gateway.name, what), []).append((gateway.cpu() - before) / count * 1000)
                    found.setdefault((gateway.name, f"{what}, p99"), []).append(
                        sorted(waits)[int(0.99 * len(waits))] * 1000
                    )
                    del began
    print("| gateway | CPU ms a call | at 16 | CPU ms a stream event | p99 ms at 16 | memory MiB |")
    print("|---|---|---|---|---|---|")
    for gateway in gateways:
        call, many, stream = (
            statistics.median(found[gateway.name, what]) for what in ("call", "call at 16", "stream")
        )
        event = max(stream - call, 0) / EVENTS
        late = statistics.median(found[gateway.name, "call at 16, p99"])
        print(
            f"| {gateway.name} | {call:.2f} | {many:.2f} | {event:.4f} | {late:.1f} | {gateway.memory():.0f} |"
        )


async def _many(
    session: aiohttp.ClientSession, gateway: Gateway, count: int, at_once: int, stream: bool
) -> list[float]:
    room = asyncio.Semaphore(at_once)

    async def one() -> float:
        async with room:
            began = time.perf_counter()
            await _ask(session, gateway, stream)
            return time.perf_counter() - began

    return [*await asyncio.gather(*(one() for _ in range(count)))]


async def _ask(session: aiohttp.ClientSession, gateway: Gateway, stream: bool) -> None:
    said = f"hello {secrets.token_hex(4)}"  # no two alike: no cache answers
    body = {"model": "mock", "stream": stream, "messages": [{"role": "user", "content": said}]}
    async with session.post(f"{gateway.url}/v1/chat/completions", json=body, headers=gateway.head) as answer:
        text = await answer.text()
        assert answer.status == 200 and ("[DONE]" in text if stream else "www" in text), (
            gateway.name,
            text[:300],
        )


async def _ready(session: aiohttp.ClientSession, gateway: Gateway) -> None:
    until = time.monotonic() + 180
    while True:
        try:
            return await _ask(session, gateway, stream=False)
        except (aiohttp.ClientError, AssertionError):
            if time.monotonic() > until or gateway.process.poll() is not None:
                raise
            await asyncio.sleep(0.5)


def _upstream(place: Path) -> tuple[subprocess.Popen[Any], int]:
    program = place / "upstream"
    source = Path(__file__).parent / "upstream.c"
    subprocess.run(["cc", "-O2", "-o", program, source], check=True)
    port = _port()
    process = subprocess.Popen([program, str(port), str(EVENTS)], stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    return process, port


def _bare(upstream: int) -> Gateway:
    port = _port()
    command = [sys.executable, "-m", "benchmarks.gateway.bare", str(port), f"http://127.0.0.1:{upstream}"]
    return Gateway("bare pass-through", subprocess.Popen(command), f"http://127.0.0.1:{port}", {})


def _ours(place: Path, upstream: int) -> Gateway:
    (place / "server.toml").write_text(CONFIG % upstream)
    environment = {**os.environ, "BOTTEGA_STATE": str(place / "state")}
    make = [
        sys.executable,
        "-m",
        "bottega",
        "keys",
        "create",
        "--name",
        "load",
        "--charge",
        "project:load",
        "--quiet",
    ]
    key = subprocess.run(make, env=environment, check=True, capture_output=True, text=True).stdout.strip()
    port = _port()
    command = [
        sys.executable,
        "-m",
        "bottega",
        "serve",
        "--port",
        str(port),
        "--config",
        str(place / "server.toml"),
    ]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
    return Gateway(
        "Bottega: key, budget, record",
        process,
        f"http://127.0.0.1:{port}",
        {"authorization": f"Bearer {key}"},
    )


def _litellm(place: Path, folder: Path, upstream: int) -> Gateway:
    key = f"sk-{secrets.token_hex(16)}"
    (place / "litellm.yaml").write_text(LITELLM % (upstream, key))
    port = _port()
    command = [folder / "bin/litellm", "--config", place / "litellm.yaml", "--port", str(port), "--host", "127.0.0.1",
               "--num_workers", "1"]  # fmt: skip
    environment = {**os.environ, "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return Gateway("LiteLLM: key", process, f"http://127.0.0.1:{port}", {"authorization": f"Bearer {key}"})


def _portkey(folder: Path, upstream: int) -> Gateway:
    port = _port()
    start = folder / "node_modules/@portkey-ai/gateway/build/start-server.js"
    environment = {**os.environ, "TRUSTED_CUSTOM_HOSTS": "127.0.0.1,localhost"}
    process = subprocess.Popen(
        ["node", start, f"--port={port}", "--headless"], env=environment, stdout=subprocess.DEVNULL
    )
    head = {
        "x-portkey-provider": "openai",
        "x-portkey-custom-host": f"http://127.0.0.1:{upstream}/v1",
        "authorization": "Bearer x",
    }
    return Gateway("Portkey", process, f"http://127.0.0.1:{port}", head)


def _port() -> int:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def _family(pid: int) -> list[int]:
    found = [pid]
    for line in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        found += _family(int(line))
    return found


def _cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def _resident(pid: int) -> float:
    text = Path(f"/proc/{pid}/status").read_text()
    line: Callable[[str], bool] = lambda each: each.startswith("VmRSS")
    return int(next(filter(line, text.splitlines())).split()[1]) / 1024


if __name__ == "__main__":
    main()
