"""Calls to engines elsewhere that go without the machinery of steps: the same entries, the same money, the same refusals."""

import asyncio
import json
import threading
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from bottega.core.canonical import digest
from bottega.core.entry import Act
from bottega.core.errors import BudgetExceeded, InvalidValue
from bottega.core.request import Output, Request
from bottega.core.run import StepResult
from bottega.service import Bottega

SAID = {
    "choices": [{"message": {"content": "hello"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 3, "completion_tokens": 2},
}


@dataclass
class Upstream:
    """What answers: a body and a status, after ``hold`` is set."""

    url: str = ""
    status: int = 200
    body: dict[str, Any] = field(default_factory=lambda: SAID)
    hold: asyncio.Event = field(default_factory=asyncio.Event)
    said: bytes = b""  # of a stream, before it waits
    asked: int = 0
    arrived: asyncio.Queue[None] = field(default_factory=asyncio.Queue[None])


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    state, tasks = Upstream(), set[asyncio.Task[None]]()
    state.hold.set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(int(head.lower().partition(b"content-length: ")[2].partition(b"\r")[0]))
            state.asked += 1
            state.arrived.put_nowait(None)
            if state.said:
                writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + state.said)
                await writer.drain()
            await state.hold.wait()
            if state.said:
                return
            body = json.dumps(state.body).encode()
            head = b"HTTP/1.1 %d X\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % (
                state.status,
                len(body),
            )
            writer.write(head + body)
            await writer.drain()
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    state.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    yield state
    server.close()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def ask(service: Bottega, upstream: Upstream, **more: Any) -> Any:
    params = {
        "base_url": upstream.url,
        "prompt": "hi",
        "stream": False,
        "max_tokens": 8,
        "retries": 0,
        "price_out": 1e6,
    }
    request = Request(engine="openai_chat", model="m", params=params | more.pop("params", {}))
    return service.call(request, charge=["team:shop"], patient=False, **more)


def acts(service: Bottega) -> list[Act]:
    return [entry.act for entry in service.shop.journal.about()]


def held(service: Bottega) -> list[Any]:
    return [
        row
        for name in ("leases", "reservations")
        for row in service.state.database.rows(f"SELECT * FROM {name}")
    ]


async def test_a_call_leaves_what_a_step_leaves(service: Bottega, upstream: Upstream) -> None:
    result: StepResult = await ask(service, upstream, call_id="call-1")
    assert service.shop.artifacts.read(result.outputs[0].artifact) == b"hello\n"
    leased, reserved, finished, settled = service.shop.journal.about()
    assert [leased.act, reserved.act, finished.act, settled.act] == [
        Act.STEP_LEASED, Act.BUDGET_RESERVED, Act.STEP_FINISHED, Act.BUDGET_SETTLED,
    ]  # fmt: skip
    assert leased.subject == finished.subject == "run/call-1/step/call"
    assert leased.detail["model"] == "m" and leased.behalf == service.actor
    assert settled.cost["token"] == 5_000_000 and settled.cost["usd"] == 2_000_000
    assert reserved.cost["token"] > settled.cost["token"] and held(service) == []
    assert service.state.contents.get(finished.detail["result"]) == result.canonical()
    before = service.state.database.rows("SELECT * FROM steps"), service.budgets().all()
    service.state.fold_again()
    assert (service.state.database.rows("SELECT * FROM steps"), service.budgets().all()) == before


async def test_the_record_shows_short_parameters_as_they_were_and_no_credentials(
    service: Bottega, upstream: Upstream
) -> None:
    def said(text: str) -> dict[str, Any]:
        return {"prompt": "", "messages": [{"role": "user", "content": text}], "top_p": 1.0}

    secret = f"sk-{'a' * 20}"
    plain: StepResult = await ask(service, upstream, params=said('"hé"\n'))
    await ask(service, upstream, params=said(f"use {secret}"))
    first, second = (entry for entry in service.shop.journal.about() if entry.act is Act.STEP_LEASED)
    params = first.detail["params"]
    assert params["messages"] == said('"hé"\n')["messages"] and (params["top_p"], params["max_tokens"]) == (
        1,
        8,
    )
    whole: dict[str, Any] = {
        "engine": "openai_chat",
        "version": "1",
        "weights": "",
        "seed": None,
        "inputs": {},
        "feedback": "",
    }
    assert plain.key == first.detail["key"] == digest({**whole, "params": params})
    assert second.detail["params"]["messages"][0]["content"] == "use [secret]"
    assert not any(secret in entry.canonical().decode() for entry in service.shop.journal.about())


