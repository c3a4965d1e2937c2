"""Calls cleared in groups: all that begin or end at one time are one change, with a few statements for all of them.

What is written is what `Leases` and `Budgets` write for each call alone, entry for entry and row for row; only the clear case is
decided here. Whatever is not clear (no place, an account that refuses or is near its limit) is left to them.
"""

import asyncio
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache, partial
from typing import Any

from bottega.core.canonical import canonical_text
from bottega.core.entry import Act
from bottega.core.errors import LeaseLost
from bottega.storage.accounts import NEAR, ROW, SINCE, Row
from bottega.storage.budgets import Charge
from bottega.storage.change import Change
from bottega.storage.contents import Contents
from bottega.storage.database import Transaction
from bottega.storage.journal import Journal
from bottega.storage.rows import insert

TOGETHER = 100  # accounts that are looked up in one statement
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

    subject: str = field(init=False)  # what its entries are about

    def __post_init__(self) -> None:
        self.subject = f"run/{self.run}/step/{self.step}"


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
    """Calls that wait for one outcome, in the order in which they came."""

    def __init__(self) -> None:
        self.items: list[Opening | Ending] = []
        self._over = False
        self._error: BaseException | None = None
        self._waiting: list[asyncio.Future[None]] = []

    async def ended(self) -> None:
        """Wait for the outcome; a cancellation is raised when there is one."""
        stopped: asyncio.CancelledError | None = None
        loop = asyncio.get_running_loop()
        while not self._over:
            waiting = loop.create_future()
            self._waiting.append(waiting)
            try:
                await waiting
            except asyncio.CancelledError as stop:
                stopped = stop
        if stopped is not None:
            raise stopped
        if self._error is not None:
            raise self._error

    def end(self, error: BaseException | None = None) -> None:
        """This is the outcome; called in the thread of the loop."""
        self._over, self._error = True, error
        if error is not None:
            for item in self.items:
                if isinstance(item, Opening):
                    item.token = None
        for waiting in self._waiting:
            if not waiting.done():
                waiting.set_result(None)


