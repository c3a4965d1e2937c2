"""Asking a gateway: one call, many at a time, and until it answers."""

import asyncio
import secrets
import time

import aiohttp
from benchmarks.gateway.gateways import Gateway


async def ask(session: aiohttp.ClientSession, gateway: Gateway, stream: bool) -> None:
    """One chat; raises AssertionError when it is not answered in full."""
    said = f"hello {secrets.token_hex(4)}"  # no two alike: no cache answers
    body = {"model": "mock", "stream": stream, "messages": [{"role": "user", "content": said}]}
    async with session.post(f"{gateway.url}/v1/chat/completions", json=body, headers=gateway.head) as answer:
        text = await answer.text()
        whole = "[DONE]" in text if stream else "www" in text
        assert answer.status == 200 and whole, (gateway.name, answer.status, text[:300])


async def many(
    session: aiohttp.ClientSession, gateway: Gateway, count: int, at_once: int, stream: bool
) -> list[float]:
    """So many chats, so many at once; how long each took, in seconds."""
    room = asyncio.Semaphore(at_once)

    async def one() -> float:
        async with room:
            began = time.perf_counter()
            await ask(session, gateway, stream)
            return time.perf_counter() - began

    return [*await asyncio.gather(*(one() for _ in range(count)))]


async def ready(session: aiohttp.ClientSession, gateway: Gateway) -> None:
    """Return when it answers."""
    until = time.monotonic() + 300
    while True:
        try:
            return await ask(session, gateway, stream=False)
        except (aiohttp.ClientError, AssertionError):
            if time.monotonic() > until or gateway.process.poll() is not None:
                raise
            await asyncio.sleep(0.5)
