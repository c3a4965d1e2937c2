"""Engines that keep a list of their own of what they began and made, so that the journal is not its only witness."""

import asyncio
import os
import time
from collections.abc import AsyncIterator
from typing import ClassVar

from pydantic import Field

from bottega.core.request import Finished, Output, Request, Usage
from bottega.engines.base import Bench, Card, Engine, Estimate, Params, Port, parts_at


class SlipParams(Params, frozen=True):
    text: str = Field(min_length=1, description="said after the inputs; its first word names the step")
    seconds: float = Field(default=0.0, ge=0, description="time that it takes")
    kilobytes: int = Field(default=0, ge=0, description="size of the output; 0 is that of the text")
    slips: str = Field(default="", description="file to which each beginning and end is added as one line")


class Slip(Engine):
    card: ClassVar[Card] = Card(
        id="slip",
        version="1",
        summary="Gives back what it got, and keeps count; for the chaos benchmark",
        modality="text",
        inputs=(Port(name="text", media_types=("*/*",), required=False, many=True),),
        outputs=(Port(name="text", media_types=("text/plain",)),),
        licence="Apache-2.0",
    )
    params: ClassVar[type[Params]] = SlipParams

    async def generate(self, request: Request, bench: Bench) -> AsyncIterator[Output]:
        """Yield the text, repeated to its size."""
        params = SlipParams.model_validate(request.params)
        name = params.text.split()[0]
        add(params.slips, "began", name)
        text = "\n".join([*(bench.text(part)[:1000] for part in parts_at(request, "text")), params.text])
        data = text.encode()
        if params.kilobytes:
            data = (data * (params.kilobytes * 1024 // len(data) + 1))[: params.kilobytes * 1024]
        end = time.monotonic() + params.seconds
        while (left := end - time.monotonic()) > 0:
            bench.check_cancelled()
            await asyncio.sleep(min(left, 0.05))
        add(params.slips, "made", name)
        yield Usage(output_units=len(params.text.split()), unit="word")
        yield Finished(port="text", media_type="text/plain", data=data)

    def estimate(self, params: Params, input_bytes: int) -> Estimate:
        """At most ten words, and the time that was asked for."""
        seconds = params.seconds if isinstance(params, SlipParams) else 0.0
        return Estimate(seconds=seconds + 0.1, units={"word": 10.0})


class SlipApart(Slip):
    card: ClassVar[Card] = Slip.card.model_copy(update={"id": "slip_apart", "isolation": "process"})


def add(slips: str, what: str, name: str) -> None:
    """One line, whole or not at all, whoever else writes."""
    if slips:
        handle = os.open(slips, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        os.write(handle, f"{time.time():.3f} {what} {name}\n".encode())
        os.close(handle)
