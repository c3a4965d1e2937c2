"""The tables of accounts, as the journal's budget entries fold into them."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Literal, NamedTuple

from bottega.core.entry import Act
from bottega.core.moment import written
from bottega.storage.database import Transaction
from bottega.storage.journal import Line
from bottega.storage.rows import insert

MILLION = 1_000_000
NEAR = 800_000  # millionths of a limit after which a person is asked

Period = Literal["total", "month", "day", "hour", "minute"]
SINCE: Mapping[str, int] = {
    "total": 0,
    "month": 7,
    "day": 10,
    "hour": 13,
    "minute": 16,
}  # leading characters of a time that name its period
RATES: Mapping[str, timedelta] = {"hour": timedelta(hours=1), "minute": timedelta(minutes=1)}
"""Periods so short that one waits for the next and asks nobody."""


class Row(NamedTuple):
    """An account's state in one unit, in millionths of it. ``limit`` is None where it only counts."""

    account: str
    unit: str
    limit: int | None
    spent: int
    reserved: int
    near: int
    period: Period
    since: str

    @property
    def left(self) -> int:
        """What may still be reserved; of no meaning without a limit."""
        return (self.limit or 0) - self.spent - self.reserved

    @property
    def is_near(self) -> bool:
        """Whether what was spent has come near the limit, and a person is to be asked."""
        if self.limit is None or self.period in RATES:
            return False
        return self.spent * MILLION >= self.limit * self.near

    def renewed(self, moment: str) -> str:
        """When the period after a moment begins (RFC 3339); "" where nobody waits for that."""
        if self.period not in RATES:
            return ""
        begun = datetime.fromisoformat(f"{moment[: SINCE[self.period]]}{':00' * (self.period == 'hour')}:00Z")
        return written(begun + RATES[self.period])

    def at(self, moment: str) -> "Row":
        """The row at a moment (RFC 3339): what was spent in an earlier period no longer counts."""
        since = moment[: SINCE[self.period]]
        return self._replace(spent=0, since=since) if since > self.since else self


ROW = "SELECT id, unit, amount, spent, reserved, near, period, since FROM accounts"


def _set(transaction: Transaction, line: Line) -> None:
    account, detail = _account(line), line.detail
    row = _rows(transaction, account).get(detail["unit"], _new(account, detail["unit"])).at(line.at)
    period: Period = detail["period"]
    if period != row.period:  # it begins to count anew
        row = row._replace(period=period, since=line.at[: SINCE[period]], spent=0)
    _write(transaction, row._replace(limit=detail["limit"], near=detail["near"]))
    answered(transaction, "account = ? AND unit = ?", account, detail["unit"])


def _reserved(transaction: Transaction, line: Line) -> None:
    account, detail = _account(line), line.detail
    more = account, int(detail.get("billed", False)), detail["for"], detail.get("approval", "")
    held = [(detail["token"], unit, amount, *more) for unit, amount in sorted(line.cost.items())]
    insert(transaction, "reservations (token, unit, amount, account, billed, subject, approval)", held)
    rows = _rows(transaction, account)
    for unit, amount in sorted(line.cost.items()):
        row = rows.get(unit, _new(account, unit)).at(line.at)
        _write(transaction, row._replace(reserved=row.reserved + amount))


def _settled(transaction: Transaction, line: Line) -> None:
    account, token = _account(line), line.detail["token"]
    held = transaction.execute(
        "SELECT unit, amount FROM reservations WHERE token = ? AND account = ?", (token, account)
    ).fetchall()
    transaction.execute("DELETE FROM reservations WHERE token = ? AND account = ?", (token, account))
    freed = {unit: amount for unit, amount in held}
    rows = _rows(transaction, account)
    for unit in sorted({*freed, *line.cost}):
        row = rows.get(unit, _new(account, unit)).at(line.at)
        spent, reserved = row.spent + line.cost.get(unit, 0), row.reserved - freed.get(unit, 0)
        _write(transaction, row._replace(spent=spent, reserved=reserved))
    if line.cost and line.detail.get("approval"):
        run, step = _step(line)
        transaction.execute(
            "UPDATE waits SET allowed = allowed + 1 WHERE run_id = ? AND step_id = ?", (run, step)
        )


def _refused(transaction: Transaction, line: Line) -> None:
    run, step = _step(line)
    for unit in line.detail["left"]:
        transaction.execute(
            "INSERT INTO waits (run_id, step_id, account, unit, round, question, answered, allowed) "
            "VALUES (?, ?, ?, ?, ?, ?, 0, 0) ON CONFLICT (run_id, step_id, account, unit) DO UPDATE SET "
            "round = excluded.round, question = excluded.question, answered = 0",
            (run, step, _account(line), unit, line.detail["round"], line.detail["question"]),
        )


def answered(transaction: Transaction, what: str, *values: str) -> None:
    """What some steps wait for has changed: their runs may go on."""
    transaction.execute(f"UPDATE waits SET answered = 1 WHERE {what}", values)
    transaction.execute(
        "UPDATE runs SET state = 'planned' WHERE state = 'awaiting_review' AND EXISTS "
        f"(SELECT 1 FROM waits w WHERE w.run_id = runs.id AND w.round = runs.round AND {what})",
        values,
    )


def go_on(transaction: Transaction, run: str) -> None:
    """A run that just came to wait need not, when what it waits for has changed meanwhile."""
    transaction.execute(
        "UPDATE runs SET state = 'planned' WHERE id = ? AND charge <> '[]' AND EXISTS "
        "(SELECT 1 FROM waits w WHERE w.run_id = runs.id AND w.round = runs.round AND w.answered = 1)",
        (run,),
    )


def _account(line: Line) -> str:
    return line.subject.removeprefix("account/")


def _step(line: Line) -> tuple[str, str]:
    _, run, _, step = line.detail["for"].split("/")
    return run, step


def _rows(transaction: Transaction, account: str) -> Mapping[str, Row]:
    """What an account has, by unit."""
    found = transaction.execute(f"{ROW} WHERE id = ?", (account,)).fetchall()
    return {row[1]: Row(*row) for row in found}


def _new(account: str, unit: str) -> Row:
    return Row(account, unit, None, 0, 0, NEAR, "total", "")


def _write(transaction: Transaction, row: Row) -> None:
    transaction.execute(
        "INSERT INTO accounts (id, unit, amount, spent, reserved, near, period, since) VALUES (?, ?, ?, ?, ?, ?, ?, ?) "
        "ON CONFLICT (id, unit) DO UPDATE SET amount = excluded.amount, spent = excluded.spent, "
        "reserved = excluded.reserved, near = excluded.near, period = excluded.period, since = excluded.since",
        row,
    )


RULES = {
    Act.ACCOUNT_SET: _set,
    Act.BUDGET_RESERVED: _reserved,
    Act.BUDGET_SETTLED: _settled,
    Act.BUDGET_REFUSED: _refused,
}
