"""One call to one engine, and what it yields."""

from pathlib import Path
from typing import Literal

from pydantic import Field

from bottega.core.artifact import Artifact
from bottega.core.value import JsonObject, Value


class Part(Value, frozen=True):
    """One input at a named port: text (with the artifact that it would be, if somebody knows), or a stored artifact."""

    port: str
    name: str = Field(default="", description="what people call it: a file name or a step")
    text: str | None = None
    artifact: Artifact | None = None


class Request(Value, frozen=True):
    """What an engine is asked to do. Identical requests with a seed give identical bytes on deterministic engines."""

    engine: str
    model: str = ""
    parts: tuple[Part, ...] = ()
    params: JsonObject = Field(default_factory=dict)
    seed: int | None = None
    feedback: str = Field(default="", description="one compact line from a blocking verdict, on a repair")


class Delta(Value, frozen=True):
    """More text, as it is written; ``logprobs`` pairs tokens with natural-log probabilities."""

    text: str
    logprobs: tuple[tuple[str, float], ...] = ()
    kind: Literal["delta"] = "delta"


class AudioChunk(Value, frozen=True):
    """More sound: 16-bit little-endian mono PCM at ``sample_rate`` Hz."""

    pcm: bytes
    sample_rate: int
    kind: Literal["audio"] = "audio"


class Preview(Value, frozen=True):
    """A picture to look at while work goes on."""

    data: bytes
    media_type: str
    kind: Literal["preview"] = "preview"


class Progress(Value, frozen=True):
    """How far a long piece of work has come, 0 to 1."""

    fraction: float = Field(ge=0, le=1)
    note: str = ""
    kind: Literal["progress"] = "progress"


class Usage(Value, frozen=True):
    """What was consumed, in the unit of the modality. ``cost`` is in US dollars."""

    input_units: float = 0.0
    output_units: float = 0.0
    unit: str = ""
    cost: float = 0.0
    kind: Literal["usage"] = "usage"


class Finished(Value, frozen=True):
    """A finished file for output ``port``: either ``data`` or a ``path`` inside the bench's scratch folder.

    ``details`` are facts the engine knows about the file (sizes, timings, the query it ran), as JSON types.
    """

    port: str
    media_type: str
    data: bytes | None = None
    path: Path | None = None
    details: JsonObject = Field(default_factory=dict)
    kind: Literal["finished"] = "finished"


Output = Delta | AudioChunk | Preview | Progress | Usage | Finished
