"""The retrieval seam: anything that ranks passages for a query."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from bottega.core.passage import Passage


@dataclass(frozen=True)
class Scored:
    """A passage and how well it answers; scores compare only within one ranking."""

    passage: Passage
    score: float


class Retriever(Protocol):
    """Ranks a fixed set of passages."""

    def rank(self, query: str) -> Sequence[Scored]:
        """Passages with a score above zero, best first; equal scores keep the order of the sources."""
        ...
