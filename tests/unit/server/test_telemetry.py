"""Traces as a collector would see them: by the SDK's exporter in memory, from requests to the application itself."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from bottega.bootstrap import build
from bottega.server.app import App
from bottega.server.config import Config, Named, Target
from bottega.server.desk import Desk
from bottega.server.table import TABLE
from bottega.server.telemetry import Traces
from bottega.settings import Settings

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
SAID = "a secret nobody may see"


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[App, str]]:
    service = build(Settings(state=tmp_path))
    _, secret = service.keys().create("app")
    failing = Named(name="failing", retries=0, targets=(Target(engine="echo", params={"fail": "it broke"}),))
    try:
        yield App(Desk(service, Config(models=(failing,)), TABLE)), secret
    finally:
        service.close()


async def asked(app: App, secret: str, model: str, **more: Any) -> httpx.Response:
    head = {"authorization": f"Bearer {secret}", "traceparent": PARENT}
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://server", headers=head
    ) as client:
        body = {"model": model, "messages": [{"role": "user", "content": SAID}], "temperature": 0.5, **more}
        return await client.post("/v1/chat/completions", json=body)


@pytest.mark.parametrize("stream", [False, True])
async def test_a_call_gives_a_span_under_that_of_its_request(served: tuple[App, str], stream: bool) -> None:
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    app, secret = served
    app.desk.traces = app.desk.attempts.traces = Traces(provider.get_tracer("test"))
    answer = await asked(app, secret, "echo", stream=stream)
    assert answer.status_code == 200
    inner, outer = exporter.get_finished_spans()
    assert (inner.name, outer.name) == ("chat echo", "POST /v1/chat/completions")
    assert inner.parent is not None and outer.parent is not None and outer.context is not None
    assert inner.parent.span_id == outer.context.span_id
    assert f"{outer.parent.trace_id:032x}" == PARENT.split("-")[1]
    about, http = dict(inner.attributes or {}), dict(outer.attributes or {})
    assert about["gen_ai.operation.name"] == "chat" and about["gen_ai.request.model"] == "echo"
    assert about["gen_ai.response.id"] == answer.headers["x-bottega-run-id"]
    assert http["http.response.status_code"] == 200 and http["http.route"] == "/v1/chat/completions"
    assert SAID not in inner.to_json() + outer.to_json()


async def test_a_failure_is_named_and_nothing_is_traced_unless_asked_for(served: tuple[App, str]) -> None:
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    app, secret = served
    assert (await asked(app, secret, "echo")).status_code == 200 and not exporter.get_finished_spans()
    app.desk.traces = app.desk.attempts.traces = Traces(provider.get_tracer("test"))
    assert (await asked(app, secret, "failing")).status_code == 502
    inner, outer = exporter.get_finished_spans()
    assert dict(inner.attributes or {})["error.type"] == "EngineFailed" and not inner.status.is_ok
    assert dict(outer.attributes or {})["http.response.status_code"] == 502 and not outer.status.is_ok
