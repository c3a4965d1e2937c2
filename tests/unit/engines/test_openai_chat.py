"""The remote chat engine against a real HTTP server on loopback that behaves badly on purpose."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from bottega.core.errors import Cancelled, EngineBusy, EngineFailed, InvalidPlan
from bottega.core.request import Delta, Finished, Output, Request, Usage
from bottega.engines.base import Bench
from bottega.engines.openai_api import retry_after
from bottega.engines.openai_chat import OpenAIChat, OpenAIChatParams

KEY = "sk-very-secret"


def event(text: str, reason: str | None = None, **more: object) -> str:
    return json.dumps({"choices": [{"delta": {"content": text}, "finish_reason": reason}], **more})


HELLO = (
    event("Hel"),
    event("lo", "stop"),
    json.dumps({"choices": [], "usage": {"prompt_tokens": 1000, "completion_tokens": 500}}),
    "[DONE]",
)


@dataclass
class Answer:
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict[str, str])
    events: tuple[str, ...] = HELLO
    text: str = ""
    wait: float = 0.0
    delay: float = 0.0


@dataclass
class Server:
    url: str
    answers: list[Answer]
    asked: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    keys: list[str] = field(default_factory=list[str])
    left: threading.Event = field(default_factory=threading.Event)


@pytest.fixture
def server() -> Iterator[Server]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            state.asked.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            state.keys.append(self.headers.get("Authorization", ""))
            answer = state.answers.pop(0)
            time.sleep(answer.delay)
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.end_headers()
            try:
                self.wfile.write(answer.text.encode())
                for line in answer.events if answer.status == 200 else ():
                    self.wfile.write(f"data: {line}\n\n".encode())
                    self.wfile.flush()
                    time.sleep(answer.wait)
            except OSError:
                state.left.set()

        def log_message(self, format: str, *args: object) -> None:
            return

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state = Server(f"http://127.0.0.1:{http.server_port}/v1", [])
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield state
    http.shutdown()
    http.server_close()
    thread.join()


def key(name: str) -> str:
    return KEY if name == "openai_api_key" else ""


async def ask(server: Server, bench: Bench, **params: Any) -> list[Output]:
    params = {"prompt": "Say hello.", "base_url": server.url, "backoff": 0.01, **params}
    bench = replace(bench, secret=key)
    request = Request(engine="openai_chat", model="small", params=params, seed=5)
    return [output async for output in OpenAIChat().generate(request, bench)]


async def test_streams_and_counts_the_cost(server: Server, bench: Bench) -> None:
    server.answers = [Answer()]
    outputs = await ask(server, bench, price_in=2.0, price_out=8.0)
    assert [output.text for output in outputs if isinstance(output, Delta)] == ["Hel", "lo"]
    usage = next(output for output in outputs if isinstance(output, Usage))
    assert usage.cost == pytest.approx(1000 * 2e-6 + 500 * 8e-6)
    last = outputs[-1]
    assert isinstance(last, Finished) and last.data == b"Hello\n"
    assert last.details["finish_reason"] == "stop" and last.details["attempts"] == 1
    assert server.asked[0]["model"] == "small" and server.asked[0]["seed"] == 5
    assert server.keys == [f"Bearer {KEY}"]


async def test_a_model_that_thinks_gets_the_fields_that_it_takes(server: Server, bench: Bench) -> None:
    server.answers = [Answer()]
    await ask(server, bench, limit_field="max_completion_tokens", sampling=False, max_tokens=9)
    assert server.asked[0]["max_completion_tokens"] == 9
    assert not server.asked[0].keys() & {"max_tokens", "temperature", "top_p"}


async def test_a_key_goes_to_its_own_host_alone(server: Server, bench: Bench) -> None:
    host = server.url.removeprefix("http://").removesuffix("/v1")
    keys = {f"openai_api_key@{host}": "its own", "openai_api_key": KEY}

    def secret(name: str) -> str:
        return keys.get(name, "")

    async def refused() -> None:
        server.answers = [Answer(401, text="no")]
        request = Request(engine="openai_chat", model="m", params={"prompt": "x", "base_url": server.url})
        with pytest.raises(EngineFailed):
            await anext(OpenAIChat().generate(request, replace(bench, secret=secret)))

    await refused()
    keys = {"openai_api_key@other.example": KEY}
    await refused()
    assert server.keys == ["Bearer its own", ""]


async def test_a_schema_travels_closed(server: Server, bench: Bench) -> None:
    server.answers = [Answer(events=(event('{"a": "b"}', "stop"), "[DONE]"))]
    outputs = await ask(
        server, bench, json_schema={"type": "object", "properties": {"a": {"type": "string"}}}
    )
    assert isinstance(outputs[-1], Finished) and outputs[-1].media_type == "application/json"
    sent = server.asked[0]["response_format"]["json_schema"]
    assert sent["strict"] is True and sent["schema"]["properties"]["a"]["maxLength"] == 600


async def test_retries_after_the_time_that_the_server_names(server: Server, bench: Bench) -> None:
    server.answers = [Answer(429, {"Retry-After": "1"}), Answer(500), Answer()]
    start = time.monotonic()
    outputs = await ask(server, bench)
    assert time.monotonic() - start >= 1  # a lower bound: the pause is part of the contract
    assert isinstance(outputs[-1], Finished) and outputs[-1].details["attempts"] == 3


async def test_gives_up_after_the_last_retry_and_never_shows_the_key(server: Server, bench: Bench) -> None:
    server.answers = [Answer(503, text=f"bad key {KEY}"), Answer(503, text=f"bad key {KEY}")]
    with pytest.raises(EngineBusy) as caught:
        await ask(server, bench, retries=1)
    assert caught.value.retryable and KEY not in str(caught.value) and "***" in str(caught.value)
    assert len(server.asked) == 2


async def test_a_long_retry_after_is_handed_on(server: Server, bench: Bench) -> None:
    server.answers = [Answer(429, {"Retry-After": "3600"})]
    with pytest.raises(EngineBusy) as caught:
        await ask(server, bench)
    assert caught.value.retry_after == 3600


async def test_a_wrong_key_is_not_tried_again(server: Server, bench: Bench) -> None:
    server.answers = [Answer(401, text="no")]
    with pytest.raises(EngineFailed, match="BOTTEGA_OPENAI_API_KEY"):
        await ask(server, bench)
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    ("events", "message"),
    [
        ((event("Hel"),), "broke off"),
        ((event("Hel"), "{not json"), "not JSON"),
        ((event("Hel"), json.dumps({"error": {"message": f"overloaded {KEY}"}})), "overloaded \\*\\*\\*"),
    ],
)
async def test_broken_streams_fail(
    server: Server, bench: Bench, events: tuple[str, ...], message: str
) -> None:
    server.answers = [Answer(events=events)]
    with pytest.raises(EngineFailed, match=message):
        await ask(server, bench)
    assert len(server.asked) == 1


async def test_a_silent_server_times_out_and_is_tried_again(server: Server, bench: Bench) -> None:
    server.answers = [Answer(events=("", "", ""), wait=0.6), Answer()]
    outputs = await ask(server, bench, read_timeout=0.2)
    assert isinstance(outputs[-1], Finished) and outputs[-1].details["attempts"] == 2


async def test_no_server_is_named(bench: Bench) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, not listening: connections are refused
        place = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(EngineBusy, match=f"{place}: no connection"):
            await ask(Server(f"http://{place}/v1", []), bench, retries=1)


async def test_cancel_closes_the_connection(server: Server, bench: Bench) -> None:
    server.answers = [Answer(events=(event("on and "),) * 400, wait=0.02)]
    bench = replace(bench, cancelled=threading.Event())
    params = {"prompt": "x", "base_url": server.url}
    seen = 0
    with pytest.raises(Cancelled):
        async for output in OpenAIChat().generate(
            Request(engine="openai_chat", model="m", params=params), bench
        ):
            seen += isinstance(output, Delta)
            bench.cancelled.set()
    assert seen == 1
    assert server.left.wait(10)


async def test_cancel_before_the_first_byte(server: Server, bench: Bench) -> None:
    server.answers = [Answer(delay=1.0)]
    bench = replace(bench, cancelled=threading.Event())
    threading.Timer(0.2, bench.cancelled.set).start()
    request = Request(engine="openai_chat", model="m", params={"prompt": "x", "base_url": server.url})
    with pytest.raises(Cancelled):
        await anext(OpenAIChat().generate(request, bench))


async def test_cancel_while_waiting_for_a_retry(server: Server, bench: Bench) -> None:
    server.answers = [Answer(429, {"Retry-After": "30"})]
    bench = replace(bench, cancelled=threading.Event())
    params = {"prompt": "x", "base_url": server.url}
    with pytest.raises(Cancelled):
        async for _ in OpenAIChat().generate(Request(engine="openai_chat", model="m", params=params), bench):
            bench.cancelled.set()


async def test_a_model_must_be_named(bench: Bench) -> None:
    request = Request(engine="openai_chat", params={"prompt": "x", "base_url": "http://127.0.0.1:9/v1"})
    with pytest.raises(InvalidPlan, match="model"):
        await anext(OpenAIChat().generate(request, bench))


def test_retry_after_holds_seconds_or_a_date() -> None:
    now = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)
    assert retry_after("7") == 7
    assert retry_after("Sun, 01 Mar 2026 12:00:30 GMT", now) == 30
    assert retry_after("Sun, 01 Mar 2026 11:00:00 GMT", now) == 0
    assert retry_after("soon", now) == retry_after("", now) == 0


def test_a_key_in_the_address_is_refused_and_prices_are_estimated() -> None:
    with pytest.raises(ValueError, match="base_url"):
        OpenAIChatParams(prompt="x", base_url="http://user:key@host/v1")
    params = OpenAIChatParams(prompt="x", base_url="http://h/v1", price_out=10.0, max_tokens=1000)
    assert OpenAIChat().estimate(params, 0).cost == pytest.approx(0.01)


def test_tools_count_towards_what_a_call_may_use() -> None:
    tool = {"type": "function", "function": {"name": "f", "description": "x" * 5000}}
    plain = OpenAIChatParams(prompt="x", base_url="http://h/v1")
    armed = plain.model_copy(update={"tools": (tool,)})
    most = [OpenAIChat().estimate(params, 0).units["token"] for params in (plain, armed)]
    assert most[1] > most[0] + 5000
