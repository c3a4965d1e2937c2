"""Many rows in few statements."""

from collections.abc import Sequence
from functools import lru_cache

from bottega.storage.change import Transaction

VALUES = 900  # in one statement


def insert(transaction: Transaction, into: str, rows: Sequence[Sequence[object]], then: str = "") -> None:
    """Rows in one statement, or a few. ``into`` is the table with its columns, ``then`` what ends the statement."""
    if not rows:
        return
    width = len(rows[0])
    most = VALUES // width
    for start in range(0, len(rows), most):
        some = rows[start : start + most]
        values = some[0] if len(some) == 1 else [value for row in some for value in row]
        transaction.execute(_statement(into, width, len(some), then), values)


@lru_cache(1024)
def _statement(into: str, width: int, count: int, then: str) -> str:
    marks = f"({', '.join('?' * width)})"
    return f"INSERT INTO {into} VALUES {', '.join([marks] * count)} {then}"
