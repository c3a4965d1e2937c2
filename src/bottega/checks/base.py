"""The check seam: a callable that judges one artifact."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from pydantic import BaseModel

from bottega.core.artifact import Artifact
from bottega.core.passage import Passage
from bottega.core.request import Finished, Request
from bottega.core.value import JsonObject
from bottega.core.verdict import Verdict


class Options(BaseModel, frozen=True, extra="forbid"):
    """Options of a check, set by policy or in the plan. Every field has a default."""


@dataclass(frozen=True)
class InputFile:
    """An input that the judged step had."""

    port: str
    name: str
    artifact: Artifact
    path: Path


@dataclass(frozen=True)
class Subject:
    """What is judged, with all that a check may look at.

    ``details`` is what the engine said about the file; ``passages`` are all passages of the brief's sources;
    ``computed`` are texts whose numbers were computed by tools (table results); ``language`` is the language
    asked for, empty when none was; ``ask`` runs another engine (recognition, OCR) and returns its files.
    """

    artifact: Artifact
    path: Path
    port: str
    params: JsonObject = field(default_factory=JsonObject)
    details: JsonObject = field(default_factory=JsonObject)
    inputs: Sequence[InputFile] = ()
    passages: Sequence[Passage] = ()
    computed: Sequence[str] = ()
    goal: str = ""
    language: str = ""
    siblings: Mapping[str, Path] = field(
        default_factory=dict[str, Path]
    )  # the step's other outputs, port to file
    ask: Callable[[Request], Awaitable[Sequence[Finished]]] | None = None

    def read(self) -> bytes:
        """The artifact's bytes."""
        return self.path.read_bytes()

    def text(self) -> str:
        """The artifact as text; a decoding error counts as the check raising, which blocks."""
        return self.path.read_text(encoding="utf-8")


class Check(Protocol):
    """One check: a class with these three facts and one method."""

    id: str
    media_types: tuple[str, ...]
    options: type[Options]

    async def judge(self, subject: Subject, options: Options) -> Verdict:
        """Judge. Raising counts as ``block``: a check that cannot decide blocks."""
        ...
