import pytest

from bottega.server import breaker
from bottega.server.breaker import FAILURES, PAUSE, Breaker


def test_it_opens_after_failures_in_a_row_and_closes_by_time(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(breaker, "monotonic", lambda: now)
    found = Breaker()
    for _ in range(FAILURES - 1):
        found.failed(("a", 0))
    assert not found.open(("a", 0))
    found.answered(("a", 0))
    for _ in range(FAILURES):
        assert not found.open(("a", 0))
        found.failed(("a", 0))
    assert found.open(("a", 0)) and not found.open(("a", 1))
    now += PAUSE
    assert not found.open(("a", 0))  # one may try again
    found.failed(("a", 0))
    now += PAUSE
    assert found.open(("a", 0))  # and the pause is longer
    found.answered(("a", 0))
    assert not found.open(("a", 0))
