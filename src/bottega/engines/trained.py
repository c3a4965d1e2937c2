"""A model of one's own: what `bottega train` made and `bottega publish` put into the catalog."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field

from bottega.core.errors import EngineFailed
from bottega.core.request import Finished, Output, Request
from bottega.engines.base import GENERATED, Bench, Card, Engine, Estimate, Params, Port, require


class TrainedParams(Params, frozen=True):
    """What to make; a model takes what its family has a use for."""

    prompt: str = Field(
        default="", max_length=2000, description="a class, the beginning of a text, or a text to classify"
    )
    steps: int = Field(default=0, ge=0, le=1000, description="of the sampler; 0 takes the model's own")
    guidance: float = Field(default=0.0, ge=0, le=20, description="0 takes the model's own")
    temperature: float = Field(default=1.0, ge=0, le=10, description="of a text; 0 takes the likeliest")
    length: int = Field(default=400, ge=1, le=100_000, description="of a text, in bytes")


class Trained(Engine):
    """Samples one picture, text or label from a run folder of any family."""

    card: ClassVar[Card] = Card(
        id="trained",
        version="1",
        summary="Samples a model that was trained here",
        modality="data",
        outputs=(
            Port(name="made", media_types=("image/png", "image/svg+xml", "text/plain", "application/json")),
        ),
        reads_names=False,
        licence="Apache-2.0",
        determinism="seeded",
        extra="train",
        isolation="process",
        source_type=GENERATED,
        not_covered="near-copies of training examples: see the share of copies on the model's card",
    )
    params: ClassVar[type[Params]] = TrainedParams

    def __init__(self) -> None:
        self._loaded: tuple[Path, Any] | None = None

    async def generate(self, request: Request, bench: Bench) -> AsyncIterator[Output]:
        """Yield the one file."""
        params = TrainedParams.model_validate(request.params)
        if not request.model:
            raise EngineFailed(
                "no model is named", where="trained", remedy="set `model` to one that you published"
            )
        bench.check_cancelled()
        made = await asyncio.to_thread(self._sample, request, params, bench)
        bench.check_cancelled()
        yield Finished(
            port="made", media_type=made.media_type, data=made.data, details={"prompt": params.prompt}
        )

    def estimate(self, params: Params, input_bytes: int) -> Estimate:
        """Loading torch is most of it."""
        return Estimate(seconds=6.0)

    def close(self) -> None:
        """Give the memory back."""
        self._loaded = None

    def _sample(self, request: Request, params: TrainedParams, bench: Bench) -> Any:
        require("torch", extra="train").set_num_threads(bench.threads)
        runs: Any = require("bottega.training.runs", extra="train")
        family: Any = require("bottega.training.family", extra="train")
        folder = bench.weights(request.model)
        if self._loaded is None or self._loaded[0] != folder:
            self._loaded = (folder, runs.open_run(folder))
        (made,) = runs.sample(
            self._loaded[1], family.Wish(count=1, seed=request.seed or 0, **params.model_dump())
        )
        return made
