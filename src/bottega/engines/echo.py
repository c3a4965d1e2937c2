"""The fake engine: gives back what it got. For tests; never a default."""

import asyncio
import os
from collections.abc import AsyncIterator
from typing import ClassVar

from pydantic import Field

from bottega.core.errors import BottegaError, EngineFailed
from bottega.core.request import Delta, Finished, Output, Progress, Request, Usage
from bottega.engines.base import Bench, Card, Engine, Estimate, Params, Port, parts_at


class EchoParams(Params, frozen=True):
    """What to say, and how to misbehave."""

    text: str = Field(default="", description="said after the inputs")
    media_type: str = Field(default="text/plain", description="media type of the output")
    delay: float = Field(default=0.0, ge=0, le=60, description="seconds between words")
    fail: str = Field(default="", description="fail with this message")
    die: int | None = Field(
        default=None,
        ge=-64,
        le=255,
        description="end the process that it runs in: with this exit code, or by this signal when negative",
    )
    ignore_stop: bool = Field(default=False, description="go on after the stop signal")


class Echo(Engine):
    """Concatenates its inputs, its text and the repair line, word by word."""

    card: ClassVar[Card] = Card(
        id="echo",
        version="1",
        summary="Gives back what it got; for tests",
        modality="text",
        inputs=(Port(name="text", media_types=("*/*",), required=False, many=True),),
        outputs=(Port(name="text", media_types=("text/*", "application/json")),),
        reads_names=False,
        licence="Apache-2.0",
    )
    params: ClassVar[type[Params]] = EchoParams

    async def generate(self, request: Request, bench: Bench) -> AsyncIterator[Output]:
        """Yield one `Delta` a word."""
        params = EchoParams.model_validate(request.params)
        if params.die is not None:
            if params.die < 0:
                os.kill(os.getpid(), -params.die)
            os._exit(max(params.die, 0))
        if params.fail:
            raise EngineFailed(params.fail)
        parts = [bench.text(part) for part in parts_at(request, "text")] + [params.text, request.feedback]
        text = "\n".join(piece for piece in parts if piece)
        words = text.split(" ")
        said = 0
        try:
            for index, word in enumerate(words):
                if not params.ignore_stop:
                    bench.check_cancelled()
                if params.delay:
                    await asyncio.sleep(params.delay)
                said += 1
                yield Delta(text=word if index == 0 else f" {word}")
                yield Progress(fraction=(index + 1) / len(words))
        except BottegaError:
            yield Usage(input_units=len(request.parts), output_units=said, unit="word")
            raise
        yield Usage(input_units=len(request.parts), output_units=len(words), unit="word")
        yield Finished(port="text", media_type=params.media_type, data=text.encode())

    def estimate(self, params: Params, input_bytes: int) -> Estimate:
        """The pauses between its words; no more words than bytes."""
        assert isinstance(params, EchoParams)
        most = input_bytes + len(params.text.encode()) + 400  # the longest repair line
        return Estimate(seconds=1 + params.delay * len(params.text.split()), units={"word": float(most)})

    def outputs_for(self, params: Params) -> tuple[Port, ...]:
        """One text port of the asked media type."""
        media_type = params.media_type if isinstance(params, EchoParams) else "text/plain"
        return (Port(name="text", media_types=(media_type,)),)
