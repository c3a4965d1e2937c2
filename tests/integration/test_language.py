"""The language engine on real weights: SmolLM2-135M through llama.cpp."""

import json
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from bottega.core.artifact import Artifact
from bottega.core.errors import Cancelled, EngineFailed, InvalidPlan
from bottega.core.request import Delta, Finished, Output, Part, Progress, Request, Usage
from bottega.engines.base import Bench
from bottega.engines.language import Language

pytestmark = pytest.mark.weights("smollm2-135m-instruct")
SMALL = "smollm2-135m-instruct"


@pytest.fixture(scope="module")
def engine() -> Iterator[Language]:
    made = Language()
    yield made
    made.close()


def ask(prompt: str, *parts: Part, seed: int = 7, feedback: str = "", **params: Any) -> Request:
    params = {"prompt": prompt, "max_tokens": 24, **params}
    return Request(engine="language", model=SMALL, parts=parts, params=params, seed=seed, feedback=feedback)


async def collect(stream: AsyncIterator[Output]) -> list[Output]:
    return [output async for output in stream]


def answer(outputs: list[Output]) -> str:
    last = outputs[-1]
    assert isinstance(last, Finished) and last.data is not None
    return last.data.decode()


async def test_streams_tokens_then_usage_then_the_text(engine: Language, bench: Bench) -> None:
    outputs = await collect(engine.generate(ask("Name the capital of France."), bench))
    deltas = [output.text for output in outputs if isinstance(output, Delta)]
    assert len(deltas) > 2
    assert "Paris" in answer(outputs)
    assert "".join(deltas).strip() == answer(outputs).strip()
    last = outputs[-1]
    assert isinstance(last, Finished)
    assert last.media_type == "text/markdown"
    assert last.details["finish_reason"] in ("stop", "length")
    usage = next(output for output in outputs if isinstance(output, Usage))
    assert usage.unit == "token"
    assert usage.input_units == last.details["prompt_tokens"] > 10
    assert usage.output_units == last.details["completion_tokens"] > 2
    fractions = [output.fraction for output in outputs if isinstance(output, Progress)]
    assert fractions == sorted(fractions)


async def test_same_request_same_bytes_and_another_seed_differs(engine: Language, bench: Bench) -> None:
    request = ask("Tell a story about a fox.", temperature=1.0)
    first = answer(await collect(engine.generate(request, bench)))
    await collect(engine.generate(ask("Something else in between."), bench))
    assert answer(await collect(engine.generate(request, bench))) == first
    other = request.model_copy(update={"seed": 8})
    assert answer(await collect(engine.generate(other, bench))) != first


async def test_a_schema_is_obeyed_and_written_compactly(engine: Language, bench: Bench) -> None:
    schema = {
        "type": "object",
        "properties": {
            "colour": {"enum": ["red", "blue"]},
            "count": {"type": "integer", "minimum": 1, "maximum": 12},
            "name": {"type": "string", "maxLength": 12},
        },
        "required": ["colour", "count", "name"],
    }
    request = ask("Describe the sky.", json_schema=schema, max_tokens=60)
    outputs = await collect(engine.generate(request, bench))
    data = json.loads(answer(outputs))
    assert data["colour"] in ("red", "blue") and 1 <= data["count"] <= 12 and len(data["name"]) <= 12
    assert not any("\n" in output.text for output in outputs if isinstance(output, Delta))
    assert isinstance(outputs[-1], Finished) and outputs[-1].media_type == "application/json"


async def test_a_grammar_is_obeyed(engine: Language, bench: Bench) -> None:
    request = ask("Is water wet?", grammar='root ::= "yes" | "no"', media_type="text/plain")
    assert answer(await collect(engine.generate(request, bench))).strip() in ("yes", "no")


async def test_a_broken_grammar_names_the_place(engine: Language, bench: Bench) -> None:
    with pytest.raises(InvalidPlan, match="grammar"):
        await collect(engine.generate(ask("x", grammar="root ::= missing"), bench))


