"""Real engines make the same bytes in a process of their own as in this one, and stop in the middle of native code."""

import asyncio
import threading
from collections.abc import Iterator
from dataclasses import replace

import pytest

from bottega.core.errors import Cancelled
from bottega.core.request import Delta, Output, Part, Request
from bottega.engines.base import Bench, Engine
from bottega.engines.process import EngineProcess
from bottega.plugins import load

pytestmark = [
    pytest.mark.weights(name)
    for name in ("inter-fonts", "display-fonts", "lucide-icons", "smollm2-135m-instruct")
]
SMALL = "smollm2-135m-instruct"
REQUESTS = (
    Request(
        engine="document",
        parts=(Part(port="text", name="t.md", text="# Halo\n\nA lamp that *warms*.\n"),),
        params={"template": "page"},
        seed=7,
    ),
    Request(engine="layout", params={"title": "Warm light", "width": 640, "height": 360}, seed=7),
    Request(engine="icons", params={"words": ["water", "energy"], "source": "designed"}, seed=7),
    Request(
        engine="table", parts=(Part(port="tables", name="prices.csv", text="model,price\nA,10.50\nB,2\n"),)
    ),
    Request(engine="language", model=SMALL, params={"prompt": "Name a lamp.", "max_tokens": 8}, seed=7),
)


@pytest.fixture
def process(request: pytest.FixtureRequest) -> Iterator[EngineProcess]:
    made = EngineProcess(request.param)
    yield made
    made.close()


async def run(engine: Engine | EngineProcess, request: Request, bench: Bench) -> list[Output]:
    return [output async for output in engine.generate(request, bench)]


@pytest.mark.parametrize(
    ("process", "request_"),
    [(one.engine, one) for one in REQUESTS],
    indirect=["process"],
    ids=lambda one: str(one)[:20],
)
async def test_the_same_outputs_in_and_out_of_process(
    process: EngineProcess, request_: Request, bench: Bench
) -> None:
    here: Engine = load("bottega.engines", request_.engine)()
    try:
        expected = await run(here, request_, bench)
    finally:
        here.close()
    assert await run(process, request_, bench) == expected
    assert await run(process, request_, bench) == expected  # warm


@pytest.mark.parametrize("process", ["language"], indirect=True)
async def test_the_model_stops_in_mid_sentence_and_is_warm_for_the_next(
    process: EngineProcess, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bottega.engines.process.GRACE", 60.0)  # a busy machine is no reason to be killed
    params = {"prompt": "Count to a thousand in words.", "max_tokens": 2000}
    outputs = process.generate(Request(engine="language", model=SMALL, params=params, seed=7), bench)
    async for output in outputs:
        if isinstance(output, Delta):
            break
    (pid,) = process.pids
    bench.cancelled.set()
    with pytest.raises(Cancelled) as stopped:
        await anext(outputs)
    assert process.pids == [pid]
    assert stopped.value.used["outputs"]["delta"] < 2000
    assert stopped.value.used["peak_bytes"] > 50 << 20  # the weights
    again = replace(bench, cancelled=threading.Event())
    await run(process, REQUESTS[-1], again)
    assert process.pids == [pid]


@pytest.mark.parametrize("process", ["table"], indirect=True)
async def test_a_long_query_ends(process: EngineProcess, bench: Bench) -> None:
    part = Part(port="tables", name="t.csv", text="a\n" + "\n".join(map(str, range(3000))))
    sql = "SELECT sum(x.a * y.a * z.a % 7) AS n FROM t1 x, t1 y, t1 z"  # minutes
    work = asyncio.create_task(
        run(process, Request(engine="table", parts=(part,), params={"sql": sql, "max_seconds": 600}), bench)
    )
    await asyncio.sleep(1)
    bench.cancelled.set()
    async with asyncio.timeout(60):
        with pytest.raises(Cancelled):
            await work
