"""Budgets: accounts that pay, what is reserved for steps that run, what was spent.

Amounts are integers in millionths of a unit. Every change is an entry about the account whose ``cost`` holds the
amounts, so ``bottega audit log account/project:kettles`` tells the whole story of an account. These entries are never
sealed: they hold no content, and an account must add up after the content of a run was erased.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, NamedTuple

from bottega.core.canonical import digest
from bottega.core.entry import Act
from bottega.core.errors import BudgetExceeded, InvalidValue, RateLimited
from bottega.core.moment import seconds_between
from bottega.core.value import JsonObject
from bottega.storage.accounts import MILLION, NEAR, RATES, ROW, Period, Row
from bottega.storage.database import Transaction
from bottega.storage.journal import Journal

ACCOUNT = re.compile(r"(key|team|project):[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
MEASURED = "compute_second"  # measured on this machine; what nobody measured is not somebody's bill


@dataclass(frozen=True)
class Charge:
    """The most that a step may use, and the accounts that pay it, each in full.

    ``billed`` says that another party counts too: what becomes unknown, because a worker died in the middle, is then
    taken for spent.
    """

    accounts: tuple[str, ...]
    amounts: Mapping[str, int]
    billed: bool = False


class Refusal(NamedTuple):
    """Why a charge does not fit. ``question`` is what a ticket asks whose approval lets it through."""

    question: str
    reason: str
    lacking: Mapping[str, Mapping[str, int]]  # account, unit: what is left of the limit
    rejected_by: str = ""
    until: str = (
        ""  # when it fits again by itself (RFC 3339): only limits by the minute or the hour refuse it
    )


class Budgets:
    """What may still be spent. Each method is part of the caller's transaction, which decides under the one write lock."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    def set_limit(
        self,
        transaction: Transaction,
        account: str,
        unit: str,
        limit: int | None,
        *,
        near: int = NEAR,
        period: Period = "total",
        actor: str,
        why: str = "",
    ) -> None:
        """Set or (None) take away the limit of an account in a unit. Steps that wait for it may be tried again.

        Raises:
            InvalidValue: the account's name or the amounts are not possible.
        """
        named(account)
        if (limit is not None and not 0 <= limit <= 2**53) or not 0 <= near <= MILLION:
            raise InvalidValue(
                "a limit is not negative, and 'near' is a share of it",
                where=account,
                remedy="give a limit from 0, and --near between 0 and 1",
            )
        detail: JsonObject = {"unit": unit, "limit": limit, "near": near, "period": period}
        self._append(transaction, Act.ACCOUNT_SET, account, actor=actor, detail=detail, why=why)

    def admit(self, transaction: Transaction, charge: Charge, subject: str, key: str = "") -> Refusal | str:
        """Whether a charge fits into every limit: "" or the id of a person's approval when it may be reserved.

        It is refused when it would pass a limit, and, once for each value of a limit, when what was spent is near it.
        Args: ``subject`` is the step (``run/ID/step/ID``) and ``key`` what it makes; an approval counts for both.
        """
        lacking: dict[str, dict[str, int]] = {}
        reasons: list[str] = []
        close: list[Row] = []
        renewals: list[str] = []
        for row in self._limited(transaction, charge):
            needed = charge.amounts[row.unit]
            if needed > row.left:
                lacking.setdefault(row.account, {})[row.unit] = row.left
                reasons.append(
                    f"the budget {row.account} has {shown(row.left, row.unit)} left, "
                    f"the step may use {shown(needed, row.unit)}"
                )
                fits = needed <= (row.limit or 0)  # in a period of its own
                renewals.append(row.renewed(self._journal.now()) if fits else "")
            elif row.is_near:
                close.append(row)
        if lacking:
            about = {
                "subject": subject, "key": key, "accounts": charge.accounts, "amounts": dict(charge.amounts),
                "allowed": _allowed(transaction, subject),
            }  # fmt: skip
            until = max(renewals) if all(renewals) else ""
            refusal = Refusal(digest(about), "; ".join(reasons), lacking, until=until)
            return refusal if until else self._answered(transaction, refusal)
        for row in close:
            about = {"account": row.account, "unit": row.unit, "limit": row.limit, "since": row.since}
            reason = (
                f"the budget {row.account} is nearly used: {shown(row.spent, row.unit)} of "
                f"{shown(row.limit or 0, row.unit)}; may the work that it pays for go on?"
            )
            lacking = {row.account: {row.unit: row.left}}
            found = self._answered(transaction, Refusal(digest(about), reason, lacking))
            if isinstance(found, Refusal):
                return found
        return ""

    def reserve(
        self, transaction: Transaction, token: int, charge: Charge, subject: str, *, actor: str, key: str = ""
    ) -> None:
        """Reserve a charge under a token, on all its accounts in all its units, or nothing.

        Raises:
            BudgetExceeded: naming account, unit, what is left and what to do.
            RateLimited: it fits again in the next minute or hour; says when.
        """
        found = self.admit(transaction, charge, subject, key)
        if isinstance(found, Refusal):
            raise exceeded(found, self._journal.now())
        self.hold(transaction, token, charge, subject, actor=actor, approval=found)

    def hold(
        self,
        transaction: Transaction,
        token: int,
        charge: Charge,
        subject: str,
        *,
        actor: str,
        behalf: str = "",
        approval: str = "",
    ) -> None:
        """Reserve what `admit` has let through."""
        detail: JsonObject = {"token": token, "for": subject}
        detail |= {"billed": True} if charge.billed else {}
        detail |= {"approval": approval} if approval else {}
        for account in charge.accounts:
            self._append(
                transaction, Act.BUDGET_RESERVED, account, actor=actor, behalf=behalf, detail=detail,
                cost=charge.amounts,
            )  # fmt: skip

    def settle(
        self,
        transaction: Transaction,
        token: int,
        used: Mapping[str, int] | None,
        *,
        actor: str,
        behalf: str = "",
        why: str = "",
    ) -> None:
        """Spend what was used under a token, and free the rest; a second time changes nothing.

        None says that nobody knows: what another party may have billed is then spent, the rest is free. What was used
        beyond the reservation is spent too, and the entry says so (``overshoot``).
        """
        rows = transaction.execute(
            "SELECT account, unit, amount, billed, subject, approval FROM reservations WHERE token = ? "
            "ORDER BY account, unit",
            (token,),
        ).fetchall()
        for account, group in groupby(rows, key=lambda row: row[0]):
            held = [*group]
            reserved = {unit: amount for _, unit, amount, *_ in held}
            billed, subject, approval = held[0][3:]
            spent = used
            if spent is None:
                spent = {unit: reserved[unit] for unit in reserved if billed and unit != MEASURED}
            over = {unit: n - reserved.get(unit, 0) for unit, n in spent.items() if n > reserved.get(unit, 0)}
            detail: JsonObject = {"token": token, "for": subject}
            detail |= {"overshoot": over} if over else {}
            detail |= {"approval": approval} if approval else {}
            self._append(
                transaction, Act.BUDGET_SETTLED, account, actor=actor, behalf=behalf, why=why, detail=detail,
                cost={unit: amount for unit, amount in spent.items() if amount},
            )  # fmt: skip

    def release(self, transaction: Transaction, token: int, *, actor: str, why: str = "") -> None:
        """Free what is reserved under a token: nothing was used."""
        self.settle(transaction, token, {}, actor=actor, why=why)

    def refuse(
        self, transaction: Transaction, refusal: Refusal, subject: str, round_: int, *, actor: str
    ) -> None:
        """Write down that a step waits for its accounts."""
        for account, left in refusal.lacking.items():
            self._append(
                transaction, Act.BUDGET_REFUSED, account, actor=actor, why=refusal.reason,
                detail={"for": subject, "round": round_, "question": refusal.question, "left": left},
            )  # fmt: skip

    def holders(self, transaction: Transaction, accounts: Sequence[str]) -> set[int]:
        """The tokens under which something is reserved on any of these accounts."""
        marks = ", ".join("?" * len(accounts))
        rows = transaction.execute(
            f"SELECT DISTINCT token FROM reservations WHERE account IN ({marks})", accounts
        ).fetchall()
        return {token for (token,) in rows}

    def all(self) -> list[Row]:
        """Every account in every unit, as it stands now."""
        now = self._journal.now()
        return [Row(*row).at(now) for row in self._journal.database.rows(f"{ROW} ORDER BY id, unit")]

    def rates(self, accounts: Sequence[str]) -> list[Row]:
        """The limits by hour and minute of these accounts, as they stand now."""
        now, marks, periods = self._journal.now(), ", ".join("?" * len(accounts)), ", ".join("?" * len(RATES))
        rows = self._journal.database.rows(
            f"{ROW} WHERE amount IS NOT NULL AND id IN ({marks}) AND period IN ({periods}) ORDER BY id, unit",
            *accounts, *RATES,
        )  # fmt: skip
        return [Row(*row).at(now) for row in rows]

    def question(self, run: str, step: str) -> tuple[str, str] | None:
        """The open question that a step waits for: its id, and the reason in words."""
        rows = self._journal.database.rows(
            "SELECT w.question, s.error FROM waits w JOIN runs r ON r.id = w.run_id AND r.round = w.round "
            "JOIN steps s ON s.run_id = w.run_id AND s.step_id = w.step_id AND s.state = 'awaiting_review' "
            "WHERE w.run_id = ? AND w.step_id = ? LIMIT 1",
            run,
            step,
        )
        return (rows[0][0], rows[0][1]) if rows else None

    def _limited(self, transaction: Transaction, charge: Charge) -> list[Row]:
        marks = ", ".join("?" * len(charge.accounts))
        rows = transaction.execute(
            f"{ROW} WHERE amount IS NOT NULL AND id IN ({marks}) ORDER BY id, unit", charge.accounts
        ).fetchall()
        now = self._journal.now()
        return [Row(*row).at(now) for row in rows if charge.amounts.get(row[1])]

    def _answered(self, transaction: Transaction, refusal: Refusal) -> Refusal | str:
        row = transaction.execute(
            "SELECT t.id, t.state, d.who FROM tickets t JOIN decisions d ON d.ticket_id = t.id WHERE t.question = ? "
            "AND t.state IN ('approved', 'rejected') ORDER BY d.n DESC LIMIT 1",
            (refusal.question,),
        ).fetchone()
        if row is None:
            return refusal
        ticket, state, who = row
        return ticket if state == "approved" else refusal._replace(rejected_by=who.removeprefix("person:"))

    def _append(self, transaction: Transaction, act: Act, account: str, **more: Any) -> None:
        self._journal.append(transaction, act, f"account/{account}", **more)


