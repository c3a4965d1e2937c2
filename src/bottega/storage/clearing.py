"""Calls cleared in groups: all that begin or end at one time are one change, with a few statements for all of them.

What is written is what `Leases` and `Budgets` write for each call alone, entry for entry and row for row; only the clear case is
decided here. Whatever is not clear (no place, an account that refuses or is near its limit) is left to them.
"""

import asyncio
import threading
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

from bottega.core.canonical import canonical_text
from bottega.core.entry import Act
from bottega.core.errors import LeaseLost
from bottega.core.value import JsonObject
from bottega.storage.accounts import NEAR, ROW, SINCE, Row
from bottega.storage.budgets import Charge
from bottega.storage.change import Change
from bottega.storage.contents import Contents
from bottega.storage.database import Transaction
from bottega.storage.journal import Journal

VALUES = 900  # in one statement
NOBODY = Charge((), {})


@dataclass(slots=True)
class Opening:
    """A call that wants to begin. ``token`` is its lease's once it may; None leaves the decision to `Leases.claim`."""

    run: str
    step: str
    key: str
    engine: str
    at_once: int
    round: int
    worker: str
    behalf: str
    detail: Mapping[str, Any]
    charge: Charge = NOBODY
    token: int | None = None
    change: Change[None] | None = None

    @property
    def subject(self) -> str:
        """What its entries are about."""
        return f"run/{self.run}/step/{self.step}"

    @property
    def held(self) -> int | None:
        """Its token, once that is committed."""
        change = self.change
        return self.token if change is not None and change.done() and change.exception() is None else None


@dataclass(slots=True)
class Ending:
    """A call that has ended well: its entry, its stored result and the files in it, what it used (millionths by unit)."""

    opening: Opening
    detail: Mapping[str, Any]
    checks: str
    result: str  # SHA-256 of the body
    body: bytes
    files: Sequence[str]
    used: Mapping[str, int]
    cost: Mapping[str, int]
    written: bool = False


