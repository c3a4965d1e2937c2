"""A stream whose client does not read fast enough ends instead of filling the memory."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bottega.bootstrap import build
from bottega.core.errors import RateLimited
from bottega.core.request import Delta, Part, Request
from bottega.server import desk as desks
from bottega.server.config import Config, Target
from bottega.server.desk import Desk
from bottega.server.message import Call
from bottega.server.table import TABLE
from bottega.settings import Settings


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    service = build(Settings(state=tmp_path))
    try:
        yield Desk(service, Config(), TABLE)
    finally:
        service.close()


def asking(target: Target) -> Request:
    return Request(engine="echo", parts=(Part(port="text", name="a", text="word " * 2000),))


async def never() -> Any:
    await asyncio.Event().wait()


async def test_what_waits_for_a_slow_client_is_bounded(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    key, _ = await asyncio.to_thread(desk.service.keys().create, "app")
    for most, whole in ((16 << 20, True), (100_000, False)):
        monkeypatch.setattr(desks, "UNREAD", most)
        call = Call({"type": "http", "headers": [], "query_string": b""}, never)
        answer, outputs = await desk.stream(call, key, desk.names.get("echo"), asking)
        said = [output.text async for output in outputs if isinstance(output, Delta)]
        assert (len(said) == 2001) is whole
        assert whole or isinstance(answer.error, RateLimited)
        assert len(said) < 2001 or answer.error is None