async def test_a_refusal_says_what_it_always_says(service: Bottega, upstream: Upstream) -> None:
    service.budgets().set("team:shop", "token", "10")
    with pytest.raises(BudgetExceeded, match="team:shop has 10 token left"):
        await ask(service, upstream)
    assert upstream.asked == 0 and held(service) == []
    with pytest.raises(InvalidValue, match="max_tokens"):
        await ask(service, upstream, params={"max_tokens": 0})


async def test_what_fails_is_written_down_and_nothing_stays_reserved(
    service: Bottega, upstream: Upstream
) -> None:
    errors: list[Exception] = []
    upstream.status = 503
    result = await ask(service, upstream, failed=errors.append)
    assert result.state == "failed" and "503" in result.error and len(errors) == 1
    upstream.status, upstream.body = 200, {"error": "no"}
    assert (await ask(service, upstream)).state == "failed"
    assert acts(service).count(Act.STEP_FAILED) == 2 and held(service) == []
    refused, broken = (entry for entry in service.shop.journal.about() if entry.act is Act.BUDGET_SETTLED)
    assert "token" not in refused.cost  # it was not begun
    assert broken.cost["token"] > 8_000_000  # what nobody knows of, another party may bill


async def test_an_answer_that_does_not_fit_is_paid_for_as_it_was_counted(
    service: Bottega, upstream: Upstream
) -> None:
    result = await ask(service, upstream, params={"response_format": {"type": "json_object"}})
    assert result.state == "failed" and "the answer is no JSON" in result.error
    settled = service.shop.journal.about()[-1]
    assert settled.cost["token"] == 5_000_000 and settled.cost["usd"] == 2_000_000 and held(service) == []


async def test_who_goes_away_stops_the_engine_and_pays(service: Bottega, upstream: Upstream) -> None:
    upstream.hold.clear()
    stop = threading.Event()
    going = asyncio.ensure_future(ask(service, upstream, cancelled=stop))
    await upstream.arrived.get()
    assert len(held(service)) > 1
    stop.set()
    assert (await going).state == "stopped"
    cancelled = asyncio.ensure_future(ask(service, upstream))
    await upstream.arrived.get()
    cancelled.cancel()
    with pytest.raises(asyncio.CancelledError):
        await cancelled
    assert acts(service).count(Act.STEP_STOPPED) == 2 and held(service) == []


@pytest.mark.parametrize("how", ["stopped", "broken"])
async def test_a_stream_that_does_not_end_is_billed_for_what_was_said(
    service: Bottega, upstream: Upstream, how: str
) -> None:
    chunk = json.dumps({"choices": [{"delta": {"content": "word "}}]})
    upstream.said = f"data: {chunk}\n\n".encode() * 3
    stop, heard = threading.Event(), list[Output]()
    if how == "stopped":
        upstream.hold.clear()

    def listen(output: Output) -> None:
        heard.append(output)
        if how == "stopped" and sum(each.kind == "delta" for each in heard) == 3:
            stop.set()

    params = {"stream": True, "prompt": "x" * 700}
    result = await ask(service, upstream, params=params, cancelled=stop, listen=listen)
    assert result.state == ("stopped" if how == "stopped" else "failed")
    (settled,) = (entry for entry in service.shop.journal.about() if entry.act is Act.BUDGET_SETTLED)
    assert (
        3_000_000 + 200_000_000 < settled.cost["token"] < 3_000_000 + 260_000_000
    )  # 3.5 bytes a token of the prompt
    assert settled.cost["usd"] == 3_000_000 and held(service) == []


async def test_as_many_at_once_as_may_be(service: Bottega, upstream: Upstream) -> None:
    service.shop.limits = {"openai_chat": 2}
    found = await asyncio.gather(*(ask(service, upstream) for _ in range(5)))
    assert [result.state for result in found] == ["done"] * 5 and held(service) == []