class _Group:
    """Those that came in one turn of their event loop, and what comes of them together."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.items: list[Opening | Ending] = []
        self.change: Change[None] | None = None
        self._loop = loop
        self._thread = threading.get_ident()
        self._waiting: list[asyncio.Future[None]] = []

    def offered(self, change: Change[None]) -> None:
        """It is on its way."""
        self.change = change
        for item in self.items:
            if isinstance(item, Opening):
                item.change = change
        change.then(self._told)

    async def ended(self) -> None:
        """Wait for its outcome; a cancellation is raised when there is one."""
        stopped: asyncio.CancelledError | None = None
        while self.change is None or not self.change.done():
            waiting = self._loop.create_future()
            self._waiting.append(waiting)
            try:
                await waiting
            except asyncio.CancelledError as stop:
                stopped = stop
        if stopped is not None:
            raise stopped
        self.change.result()

    def _told(self) -> None:
        """In whatever thread it was committed."""
        if threading.get_ident() == self._thread:
            return self._wake()
        with suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(self._wake)

    def _wake(self) -> None:
        for waiting in self._waiting:
            if not waiting.done():
                waiting.set_result(None)


class Clearing:
    """Begins and ends calls whose ids only this process knows."""

    def __init__(self, journal: Journal, contents: Contents) -> None:
        self._journal = journal
        self._contents = contents
        self._coming: dict[tuple[int, bool], _Group] = {}  # by loop, and by whether it has to be durable

    async def open(self, call: Opening) -> int | None:
        """Lease a call and reserve its charge; gives its token, or None when that is not clear.

        The reservation survives the end of the process. A power cut may take it, with a call that then gave no answer: what is
        durable is the end, before anybody is told of it.

        Raises:
            StorageFailed: the state cannot be written; nothing has changed.
            asyncio.CancelledError: this task was cancelled; `Opening.held` says whether the lease is to be given back.
        """
        await self._joined(call, durable=False).ended()
        return call.token

    async def close(self, end: Ending) -> None:
        """Write down how a call ended, and settle what it used.

        Raises:
            LeaseLost: another worker has taken it over; nothing is written.
            StorageFailed: the state cannot be written.
        """
        await self._joined(end, durable=bool(end.opening.charge.accounts)).ended()
        if not end.written:
            raise LeaseLost("another worker has taken over this call", where=f"run '{end.opening.run}'")

    def _joined(self, item: Opening | Ending, *, durable: bool) -> _Group:
        """Come along with those of this turn of the loop, or be the first."""
        loop = asyncio.get_running_loop()
        name = (id(loop), durable)
        group = self._coming.get(name)
        if group is None:
            group = self._coming[name] = _Group(loop)
            loop.call_soon(self._offer, name, group, durable)
        group.items.append(item)
        return group

    def _offer(self, name: tuple[int, bool], group: _Group, durable: bool) -> None:
        del self._coming[name]
        work = partial(self._clear, items=group.items)
        group.offered(self._journal.database.offer(work, durable=durable))

    def _clear(self, transaction: Transaction, items: Sequence[Opening | Ending]) -> None:
        openings = [item for item in items if isinstance(item, Opening)]
        endings = [item for item in items if isinstance(item, Ending)]
        charges = [each.charge for each in openings] + [each.opening.charge for each in endings]
        books = _Books(transaction, charges)
        if endings:  # first: they free what others may need
            self._end(transaction, endings, books)
        if openings:
            self._begin(transaction, openings, books)
        books.write()

    def _begin(self, transaction: Transaction, calls: Sequence[Opening], books: "_Books") -> None:
        leases, held = list[Sequence[object]](), list[Sequence[object]]()
        entries, inside = list[tuple[object, ...]](), dict[str, int]()
        for call in calls:
            call.token = None
            if call.engine not in inside:
                row = transaction.execute(
                    "SELECT COUNT(*) FROM leases WHERE engine = ?", (call.engine,)
                ).fetchone()
                inside[call.engine] = row[0]
            charge = call.charge
            if inside[call.engine] >= call.at_once or not books.fits(charge, self._journal.now()):
                continue
            inside[call.engine] += 1
            detail = {"key": call.key, "engine": call.engine, "round": call.round, "attempt": 1, "host": ""}
            call.token = token = self._journal.inscribe(
                transaction, Act.STEP_LEASED, call.subject, actor=call.worker, behalf=call.behalf,
                detail=canonical_text({**detail, **call.detail}), rows=entries,
            )[0]  # fmt: skip
            leases.append((call.run, call.step, token, call.worker, call.engine, "", call.key))
            reserved: JsonObject = {"token": token, "for": call.subject}
            reserved |= {"billed": True} if charge.billed else {}
            told, cost = canonical_text(reserved), canonical_text(charge.amounts) if charge.amounts else ""
            for account in charge.accounts:
                _, at = self._journal.inscribe(
                    transaction, Act.BUDGET_RESERVED, f"account/{account}", actor=call.worker, behalf=call.behalf,
                    detail=told, cost=cost, rows=entries,
                )  # fmt: skip
                books.reserve(account, charge.amounts, at)
                held += [
                    (token, account, unit, amount, int(charge.billed), call.subject, "")
                    for unit, amount in charge.amounts.items()
                ]
        self._journal.keep(transaction, entries)
        _insert(transaction, "leases (run_id, step_id, token, worker, engine, host, key)", leases)
        _insert(transaction, "reservations (token, account, unit, amount, billed, subject, approval)", held)

    def _end(self, transaction: Transaction, ends: Sequence[Ending], books: "_Books") -> None:
        runs, holders = [end.opening.run for end in ends], dict[tuple[str, str], tuple[int, str]]()
        for start in range(0, len(runs), VALUES):
            some = runs[start : start + VALUES]
            marks = ", ".join("?" * len(some))
            for run, step, token, worker in transaction.execute(
                f"SELECT run_id, step_id, token, worker FROM leases WHERE run_id IN ({marks})", some
            ).fetchall():
                holders[run, step] = token, worker
        steps, files, results = list[Sequence[object]](), list[Sequence[object]](), list[Sequence[object]]()
        entries, over = list[tuple[object, ...]](), list[Opening]()
        for end in ends:
            call = end.opening
            end.written = holders.get((call.run, call.step)) == (call.token, call.worker)
            if not end.written:
                continue
            over.append(call)
            detail = {**end.detail, "round": call.round, "token": call.token, "result": end.result,
                      "checks": end.checks, "reusable": False}  # fmt: skip
            self._contents.keep(transaction, end.body, name=end.result)
            n, _ = self._journal.inscribe(
                transaction, Act.STEP_FINISHED, call.subject, actor=call.worker, behalf=call.behalf,
                detail=canonical_text(detail), cost=canonical_text(end.cost) if end.cost else "", rows=entries,
            )  # fmt: skip
            steps.append(
                (call.run, call.step, call.round, "done", call.key, end.checks, end.result, "", 0, 0, "", "")
            )
            files += [(sha256, call.run, "") for sha256 in dict.fromkeys(end.files)]
            results.append((call.key, end.checks, call.run, n, 0, end.result, ""))
            self._settle(transaction, end, books, entries)
        self._journal.keep(transaction, entries)
        _insert(
            transaction,
            "steps (run_id, step_id, round, state, key, checks, result, error, deaths, delays, wake_at, holder)",
            steps,
            "ON CONFLICT (run_id, step_id) DO UPDATE SET round = excluded.round, state = excluded.state, key = excluded.key, "
            "checks = excluded.checks, result = excluded.result, error = excluded.error, delays = 0, wake_at = '', "
            "deaths = 0 WHERE steps.round <= excluded.round",
        )
        _insert(transaction, "refs (sha256, run_id, holder)", files, "ON CONFLICT DO NOTHING")
        _insert(
            transaction,
            "results (key, checks, run_id, n, reusable, result, holder)",
            results,
            "ON CONFLICT (key, checks, run_id) DO UPDATE SET result = excluded.result, n = excluded.n",
        )
        for call in over:
            transaction.execute("DELETE FROM leases WHERE run_id = ? AND step_id = ?", (call.run, call.step))
            if call.charge.accounts:
                transaction.execute("DELETE FROM reservations WHERE token = ?", (call.token,))

    def _settle(
        self, transaction: Transaction, end: Ending, books: "_Books", entries: list[tuple[object, ...]]
    ) -> None:
        call = end.opening
        amounts = call.charge.amounts
        over = {unit: n - amounts.get(unit, 0) for unit, n in end.used.items() if n > amounts.get(unit, 0)}
        detail: JsonObject = {"token": call.token, "for": call.subject}
        detail |= {"overshoot": over} if over else {}
        cost = {unit: amount for unit, amount in end.used.items() if amount}
        told, spent = canonical_text(detail), canonical_text(cost) if cost else ""
        for account in sorted(call.charge.accounts):
            _, at = self._journal.inscribe(
                transaction, Act.BUDGET_SETTLED, f"account/{account}", actor=call.worker, behalf=call.behalf,
                detail=told, cost=spent, rows=entries,
            )  # fmt: skip
            books.settle(account, amounts, cost, at)


class _Books:
    """The accounts of a group, read once and written once."""

    def __init__(self, transaction: Transaction, charges: Iterable[Charge]) -> None:
        self._transaction = transaction
        accounts = [*dict.fromkeys(account for charge in charges for account in charge.accounts)]
        self._rows: dict[str, dict[str, Row]] = {account: {} for account in accounts}
        self._changed: dict[tuple[str, str], None] = {}
        for start in range(0, len(accounts), VALUES):
            some = accounts[start : start + VALUES]
            marks = ", ".join("?" * len(some))
            for row in transaction.execute(f"{ROW} WHERE id IN ({marks})", some).fetchall():
                self._rows[row[0]][row[1]] = Row(*row)

    def fits(self, charge: Charge, now: str) -> bool:
        """Whether it may be reserved and nobody need be asked."""
        for account in charge.accounts:
            for unit, row in self._rows[account].items():
                needed = charge.amounts.get(unit)
                if needed and row.limit is not None:
                    row = row.at(now)
                    if needed > row.left or row.is_near:
                        return False
        return True

    def reserve(self, account: str, amounts: Mapping[str, int], at: str) -> None:
        """Hold these amounts."""
        for unit, amount in amounts.items():
            self._change(account, unit, at, amount, 0)

    def settle(self, account: str, amounts: Mapping[str, int], cost: Mapping[str, int], at: str) -> None:
        """Free what was held, and spend what was used."""
        for unit in (*amounts, *(unit for unit in cost if unit not in amounts)):
            self._change(account, unit, at, -amounts.get(unit, 0), cost.get(unit, 0))

    def write(self) -> None:
        """Write the rows that have changed."""
        _insert(
            self._transaction,
            "accounts (id, unit, amount, spent, reserved, near, period, since)",
            [self._rows[account][unit] for account, unit in self._changed],
            "ON CONFLICT (id, unit) DO UPDATE SET spent = excluded.spent, reserved = excluded.reserved, "
            "since = excluded.since",
        )

    def _change(self, account: str, unit: str, at: str, reserved: int, spent: int) -> None:
        rows = self._rows[account]
        row = rows.get(unit)
        if row is None:
            row = Row(account, unit, None, 0, 0, NEAR, "total", "")
        since = at[: SINCE[row.period]]
        if since > row.since:
            row = row.at(at)
        rows[unit] = Row(
            account,
            unit,
            row.limit,
            row.spent + spent,
            row.reserved + reserved,
            row.near,
            row.period,
            row.since,
        )
        self._changed[account, unit] = None


def _insert(transaction: Transaction, into: str, rows: Sequence[Sequence[object]], then: str = "") -> None:
    """Rows in one statement, or a few."""
    if not rows:
        return
    width = len(rows[0])
    most = VALUES // width
    marks = f"({', '.join('?' * width)})"
    for start in range(0, len(rows), most):
        some = rows[start : start + most]
        transaction.execute(
            f"INSERT INTO {into} VALUES {', '.join([marks] * len(some))} {then}",
            [value for row in some for value in row],
        )
