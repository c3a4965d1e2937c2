"""Circuit breaker: a target that failed several times in a row is left alone for a while."""

from dataclasses import dataclass, field
from time import monotonic

FAILURES = 5  # in a row
PAUSE = 15.0  # seconds, doubled each time up to LONGEST
LONGEST = 240.0


@dataclass
class Breaker:
    """The state of every target, by name and place."""

    _failed: dict[tuple[str, int], int] = field(default_factory=dict[tuple[str, int], int])
    _until: dict[tuple[str, int], float] = field(default_factory=dict[tuple[str, int], float])

    def open(self, target: tuple[str, int]) -> bool:
        """Whether it is to be left alone now."""
        return self._until.get(target, 0.0) > monotonic()

    def answered(self, target: tuple[str, int]) -> None:
        """It has done what was asked."""
        if target in self._failed:
            del self._failed[target]
            self._until.pop(target, None)

    def failed(self, target: tuple[str, int]) -> None:
        """It has not."""
        count = self._failed[target] = self._failed.get(target, 0) + 1
        if count >= FAILURES:
            self._until[target] = monotonic() + min(PAUSE * 2 ** (count - FAILURES), LONGEST)
