"""What a key may still use, told in headers as OpenAI's clients read them."""

from collections.abc import Sequence
from math import ceil
from time import monotonic

from bottega.core.moment import seconds_between
from bottega.server.access import FRESH, Access
from bottega.server.message import Header
from bottega.service.keys import ApiKey
from bottega.storage.accounts import MILLION, Row
from bottega.storage.state import State

MOST = 10_000  # sets of accounts that are remembered


class Limits:
    """Requests a minute, and the limits by hour and minute of the accounts that pay for a key.

    Whether accounts have such limits is looked up at most once a second; who has none costs nothing more.
    """

    def __init__(self, access: Access, state: State) -> None:
        self._access = access
        self._state = state
        self._without: dict[tuple[str, ...], float] = {}  # accounts that have none, and when that was seen

    def headers(self, key: ApiKey) -> list[Header]:
        """``x-ratelimit-limit-tokens`` and its like: of each unit the account that has the least left."""
        told: list[Header] = []
        if self._access.per_minute:
            left, full = self._access.left(key)
            told += _told("requests", self._access.per_minute, int(left), full)
        least: dict[str, Row] = {}
        for row in self._rows(key.charge):
            if row.unit not in least or row.left < least[row.unit].left:
                least[row.unit] = row
        now = self._state.journal.now() if least else ""
        for unit, row in least.items():
            most, left = (max(0, amount) // MILLION for amount in (row.limit or 0, row.left))
            told += _told(f"{unit}s", most, left, seconds_between(now, row.renewed(now)))
        return told

    def _rows(self, accounts: tuple[str, ...]) -> Sequence[Row]:
        if not accounts or monotonic() - self._without.get(accounts, -FRESH) < FRESH:
            return ()
        found = self._state.budgets.rates(accounts)
        if not found:
            if len(self._without) >= MOST:
                self._without.clear()
            self._without[accounts] = monotonic()
        return found


def _told(what: str, most: int, left: int, seconds: float) -> list[Header]:
    minutes, rest = divmod(ceil(seconds), 60)
    until = f"{minutes}m{rest}s" if minutes else f"{rest}s"
    values = {"limit": most, "remaining": left, "reset": until}
    return [(f"x-ratelimit-{name}-{what}".encode(), f"{value}".encode()) for name, value in values.items()]
