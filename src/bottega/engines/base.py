"""The engine seam: one class, one method."""

import threading
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatch
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, Field

from bottega.core.artifact import Artifact, Locality
from bottega.core.errors import BottegaError, Cancelled, EngineFailed, ExtraMissing
from bottega.core.request import Output, Part, Request
from bottega.core.value import Value

Modality = Literal["text", "image", "speech", "music", "video", "3d", "table", "molecule", "data", "document"]
Determinism = Literal["exact", "seeded", "none"]

GENERATED = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
ALGORITHMIC = "http://cv.iptc.org/newscodes/digitalsourcetype/algorithmicMedia"
COMPOSITE = "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"


class Port(Value, frozen=True):
    """A named input or output. ``media_types`` are shell patterns such as ``image/*``."""

    name: str
    media_types: tuple[str, ...]
    required: bool = True
    many: bool = False
    note: str = ""

    def accepts(self, media_type: str) -> bool:
        """Whether a file of this media type may arrive here."""
        return any(fnmatch(media_type, pattern) for pattern in self.media_types)


class Card(Value, frozen=True):
    """What an engine declares about itself; the validator, the CLI and the provenance all read it.

    ``determinism``: ``exact`` (same request, same bytes), ``seeded`` (same request and seed, same bytes on the
    same machine and build), ``none``. ``models`` are the catalog models it needs; an engine that generates with a
    model takes one of them, `Request.model` or the first. ``source_type`` is the IPTC digital source type of what
    it makes.

    ``together`` is how many requests it serves at the same time, where nobody needs them reproducible to the bit (`Bench.together`).

    ``isolation``: ``process`` holds weights in memory or runs native code; it runs in a process of its own, which can
    be ended at any time. ``thread`` is light, stops when asked, and runs beside the others.

    ``reads_names``: what it makes depends on what its inputs are called, so that a result is found again only under the same names.
    """

    id: str
    version: str
    summary: str
    modality: Modality
    inputs: tuple[Port, ...] = ()
    outputs: tuple[Port, ...]
    licence: str
    locality: Locality = "local"
    destination: str = ""
    determinism: Determinism = "exact"
    extra: str = ""
    isolation: Literal["thread", "process"] = "thread"
    together: int = Field(default=1, ge=1)
    reads_names: bool = True
    models: tuple[str, ...] = ()
    source_type: str = ALGORITHMIC
    not_covered: str = ""


class Estimate(Value, frozen=True):
    """Expected wall seconds on two cores, and US dollars.

    ``units`` are ceilings, for budgets: the most that one attempt can use of the unit that the engine's `Usage` counts
    (``token``, ``second``), and of ``usd`` where the expected cost is less than the highest.
    """

    seconds: float
    cost: float = 0.0
    units: dict[str, float] = Field(default_factory=dict)


class Params(BaseModel, frozen=True, extra="forbid"):
    """Parameters of an engine. Every field carries a default or is required, a bound and a description."""


@dataclass(frozen=True)
class Bench:
    """What the pipeline lays out for one request: files, weights, a private folder, the stop signal."""

    scratch: Path
    locate: Callable[[Artifact], Path]
    weights: Callable[[str], Path]
    threads: int = 2
    secret: Callable[[str], str] = field(default=lambda name: "")  # "openai_api_key" to its value, or ""
    cancelled: threading.Event = field(default_factory=threading.Event)
    content: Callable[[Artifact], bytes] | None = None  # reads a small artifact without making a file of it
    params: "Params | None" = None  # those of the request, where they were read already
    together: bool = (
        False  # others may be served in the same batch: another order of sums, so perhaps other last bits
    )

    def check_cancelled(self) -> None:
        """Raise `Cancelled` once somebody asked to stop; engines call this between units of work."""
        if self.cancelled.is_set():
            raise Cancelled("stopped on request")

    def read(self, part: Part) -> bytes:
        """The bytes of a part, whether it came as text or as an artifact."""
        if part.artifact is not None and part.text is None:
            if self.content is not None:
                return self.content(part.artifact)
            return self.locate(part.artifact).read_bytes()
        return (part.text or "").encode()

    def text(self, part: Part) -> str:
        """The text of a part.

        Raises:
            EngineFailed: when the bytes are not UTF-8.
        """
        try:
            return self.read(part).decode("utf-8")
        except UnicodeDecodeError as error:
            raise EngineFailed(f"input '{part.port}' is not UTF-8 text", where=part.name) from error


class LazyBench(Bench):
    """A bench whose folder is made when it is first asked for: most engines need none."""

    make: Callable[[], Path]

    def __init__(self, folder: Callable[[], Path], **laid_out: Any) -> None:
        """Lay out everything but the folder, by the names of `Bench`."""
        self.__dict__.update(laid_out, make=folder)

    @cached_property
    def scratch(self) -> Path:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The folder."""
        return self.make()

    @property
    def touched(self) -> bool:
        """Whether it was asked for."""
        return "scratch" in self.__dict__


def parts_at(request: Request, port: str) -> Sequence[Part]:
    """The request's parts at a port, in order."""
    return [part for part in request.parts if part.port == port]


class Engine(ABC):
    """Turns a request into a stream of outputs.

    One instance serves many requests: of a local engine one after the other, of a remote one several at a time.
    The constructor takes nothing and loads nothing; weights and libraries are loaded on the first request.
    """

    card: ClassVar[Card]
    params: ClassVar[type[Params]]
    writes: ClassVar[bool] = True  # whether it may put files into the bench's scratch folder

    @abstractmethod
    def generate(self, request: Request, bench: Bench) -> AsyncIterator[Output]:
        """Yield outputs until done; the last word on every output port is a `Finished`.

        Raises:
            EngineFailed: the part cannot be made; the message says why and what to do.
            ExtraMissing: an optional package is not installed.
            WeightsMissing: the model is not pulled.
            Cancelled: within one unit of work after ``bench.cancelled`` is set.
        """

    def outputs_for(self, params: Params) -> tuple[Port, ...]:
        """The output ports that a request with these parameters fills."""
        return self.card.outputs

    def estimate(self, params: Params, input_bytes: int) -> Estimate:
        """Expected time and cost on two cores."""
        return Estimate(seconds=1.0)

    def close(self) -> None:
        """Give back weights and memory; the next request loads them again."""
        return


def failure(error: BaseException, engine: str) -> BottegaError:
    """What an engine raised, as an error of ours: anything else is a mistake of the engine's, not of the request."""
    if isinstance(error, BottegaError):
        return error
    return EngineFailed(f"{type(error).__name__}: {error}", where=engine, remedy="this is a bug: report it")


def require(module: str, *, extra: str) -> Any:
    """Import an optional package, or say which extra to install.

    Raises:
        ExtraMissing: with the command that mends it.
    """
    try:
        return import_module(module)
    except ImportError as error:
        raise ExtraMissing(
            f"the package '{module.partition('.')[0]}' is not installed",
            remedy=f"pip install 'bottega[{extra}]'",
        ) from error
