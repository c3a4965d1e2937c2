"""An engine for tests of engine processes: it blocks, hoards, prints, fails and dies on demand."""

import ctypes
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from typing import ClassVar, Literal

from pydantic import Field

from bottega.core.errors import EngineBusy, WeightsMissing
from bottega.core.request import AudioChunk, Delta, Finished, Output, Preview, Progress, Request, Usage
from bottega.engines.base import Bench, Card, Engine, Params, Port

Act = Literal[
    "pid",
    "everything",
    "bench",
    "busy",
    "bug",
    "own_error",
    "leave",
    "print",
    "hold",
    "hoard",
    "program",
    "await_stop",
]


class UnrulyParams(Params, frozen=True):
    act: Act = Field(default="pid", description="what to do")


class Unruly(Engine):
    card: ClassVar[Card] = Card(
        id="unruly",
        version="1",
        summary="Misbehaves",
        modality="text",
        outputs=(Port(name="text", media_types=("text/plain",)),),
        licence="Apache-2.0",
        isolation="process",
    )
    params: ClassVar[type[Params]] = UnrulyParams

    async def generate(self, request: Request, bench: Bench) -> AsyncIterator[Output]:
        act = UnrulyParams.model_validate(request.params).act
        yield Delta(text="begun")
        yield Usage(output_units=3, unit="word")
        said = f"{os.getpid()}"
        match act:
            case "everything":
                yield Delta(text="é\n", logprobs=(("é", -0.25),))
                yield Progress(fraction=0.5, note="half")
                yield Preview(data=b"\x89PNG\x00\xff", media_type="image/png")
                yield AudioChunk(pcm=bytes(range(256)) * 2000, sample_rate=24000)
                (bench.scratch / "made.txt").write_text("made")
                yield Finished(
                    port="empty", media_type="text/plain", data=b"", details={"rows": [1, 2.5, None]}
                )
                yield Finished(port="file", media_type="text/plain", path=bench.scratch / "made.txt")
            case "bench":
                artifact = request.parts[0].artifact
                assert artifact is not None
                said = f"{bench.text(request.parts[0])}|{bench.weights(request.model)}|{bench.threads}|{bench.secret('key')}"
            case "busy":
                raise EngineBusy("later", remedy="wait", where="host", retry_after=2.5)
            case "bug":
                raise ZeroDivisionError("no")
            case "own_error":

                class OwnError(WeightsMissing):
                    """A class of error that only the plug-in knows."""

                    def __init__(self, model: str) -> None:
                        super().__init__(f"no {model}", remedy="fetch it", where="unruly")
                        self.model = model

                raise OwnError("model")
            case "leave":
                sys.exit(3)
            case "print":
                os.write(1, b"on standard output\n" * 10_000)
                os.write(2, b"early\n" * 10_000 + "last words: é\n".encode())
                os._exit(4)
            case "hold":
                ctypes.PyDLL(None).sleep(600)  # keeps the interpreter's lock: no other thread runs
            case "hoard":
                hoard = b"x" * (200 << 20)
                time.sleep(600 + len(hoard) % 1)  # noqa: ASYNC251 (to block is the point)
            case "program":
                called = subprocess.Popen(["sleep", "600"])  # noqa: ASYNC220 (as above)
                yield Delta(text=str(called.pid))
                called.wait()
            case "await_stop":
                bench.cancelled.wait()
                bench.check_cancelled()
            case "pid":
                pass
        yield Finished(port="text", media_type="text/plain", data=said.encode())
