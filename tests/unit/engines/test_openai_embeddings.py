"""Vectors of a remote model, against a real server on loopback."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from tests.upstream import Upstream, letters

from bottega.core.errors import EngineBusy, EngineFailed, InvalidPlan
from bottega.core.request import Finished, Output, Request, Usage
from bottega.engines.base import Bench
from bottega.engines.openai_embeddings import OpenAIEmbeddings, OpenAIEmbeddingsParams

TEXTS = ["a kettle", "tea", "zebra"]


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    made = Upstream()
    yield made
    made.close()


async def embed(upstream: Upstream, bench: Bench, model: str = "m", **params: Any) -> list[Output]:
    given = {"texts": TEXTS, "base_url": upstream.url, "backoff": 0.01, **params}
    request = Request(engine="openai_embeddings", model=model, params=given)
    return [output async for output in OpenAIEmbeddings().generate(request, bench)]


def rows(outputs: list[Output]) -> Any:
    made = next(each for each in outputs if isinstance(each, Finished))
    return np.frombuffer(made.data or b"", "<f4").reshape(made.details["rows"], -1)


def unit(texts: list[str], size: int = 26) -> Any:
    counted = np.array([letters(text, size) for text in texts], "<f4")
    return counted / np.linalg.norm(counted, axis=1, keepdims=True)


@pytest.mark.parametrize("encoding", ["float", "base64"])
async def test_vectors_come_in_order_of_length_one_and_are_paid_for(
    upstream: Upstream, bench: Bench, encoding: str
) -> None:
    outputs = await embed(upstream, bench, encoding=encoding, price_in=2.0)
    np.testing.assert_allclose(rows(outputs), unit(TEXTS), atol=1e-6)
    usage = next(each for each in outputs if isinstance(each, Usage))
    read = sum(map(len, TEXTS))
    assert (usage.input_units, usage.unit) == (read, "token") and usage.cost == pytest.approx(read * 2e-6)
    assert upstream.asked[0]["encoding_format"] == encoding and "dimensions" not in upstream.asked[0]


async def test_batches_prefixes_and_dimensions_are_as_asked(upstream: Upstream, bench: Bench) -> None:
    more: dict[str, Any] = {"passage_prefix": "passage: ", "query_prefix": "query: "}
    found = rows(await embed(upstream, bench, batch=2, dimensions=8, **more))
    assert [each["input"] for each in upstream.asked] == [
        ["passage: a kettle", "passage: tea"], ["passage: zebra"],
    ]  # fmt: skip
    np.testing.assert_allclose(found, unit([f"passage: {text}" for text in TEXTS], 8), atol=1e-6)
    await embed(upstream, bench, side="query", **more)
    assert upstream.asked[-1]["input"][1] == "query: tea"


async def test_what_may_pass_is_tried_again_and_what_came_before_a_failure_is_paid(
    upstream: Upstream, bench: Bench
) -> None:
    upstream.script["m"] = [{"status": 503}, {}, {"status": 503}]
    with pytest.raises(EngineBusy) as failure:
        await embed(upstream, bench, batch=2, retries=1)
    assert len(upstream.asked) == 4
    assert failure.value.used["usage"]["input_units"] == len("a kettle") + len("tea")


UNUSABLE: list[tuple[dict[str, Any], str]] = [
    ({"data": []}, "gives 0 vectors for 3 texts"),
    ({"data": [{"embedding": [1.0]}, {"embedding": [1.0]}, {"embedding": [1.0, 2.0]}]}, "of one length"),
    ({"data": [{"embedding": []}] * 3}, "of one length"),
    ({"data": [{"embedding": ["a"]}] * 3}, "no numbers"),
    ({"data": [{"vector": [1.0]}] * 3}, "no numbers"),
    ({"data": [{"embedding": [1.0]}] * 3}, "gives 1 dimensions, 8 were asked for"),
]


@pytest.mark.parametrize(("answer", "told"), UNUSABLE)
async def test_an_answer_that_cannot_be_used_is_named(
    upstream: Upstream, bench: Bench, answer: Any, told: str
) -> None:
    upstream.script["m"] = [{"data": answer}]
    with pytest.raises(EngineFailed, match=told):
        await embed(upstream, bench, dimensions=8)


async def test_nothing_to_embed_is_refused_before_it_is_sent(upstream: Upstream, bench: Bench) -> None:
    for texts in ([], ["a", ""]):
        with pytest.raises(InvalidPlan, match="no text"):
            await embed(upstream, bench, texts=texts)
    assert upstream.asked == []


def test_the_estimate_is_a_ceiling_in_tokens_and_dollars() -> None:
    params = OpenAIEmbeddingsParams(texts=("é" * 100,), base_url="http://h/v1", price_in=1.0)
    most = OpenAIEmbeddings().estimate(params, 0).units
    assert most["token"] >= 200 and most["usd"] == pytest.approx(most["token"] / 1e6)
