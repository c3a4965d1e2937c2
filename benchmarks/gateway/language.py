"""``python -m benchmarks.gateway.language [--model M]``: the local language engine through the API, and llama.cpp driven directly.

The same library, weights, threads, slots and prompts; tokens a second over all streams, in rounds in which each is asked in
turn. The direct side is a process of its own that loads the weights as the engine does and is asked by threads.
"""

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import aiohttp
from benchmarks.gateway.gateways import Gateway, ours
from benchmarks.machine import machine

from bottega.engines.llama import SLOTS, LlamaServer
from bottega.settings import Settings

NONE = "local_only = true\n"


def main() -> None:
    """Measure and print the table."""
    options = argparse.ArgumentParser()
    options.add_argument("--model", default="smollm2-135m-instruct")
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--tokens", type=int, default=64)
    options.add_argument("--direct", action="store_true", help=argparse.SUPPRESS)
    given = options.parse_args()
    if given.direct:
        return _direct(given.model)
    command = [sys.executable, "-m", "benchmarks.gateway.language", "--direct", "--model", given.model]
    direct = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    with tempfile.TemporaryDirectory() as folder:
        gateway = ours(Path(folder), Gateway("none", direct, "http://127.0.0.1:1"), NONE)
        try:
            asyncio.run(_measure(direct, gateway, given.model, given.rounds, given.tokens))
            print(json.dumps(machine(Path(folder))))
        finally:
            gateway.close()
            direct.terminate()
            direct.wait(20)


async def _measure(
    direct: subprocess.Popen[str], gateway: Gateway, model: str, rounds: int, tokens: int
) -> None:
    print("| streams | directly, tokens a second | through the API | ratio |")
    print("|---|---|---|---|")
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None)) as session:
        await _through(session, gateway, model, 1, 4)
        _asked(direct, 1, 4)
        for streams in (1, SLOTS):
            plain, through = list[float](), list[float]()
            for turn in range(2 * rounds):
                if turn % 2:
                    through.append(await _through(session, gateway, model, streams, tokens))
                else:
                    plain.append(await asyncio.to_thread(_asked, direct, streams, tokens))
            ratio = statistics.median(b / a for a, b in zip(plain, through, strict=True))
            print(
                f"| {streams} | {statistics.median(plain):.1f} | {statistics.median(through):.1f} | {ratio:.3f} |",
                flush=True,
            )


def _body(number: int, tokens: int) -> dict[str, Any]:
    said = f"Tell a long story about kettle number {number}."
    return {
        "messages": [{"role": "user", "content": said}],
        "max_tokens": tokens,
        "temperature": 0,
        "stream": True,
    }


async def _through(
    session: aiohttp.ClientSession, gateway: Gateway, model: str, streams: int, tokens: int
) -> float:
    began = time.perf_counter()

    async def one(number: int) -> int:
        body = {**_body(number, tokens), "model": model, "stream_options": {"include_usage": True}}
        async with session.post(
            f"{gateway.url}/v1/chat/completions", json=body, headers=gateway.head
        ) as answer:
            lines = (await answer.text()).splitlines()
            assert answer.status == 200 and lines[-2] == "data: [DONE]", lines[-4:]
            return json.loads(lines[-4].removeprefix("data: "))["usage"]["completion_tokens"]

    counts = await asyncio.gather(*(one(number) for number in range(streams)))
    return sum(counts) / (time.perf_counter() - began)


def _asked(direct: subprocess.Popen[str], streams: int, tokens: int) -> float:
    assert direct.stdin is not None and direct.stdout is not None
    direct.stdin.write(f"{streams} {tokens}\n")
    direct.stdin.flush()
    return float(direct.stdout.readline())


def _direct(model: str) -> None:
    """The other side: a line with streams and tokens comes in, tokens a second go out."""
    settings = Settings()
    server: Any = LlamaServer(settings.home / "models" / model / "model.gguf", settings.threads, SLOTS)
    for line in sys.stdin:
        streams, tokens = map(int, line.split())
        counts = [0] * streams
        began = time.perf_counter()

        def one(number: int, tokens: int = tokens, counts: list[int] = counts) -> None:
            def take(chunk: dict[str, Any]) -> bool:
                counts[number] = (chunk.get("usage") or {}).get("completion_tokens", counts[number])
                return False

            more = {
                "stream_options": {"include_usage": True},
                "cache_prompt": False,
                "top_p": 0.95,
                "seed": 0,
            }
            server._server.handle_chat_completions({**_body(number, tokens), **more}, take)

        threads = [threading.Thread(target=one, args=(number,)) for number in range(streams)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        print(sum(counts) / (time.perf_counter() - began), flush=True)


if __name__ == "__main__":
    main()