def named(account: str) -> str:
    """The account's name, if it is one.

    Raises:
        InvalidValue: it is not of the form ``project:kettles``.
    """
    if not ACCOUNT.fullmatch(account):
        raise InvalidValue(
            f"'{account}' is no account", where="account", remedy="write key:NAME, team:NAME or project:NAME"
        )
    return account


def exceeded(refusal: Refusal, now: str) -> BudgetExceeded | RateLimited:
    """The refusal as an error with its remedy."""
    account = next(iter(refusal.lacking))
    unit = next(iter(refusal.lacking[account]))
    if refusal.until:
        wait = max(1.0, seconds_between(now, refusal.until))
        return RateLimited(
            refusal.reason, where=account, remedy=f"come back at {refusal.until}", retry_after=wait
        )
    return BudgetExceeded(
        refusal.reason, where=account, remedy=f"bottega budget set {account} --unit {unit} --limit AMOUNT"
    )


def shown(amount: int, unit: str) -> str:
    """An amount as people read it: ``$0.12`` or ``1200 token``."""
    digits = f"{abs(amount) // MILLION}.{abs(amount) % MILLION:06d}".rstrip("0").rstrip(".")
    sign = "-" if amount < 0 else ""
    if unit != "usd":
        return f"{sign}{digits} {unit}"
    whole, _, cents = digits.partition(".")
    return f"{sign}${whole}.{cents.ljust(2, '0')}"


def _allowed(transaction: Transaction, subject: str) -> int:
    """How often a person's approval was used up by this step, so that each counts once."""
    _, run, _, step = subject.split("/")
    row = transaction.execute(
        "SELECT MAX(allowed) FROM waits WHERE run_id = ? AND step_id = ?", (run, step)
    ).fetchone()
    return row[0] or 0