class _Turn:
    """What has come on one event loop and is not on its way yet: what is told when it is committed, and what when it is synced."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.soon, self.safe = _Group(), _Group()
        self.asked = False  # to be looked at before the loop waits again
        self.syncing = False
        self.unsynced: list[_Group] = []  # committed, and not given to the disk yet
        self.loop = loop
        self._thread = threading.get_ident()

    def here(self, call: Callable[[], object]) -> None:
        """Call this in the thread of the loop."""
        if threading.get_ident() == self._thread:
            call()
            return
        with suppress(RuntimeError):  # the loop is closed
            self.loop.call_soon_threadsafe(call)


def _told(change: Change[None], group: _Group) -> None:
    group.end(change.exception())


class Clearing:
    """Begins and ends calls whose ids only this process knows."""

    def __init__(self, journal: Journal, contents: Contents) -> None:
        self._journal = journal
        self._contents = contents
        self._turns: dict[int, _Turn] = {}  # by loop
        self.inside = 0  # calls in hand, as far as who makes them tells: a lone one waits for nobody

    async def open(self, call: Opening) -> int | None:
        """Lease a call and reserve its charge; gives its token, or None when that is not clear.

        The reservation survives the end of the process. A power cut may take it, with a call that then gave no answer: what is
        durable is the end, before anybody is told of it.

        Raises:
            StorageFailed: the state cannot be written; nothing has changed.
            asyncio.CancelledError: this task was cancelled; `Opening.token` says whether there is a lease to be given back.
        """
        await self._joined(call, durable=False).ended()
        return call.token

    async def close(self, end: Ending) -> None:
        """Write down how a call ended, and settle what it used.

        Raises:
            LeaseLost: another worker has taken it over; nothing is written.
            StorageFailed: the state cannot be written, or the disk does not say that it has it.
        """
        await self._joined(end, durable=bool(end.opening.charge.accounts)).ended()
        if not end.written:
            raise LeaseLost("another worker has taken over this call", where=f"run '{end.opening.run}'")

    def _joined(self, item: Opening | Ending, *, durable: bool) -> _Group:
        """Come along with those of this turn of the loop, or be the first."""
        loop = asyncio.get_running_loop()
        turn = self._turns.get(id(loop))
        if turn is None or turn.loop is not loop:
            self._turns = {name: each for name, each in self._turns.items() if not each.loop.is_closed()}
            turn = self._turns[id(loop)] = _Turn(loop)
        group = turn.safe if durable else turn.soon
        group.items.append(item)
        if self.inside == 1 and len(turn.soon.items) + len(turn.safe.items) == 1:
            self._offer(turn)
        elif not turn.asked:
            turn.asked = True
            loop.call_soon(self._offer, turn)
        return group

    def _offer(self, turn: _Turn) -> None:
        """Send what has come on its way. Ends wait for a sync that is in hand, unless somebody begins: then they come along."""
        turn.asked = False
        if not turn.soon.items and (turn.syncing or not turn.safe.items):
            return
        soon, safe, turn.soon, turn.safe = turn.soon, turn.safe, _Group(), _Group()
        database = self._journal.database
        if not database.syncs_aside:
            for group, durable in ((soon, False), (safe, True)):
                if group.items:
                    change = database.offer(partial(self._clear, items=group.items), durable=durable)
                    change.then(partial(turn.here, partial(_told, change, group)))
            return
        change = database.offer(partial(self._clear, items=[*soon.items, *safe.items]))
        change.then(partial(turn.here, partial(self._committed, turn, change, soon, safe)))

    def _committed(self, turn: _Turn, change: Change[None], soon: _Group, safe: _Group) -> None:
        soon.end(change.exception())
        if change.exception() is not None:
            safe.end(change.exception())
        elif safe.items:
            turn.unsynced.append(safe)
            if not turn.syncing:
                self._sync(turn)

    def _sync(self, turn: _Turn) -> None:
        """Have the disk take what is committed; what comes meanwhile is the next group."""
        turn.syncing, groups, turn.unsynced = True, turn.unsynced, []

        def synced(error: BaseException | None) -> None:
            turn.syncing = False
            if error is not None:  # what was committed meanwhile stands behind what may be lost
                groups.extend(turn.unsynced)
                turn.unsynced = []
            for group in groups:
                group.end(error)
            self._offer(turn)
            if turn.unsynced and not turn.syncing:
                self._sync(turn)

        self._journal.database.sync(lambda error: turn.here(partial(synced, error)))

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
        rung = self._journal.database.rings
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
            billed = '"billed":true,' if charge.billed else ""
            told = f'{{{billed}"for":{canonical_text(call.subject)},"token":{token}}}'
            cost = canonical_text(charge.amounts) if charge.amounts else ""
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
        self._journal.database.rings = rung  # nobody waits for calls to begin
        insert(transaction, "leases (run_id, step_id, token, worker, engine, host, key)", leases)
        insert(transaction, "reservations (token, account, unit, amount, billed, subject, approval)", held)

    def _end(self, transaction: Transaction, ends: Sequence[Ending], books: "_Books") -> None:
        steps, files, results = list[Sequence[object]](), list[Sequence[object]](), list[Sequence[object]]()
        entries = list[tuple[object, ...]]()
        for end in ends:
            call = end.opening
            held = "run_id = ? AND step_id = ? AND token = ? AND worker = ?"
            mine = transaction.execute(
                f"DELETE FROM leases WHERE {held}", (call.run, call.step, call.token, call.worker)
            ).rowcount
            end.written = mine > 0
            if not end.written:
                continue
            if call.charge.accounts:
                transaction.execute("DELETE FROM reservations WHERE token = ?", (call.token,))
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
            if call.charge.accounts:
                self._settle(transaction, end, books, entries)
        self._journal.keep(transaction, entries)
        insert(
            transaction,
            "steps (run_id, step_id, round, state, key, checks, result, error, deaths, delays, wake_at, holder)",
            steps,
            "ON CONFLICT (run_id, step_id) DO UPDATE SET round = excluded.round, state = excluded.state, key = excluded.key, "
            "checks = excluded.checks, result = excluded.result, error = excluded.error, delays = 0, wake_at = '', "
            "deaths = 0 WHERE steps.round <= excluded.round",
        )
        insert(transaction, "refs (sha256, run_id, holder)", files, "ON CONFLICT DO NOTHING")
        insert(
            transaction,
            "results (key, checks, run_id, n, reusable, result, holder)",
            results,
            "ON CONFLICT (key, checks, run_id) DO UPDATE SET result = excluded.result, n = excluded.n",
        )

    def _settle(
        self, transaction: Transaction, end: Ending, books: "_Books", entries: list[tuple[object, ...]]
    ) -> None:
        call = end.opening
        amounts = call.charge.amounts
        over = {unit: n - amounts.get(unit, 0) for unit, n in end.used.items() if n > amounts.get(unit, 0)}
        cost = {unit: amount for unit, amount in end.used.items() if amount}
        spent = canonical_text(cost) if cost else ""
        more = f'"overshoot":{canonical_text(over)},' if over else ""
        told = f'{{"for":{canonical_text(call.subject)},{more}"token":{call.token}}}'
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
        for start in range(0, len(accounts), TOGETHER):
            some = accounts[start : start + TOGETHER]
            for row in transaction.execute(_looked_up(len(some)), some).fetchall():
                self._rows[row[0]][row[1]] = Row._make(row)

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
        insert(
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


@lru_cache(TOGETHER)
def _looked_up(count: int) -> str:
    """So many accounts: look-ups one after the other, for a list would be a table to SQLite."""
    return " UNION ALL ".join([f"{ROW} WHERE id = ?"] * count)
