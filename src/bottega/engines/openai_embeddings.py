"""Vectors of texts by any server that speaks OpenAI's embeddings protocol: vLLM, Ollama, llama.cpp, hosted services."""

import base64
from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field
from pydantic_core import to_json

from bottega.core.errors import BottegaError, EngineFailed, InvalidPlan
from bottega.core.request import Output, Progress, Request, Usage
from bottega.core.value import JsonObject
from bottega.engines.base import Bench, Card, Estimate, Params, parts_at
from bottega.engines.openai_api import UpstreamEngine, UpstreamParams, model_of, params_of, upstream_card
from bottega.engines.vectors import (
    BYTES_PER_TOKEN,
    INPUTS,
    LONGEST,
    MOST,
    OUTPUTS,
    estimated_tokens,
    finished,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vectors = NDArray[np.float32]

FRAME = 64  # tokens that a server may put around a text


class OpenAIEmbeddingsParams(UpstreamParams, frozen=True):
    """What is embedded, where, and what it costs there."""

    texts: tuple[str, ...] = Field(
        default=(), max_length=MOST, description="besides those that come as parts"
    )
    side: Literal["passage", "query"] = Field(
        default="passage", description="which of the two prefixes a text gets"
    )
    passage_prefix: str = Field(default="", max_length=400, description="as the model's makers want it")
    query_prefix: str = Field(default="", max_length=400, description="as the model's makers want it")
    dimensions: int | None = Field(
        default=None, ge=1, le=65_536, description="shorter vectors, by the server"
    )
    encoding: Literal["float", "base64"] = Field(
        default="float", description="how numbers travel: base64 is shorter, and not every server knows it"
    )
    batch: int = Field(default=MOST, ge=1, le=MOST, description="texts that the server takes at once")
    price_in: float = Field(default=0.0, ge=0, description="US dollars per million tokens")

    @property
    def prefix(self) -> str:
        """What stands before every text."""
        return self.query_prefix if self.side == "query" else self.passage_prefix


class OpenAIEmbeddings(UpstreamEngine):
    """Texts as float32 vectors of length 1, as the local engine gives them, so that a dot product is the cosine."""

    card: ClassVar[Card] = upstream_card(
        id="openai_embeddings",
        summary="Vectors of texts with a model behind an OpenAI-compatible server",
        modality="data",
        inputs=INPUTS,
        outputs=OUTPUTS,
        not_covered="What the server keeps, and whether it cuts long texts. A server on this machine counts as remote too.",
    )
    params: ClassVar[type[Params]] = OpenAIEmbeddingsParams

    async def generate(self, request: Request, bench: Bench) -> AsyncIterator[Output]:
        """Yield the usage in tokens with its cost, the vectors, and their shape."""
        params = params_of(OpenAIEmbeddingsParams, request, bench)
        texts = [*(bench.text(part) for part in parts_at(request, "text")), *params.texts]
        if not texts or not all(texts):
            raise InvalidPlan("there is no text, or an empty one", where="texts", remedy="give at least one")
        if (long := max(map(len, texts))) > LONGEST:
            raise InvalidPlan(f"a text has {long} characters, {LONGEST} are allowed", where="texts")
        import numpy as np

        rows: list[Vectors] = []
        tokens = 0
        try:
            for start in range(0, len(texts), params.batch):
                given = texts[start : start + params.batch]
                body = to_json(_body(model_of(request), given, params))
                async for output in self._insist("embeddings", body, params, bench):
                    if isinstance(output, Progress):
                        yield output
                        continue
                    tokens += _counted(output, given)
                    rows.append(_vectors(output, len(given), params))
        except BottegaError as error:
            if tokens:  # what came before is paid for
                error.used = {"usage": _usage(tokens, params).document()}
            raise
        yield _usage(tokens, params)
        for file in finished(np.concatenate(rows), host=params.host):
            yield file

    def estimate(self, params: Params, input_bytes: int) -> Estimate:
        """Ten thousand bytes a second; a token is at least one byte, besides what the server frames a text with."""
        assert isinstance(params, OpenAIEmbeddingsParams)
        prefix = len(params.prefix.encode())
        size = input_bytes + sum(len(text.encode()) + prefix for text in params.texts)
        most = float(size + FRAME * len(params.texts) + (MOST if input_bytes else 0))
        return Estimate(
            seconds=1 + size / 1e4,
            cost=size / BYTES_PER_TOKEN * params.price_in / 1e6,
            units={"token": most, "usd": most * params.price_in / 1e6},
        )


def _body(model: str, texts: Sequence[str], params: OpenAIEmbeddingsParams) -> JsonObject:
    body: JsonObject = {
        "model": model,
        "input": [params.prefix + text for text in texts],
        "encoding_format": params.encoding,
    }
    return body if params.dimensions is None else {**body, "dimensions": params.dimensions}


def _usage(tokens: int, params: OpenAIEmbeddingsParams) -> Usage:
    return Usage(input_units=tokens, unit="token", cost=tokens * params.price_in / 1e6)


def _counted(answer: JsonObject, texts: Sequence[str]) -> int:
    """Tokens that the server counted; where it did not, about as many as the texts have."""
    usage: JsonObject = answer.get("usage") or {}
    counted = usage.get("prompt_tokens") or usage.get("total_tokens")
    return int(counted or estimated_tokens(texts))


def _vectors(answer: JsonObject, count: int, params: OpenAIEmbeddingsParams) -> "Vectors":
    """The vectors in the order of the texts, each of length 1.

    Raises:
        EngineFailed: they are not as many as the texts, no numbers, not of one length, or not of that which was asked for.
    """
    import numpy as np

    data: list[JsonObject] = answer.get("data") or []
    if len(data) != count:
        raise EngineFailed(f"the server gives {len(data)} vectors for {count} texts", where=params.host)
    try:
        data = sorted(data, key=lambda each: each.get("index", 0))
        rows = np.array([_row(each["embedding"]) for each in data], "<f4").reshape(count, -1)
        whole = bool(rows.size) and bool(np.isfinite(rows).all())
    except (KeyError, TypeError, ValueError):
        whole, rows = False, np.empty((count, 0), "<f4")
    if not whole:
        raise EngineFailed("the server's vectors are no numbers, or not of one length", where=params.host)
    if params.dimensions not in (None, rows.shape[1]):
        raise EngineFailed(
            f"the server gives {rows.shape[1]} dimensions, {params.dimensions} were asked for",
            where=params.host,
            remedy="leave 'dimensions' out",
        )
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), np.float32(1e-12))


def _row(embedding: Any) -> Any:
    import numpy as np

    return np.frombuffer(base64.b64decode(embedding), "<f4") if isinstance(embedding, str) else embedding
