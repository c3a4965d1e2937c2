"""Vectors of texts, by an embedding model, as a step of a plan or one call."""

import asyncio
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from bottega.core.errors import InvalidPlan
from bottega.core.request import Output, Request, Usage
from bottega.engines.base import GENERATED, Bench, Card, Engine, Estimate, Params, parts_at
from bottega.engines.vectors import INPUTS, LONGEST, MOST, OUTPUTS, estimated_tokens, finished

if TYPE_CHECKING:
    from bottega.retrieval.embed import Embedder, Vectors

DIMENSIONS = {"arctic-embed-s": 384, "potion-base-8m": 256, "use-multilingual": 512}
MODELS = (*DIMENSIONS,)  # those that `retrieval.embed` knows; the first is the default
SHORTENED = (
    "potion-base-8m",
)  # whose first dimensions say most (principal components), so that the last can be left out


class EmbedParams(Params, frozen=True):
    """What is embedded, and for which side of a search."""

    texts: tuple[str, ...] = Field(
        default=(), max_length=MOST, description="besides those that come as parts"
    )
    side: Literal["passage", "query"] = Field(
        default="passage", description="models that were trained for search treat a question otherwise"
    )


class Embed(Engine):
    """Texts as float32 vectors of length 1, so that a dot product is the cosine; a text without a word is all zero."""

    card: ClassVar[Card] = Card(
        id="embed",
        version="1",
        summary="Vectors of texts, for search and comparison",
        modality="data",
        inputs=INPUTS,
        outputs=OUTPUTS,
        reads_names=False,
        licence="Apache-2.0",
        extra="retrieve",
        isolation="process",
        models=MODELS,
        source_type=GENERATED,
        not_covered="Beyond a model's window (about 512 tokens) a text is cut by some models.",
    )
    params: ClassVar[type[Params]] = EmbedParams

    def __init__(self) -> None:
        self._loaded: dict[str, Embedder] = {}

    async def generate(self, request: Request, bench: Bench) -> AsyncIterator[Output]:
        """Yield the usage in tokens (estimated from bytes), the vectors, and their shape."""
        params = EmbedParams.model_validate(request.params)
        texts = [*(bench.text(part) for part in parts_at(request, "text")), *params.texts]
        if not texts:
            raise InvalidPlan("there is no text", where="texts", remedy="give at least one")
        if (long := max(map(len, texts))) > LONGEST:
            raise InvalidPlan(f"a text has {long} characters, {LONGEST} are allowed", where="texts")
        bench.check_cancelled()
        vectors = await asyncio.to_thread(
            self._vectors, request.model or MODELS[0], texts, params.side, bench
        )
        yield Usage(
            input_units=estimated_tokens(texts), unit="token"
        )  # models cut by their own rules, and tell no count
        for file in finished(vectors):
            yield file

    def _vectors(self, model: str, texts: list[str], side: str, bench: Bench) -> "Vectors":
        from bottega.retrieval import embed

        if model not in self._loaded:
            self._loaded[model] = embed.load_from(model, bench.weights(model), bench.threads)
        embedder = self._loaded[model]
        if side == "passage":
            return embedder.passages(texts)
        import numpy as np

        return np.stack([embedder.query(text) for text in texts])

    def estimate(self, params: Params, input_bytes: int) -> Estimate:
        """A millisecond for a hundred bytes at most; a token is at least one byte."""
        assert isinstance(params, EmbedParams)
        size = input_bytes + sum(len(text.encode()) for text in params.texts)
        return Estimate(seconds=1 + size / 1e5, units={"token": float(size + MOST)})

    def close(self) -> None:
        """Forget the models."""
        self._loaded.clear()
