"""Accounts that pay: their limits, what they have spent, what happened to them."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Literal

from bottega.core.entry import Entry
from bottega.core.errors import InvalidValue, NotFound
from bottega.storage.accounts import MILLION, NEAR, Period, Row
from bottega.storage.budgets import named
from bottega.storage.state import State

State_ = Literal["counts only", "open", "near", "used up"]

# What the engines that ship count in; a unit of another engine is known once it was charged.
UNITS = ("usd", "token", "image", "second", "mesh", "compute_second")
OTHER_NAMES = {"$": "usd", "money": "usd", "dollar": "usd", "meshe": "mesh"}


@dataclass(frozen=True)
class Account:
    """An account in one unit. Amounts are in that unit; ``limit`` and ``left`` are None where it only counts."""

    account: str
    unit: str
    limit: Decimal | None
    spent: Decimal
    reserved: Decimal
    left: Decimal | None
    near: Decimal
    period: Period
    state: State_


class Ledger:
    """Sets limits and shows accounts."""

    def __init__(self, state: State, actor: str) -> None:
        self._state = state
        self._actor = actor

    def set(
        self,
        account: str,
        unit: str,
        limit: Decimal | str | float | None,
        *,
        near: Decimal | str | float | None = None,
        period: Period = "total",
        why: str = "",
    ) -> list[str]:
        """Set the limit of an account, or take it away with None; durable when this returns.

        Gives the runs that waited for it: a worker, or `Bottega.resume`, goes on with them.

        Raises:
            InvalidValue: this cannot be an account, a unit or an amount.
        """
        budgets, ready = self._state.budgets, self._ready()
        unit_, most = unit_named(unit), None if limit is None else millionths(limit)
        share = NEAR if near is None else millionths(near)
        counted = {*UNITS, *(row.unit for row in budgets.all())}
        if unit_ not in counted:
            raise InvalidValue(
                f"nothing was ever counted in '{unit_}', so a limit would hold nobody",
                where="unit",
                remedy=f"one of: {', '.join(sorted(counted))}",
            )
        self._state.database.write(
            lambda transaction: budgets.set_limit(
                transaction, account, unit_, most, near=share, period=period, actor=self._actor, why=why
            ),
            durable=True,
        )
        return [run for run in self._ready() if run not in ready]

    def all(self) -> list[Account]:
        """Every account in every unit, by name."""
        return [_account(row) for row in self._state.budgets.all()]

    def show(self, account: str) -> tuple[list[Account], list[Entry]]:
        """One account in all its units, and everything that happened to it, oldest first.

        Raises:
            NotFound: nothing was ever charged to it, and it has no limit.
        """
        entries = self._state.journal.about(f"account/{named(account)}")
        if not entries:
            raise NotFound(f"no account '{account}'", remedy="`bottega budget list` shows them")
        return [each for each in self.all() if each.account == account], entries

    def _ready(self) -> Sequence[str]:
        return self._state.runs.unfinished()


def unit_named(unit: str) -> str:
    """The unit as engines count it, from what people write: ``USD``, ``tokens``.

    Raises:
        InvalidValue: it is no word.
    """
    word = unit.strip().lower().removesuffix("s")
    word = OTHER_NAMES.get(word, word)
    if not word or not word.replace("_", "").isalpha():
        raise InvalidValue(f"'{unit}' is no unit", where="unit", remedy=f"one of: {', '.join(UNITS)}")
    return word


def millionths(amount: Decimal | str | float) -> int:
    """A decimal amount, exactly, in millionths.

    Raises:
        InvalidValue: not a number of at most six decimals, from 0 to nine billion.
    """
    try:
        exact = Decimal(str(amount)) * MILLION
    except InvalidOperation:
        exact = Decimal("NaN")
    if not exact.is_finite() or exact != exact.to_integral_value() or not 0 <= exact <= 2**53:
        raise InvalidValue(
            f"'{amount}' is no amount", where="amount", remedy="write a number such as 5 or 0.25"
        )
    return int(exact)


def _account(row: Row) -> Account:
    state: State_ = "open"
    if row.limit is None:
        state = "counts only"
    elif row.left <= 0:
        state = "used up"
    elif row.is_near:
        state = "near"
    return Account(
        account=row.account,
        unit=row.unit,
        limit=None if row.limit is None else _units(row.limit),
        spent=_units(row.spent),
        reserved=_units(row.reserved),
        left=None if row.limit is None else _units(row.left),
        near=_units(row.near),
        period=row.period,
        state=state,
    )


def _units(amount: int) -> Decimal:
    return Decimal(amount) / MILLION
