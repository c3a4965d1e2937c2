"""Moments are written in one form and compared as text; what is past is waited for no longer."""

from datetime import datetime

from bottega.core.moment import later, seconds_between, written

NEW_YEAR = "2026-01-01T00:00:00.000Z"


def test_moments_of_any_zone_are_written_in_utc() -> None:
    assert written(datetime.fromisoformat("2026-01-01T01:00:00.0004+01:00")) == NEW_YEAR


def test_later_and_earlier_keep_the_order_of_text() -> None:
    assert later(NEW_YEAR, -0.001) == "2025-12-31T23:59:59.999Z" < NEW_YEAR < later(NEW_YEAR, 0.001)


def test_nobody_waits_for_what_is_past() -> None:
    assert seconds_between(NEW_YEAR, later(NEW_YEAR, 1.5)) == 1.5
    assert seconds_between(later(NEW_YEAR, 1.5), NEW_YEAR) == 0
