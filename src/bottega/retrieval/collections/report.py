"""What a call of `index` says: while it works, and at the end."""

from collections import Counter
from typing import Literal

from pydantic import Field

from bottega.core.value import Value

Outcome = Literal["indexed", "unchanged", "renamed", "relabelled", "copy", "removed", "skipped"]


class Told(Value, frozen=True):
    """What came of one document."""

    name: str
    outcome: Outcome
    passages: int = 0
    reason: str = Field(default="", description="why it was skipped, or what it is a copy of")
    remedy: str = ""
    notes: tuple[str, ...] = ()


class Report(Value, frozen=True):
    """What came of a call: every document that was met, in order."""

    collection: str
    documents: tuple[Told, ...] = ()
    embedded: int = Field(default=0, description="passages that got vectors")
    seconds: float = 0.0

    @property
    def counts(self) -> dict[Outcome, int]:
        """How many documents met each outcome."""
        return dict(Counter(told.outcome for told in self.documents))


class Progress(Value, frozen=True):
    """How far a call has come. ``seconds_left`` is worked out from the bytes that are left; None at the beginning.

    ``waiting``: another process is indexing the collection, and this one waits for its turn.
    """

    stage: Literal["waiting", "documents", "vectors"]
    done: int
    of: int
    passages: int
    seconds_left: float | None = None
    name: str = ""