async def test_logprobs_come_with_each_token(engine: Language, bench: Bench) -> None:
    outputs = await collect(engine.generate(ask("Say hi.", logprobs=3, max_tokens=4), bench))
    deltas = [output for output in outputs if isinstance(output, Delta)]
    for delta in deltas:
        assert len(delta.logprobs) == 4
        token, probability = delta.logprobs[0]
        assert token in delta.text and probability <= 0
    assert deltas[0].logprobs[0] == deltas[0].logprobs[1]  # greedy: the written token is the likeliest


async def test_stop_texts_end_the_answer(engine: Language, bench: Bench) -> None:
    request = ask("Count from one to ten in digits: 1, 2, 3", stop=("5",), max_tokens=60)
    assert "5" not in answer(await collect(engine.generate(request, bench)))


async def test_the_answer_follows_evidence_and_the_repair_line(
    engine: Language, bench: Bench, store_file: Callable[[str, str], Artifact]
) -> None:
    passage = {"id": "a#1", "source": "a", "sha256": "0" * 64, "page": 1, "start": 0, "end": 30}
    document = json.dumps({"query": "", "passages": [{**passage, "text": "The lamp is called Halo."}]})
    part = Part(port="evidence", artifact=store_file(document, "application/vnd.bottega.passages+json"))
    request = ask("How is the lamp called?", part)
    first = answer(await collect(engine.generate(request, bench)))
    assert "Halo" in first
    repaired = request.model_copy(update={"feedback": "name the colour too, which is green"})
    assert answer(await collect(engine.generate(repaired, bench))) != first


async def test_json_cut_by_max_tokens_says_so(engine: Language, bench: Bench) -> None:
    schema = {"type": "object", "properties": {"story": {"type": "string", "minLength": 300}}}
    with pytest.raises(EngineFailed, match=r"cut at 8 tokens.*max_tokens"):
        await collect(engine.generate(ask("A story.", json_schema=schema, max_tokens=8), bench))


async def test_too_long_a_prompt_names_tokens_and_limit(engine: Language, bench: Bench) -> None:
    long = Part(port="text", name="long", text="word and more " * 4000)
    with pytest.raises(EngineFailed, match=r"\d+ tokens, the limit is 8192"):
        await collect(engine.generate(ask("Summarise.", long), bench))


@pytest.mark.parametrize("kind", [Progress, Delta])
async def test_cancel_stops_while_reading_and_while_writing(
    engine: Language, bench: Bench, kind: type[Output]
) -> None:
    bench = replace(bench, cancelled=threading.Event())
    long = Part(port="text", text="Say hi to Bob. " * 150)
    seen: list[Output] = []
    with pytest.raises(Cancelled):
        async for output in engine.generate(ask("Write on and on.", long, max_tokens=400), bench):
            seen.append(output)
            if isinstance(output, kind):
                bench.cancelled.set()
    said = sum(isinstance(output, Delta) for output in seen)
    (used,) = (output for output in seen if isinstance(output, Usage))
    assert used.output_units == said <= 3 and (used.input_units > 600 or kind is Progress)
    assert not any(isinstance(output, Finished) for output in seen)


async def test_an_abandoned_stream_frees_the_model(engine: Language, bench: Bench) -> None:
    stream = engine.generate(ask("Write on and on.", max_tokens=4000), bench)
    async for output in stream:
        if isinstance(output, Delta):
            break
    await cast(AsyncGenerator[Output], stream).aclose()
    assert "Paris" in answer(await collect(engine.generate(ask("Name the capital of France."), bench)))


async def test_close_frees_and_the_next_request_loads_again(bench: Bench) -> None:
    engine = Language()
    first = answer(await collect(engine.generate(ask("Say hi."), bench)))
    engine.close()
    assert answer(await collect(engine.generate(ask("Say hi."), bench))) == first


async def test_damaged_weights_are_named(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "model.gguf").write_bytes(b"GGUF" + b"\0" * 64)

    def folder(model: str) -> Path:
        return tmp_path

    broken = replace(bench, weights=folder)
    with pytest.raises(EngineFailed, match=r"cannot load model\.gguf"):
        await collect(Language().generate(ask("Say hi."), broken))
