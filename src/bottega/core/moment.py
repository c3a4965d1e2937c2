"""Moments as the record writes them: RFC 3339, in UTC, to the millisecond."""

from datetime import UTC, datetime, timedelta


def written(moment: datetime) -> str:
    """A moment that knows its time zone, as the record writes it."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def later(moment: str, seconds: float) -> str:
    """The moment so many seconds later, or earlier where they are negative."""
    return written(datetime.fromisoformat(moment) + timedelta(seconds=seconds))


def seconds_between(moment: str, until: str) -> float:
    """Seconds from one moment until another; 0 when that is past."""
    return max((datetime.fromisoformat(until) - datetime.fromisoformat(moment)).total_seconds(), 0.0)
