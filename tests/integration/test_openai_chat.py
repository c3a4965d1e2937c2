"""The remote chat engine against a real llama.cpp server on loopback."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bottega.core.errors import AnswerUnfit
from bottega.core.request import Delta, Finished, Output, Request, Usage
from bottega.engines.base import Bench, require
from bottega.engines.openai_chat import OpenAIChat

pytestmark = pytest.mark.weights("smollm2-135m-instruct")


@pytest.fixture(scope="module")
def base_url(weights: Callable[[str], Path]) -> Iterator[str]:
    xllamacpp: Any = require("xllamacpp", extra="all")
    settings = xllamacpp.CommonParams()
    settings.model.path = str(weights("smollm2-135m-instruct") / "model.gguf")
    settings.n_ctx = 2048
    settings.n_parallel = 1
    settings.cpuparams.n_threads = 1
    settings.warmup = False
    settings.verbosity = -1
    settings.hostnames = ["127.0.0.1"]
    server = xllamacpp.Server(settings)
    yield f"{server.listening_address}/v1"
    del server


async def ask(base_url: str, bench: Bench, prompt: str, **params: Any) -> list[Output]:
    params = {"prompt": prompt, "base_url": base_url, "max_tokens": 24, **params}
    request = Request(engine="openai_chat", model="any", params=params, seed=1)
    return [output async for output in OpenAIChat().generate(request, bench)]


async def test_streams_text_with_usage(base_url: str, bench: Bench) -> None:
    outputs = await ask(base_url, bench, "Name the capital of France.", logprobs=2)
    deltas = [output for output in outputs if isinstance(output, Delta)]
    assert len(deltas) > 2 and all(delta.logprobs for delta in deltas)
    last = outputs[-1]
    assert isinstance(last, Finished) and b"Paris" in (last.data or b"")
    usage = next(output for output in outputs if isinstance(output, Usage))
    assert usage.input_units > 10 and usage.output_units > 2


async def test_a_schema_is_followed_by_the_server(base_url: str, bench: Bench) -> None:
    schema = {"type": "object", "properties": {"colour": {"enum": ["red", "blue"]}}}
    outputs = await ask(base_url, bench, "The colour of the sky?", json_schema=schema)
    last = outputs[-1]
    assert isinstance(last, Finished)
    assert json.loads(last.data or b"")["colour"] in ("red", "blue")


async def test_a_shape_in_the_dialects_own_words_is_followed(base_url: str, bench: Bench) -> None:
    schema = {"type": "object", "properties": {"city": {"enum": ["Paris", "Rome"]}}, "required": ["city"]}
    shape = {"type": "json_schema", "json_schema": {"name": "place", "schema": schema}}
    last = (await ask(base_url, bench, "Where is it warm?", response_format=shape))[-1]
    assert isinstance(last, Finished) and json.loads(last.data or b"")["city"] in ("Paris", "Rome")


async def test_a_server_that_passes_over_tools_is_found_out(base_url: str, bench: Bench) -> None:
    tool = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}
    with pytest.raises(AnswerUnfit, match="the model calls no tool, and it had to"):
        await ask(
            base_url, bench, "The weather in Rome?", tools=[tool], tool_choice="required", max_tokens=80
        )
