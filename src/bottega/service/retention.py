"""Retention: what ended longer ago than the policy keeps it is removed, by hand or once a day by whichever worker comes first.

The timer lies in the record, so no process needs to stay: a worker that takes its turn writes `store:retention:begun`, and
`store:retention:applied` with what it removed. The turn of a worker that is gone is taken over at once.
"""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from threading import Lock

from bottega.core.entry import Act, Entry
from bottega.core.errors import BottegaError, InvalidValue
from bottega.core.moment import later
from bottega.governance.policy import Policy
from bottega.service.store import Store
from bottega.storage.contents import referred
from bottega.storage.database import Transaction
from bottega.storage.state import State
from bottega.storage.upkeep import HOUR, Collected

SUBJECT = "store/retention"
# Seconds between two rounds, and that a file nobody refers to must be old: it may be of work in hand.
DAY = 24 * HOUR
AT_ONCE = 500  # runs that one change removes
NOTHING = Collected(0, 0, ())


@dataclass(frozen=True)
class Expired:
    """What retention removed, or would remove."""

    days: int
    runs: tuple[str, ...] = ()  # and calls
    documents: int = 0  # plans, results, tickets and decisions that nothing refers to any more
    files: Collected = NOTHING  # by a round; after `expire` they are left to `Store.gc`
    problem: str = ""  # why files could not be collected


class Retention:
    """Applies `[retention]` of the policy."""

    def __init__(self, state: State, policy: Policy, store: Store, deliveries: Path, actor: str) -> None:
        """``deliveries`` is the folder of what a server has delivered: what was a run's goes with it."""
        self._state = state
        self._policy = policy
        self._store = store
        self._deliveries = deliveries
        self._actor = actor
        self._next = ""  # when to look again, as far as this process knows
        self._turn = Lock()

    def expire(self, *, dry_run: bool = True) -> Expired:
        """Remove the runs and calls that ended longer ago than the policy keeps them; their entries stay in the record.

        Raises:
            InvalidValue: the policy says nothing of retention.
        """
        if self._policy.retention is None:
            raise InvalidValue(
                f"the policy '{self._policy.name}' keeps runs for good",
                where="retention",
                remedy="add `[retention]` with `runs_days = 90` to a policy file and give it with --policy",
            )
        days = self._policy.retention.runs_days
        before = later(self._state.journal.now(), -days * DAY)
        if dry_run:
            return Expired(days, tuple(self._ended(before)))
        return self._applied(self._removed(days, before, self._actor, lambda: False), self._actor)

    def next_due(self) -> str:
        """When a worker is next to apply the policy (RFC 3339); "" when it keeps runs for good."""
        if self._policy.retention is None:
            return ""
        now = self._state.journal.now()
        if self._turn.locked():
            return later(now, HOUR)  # this process is at it
        if self._next <= now:
            found = self._state.journal.about(SUBJECT, last=1)
            self._next = self._free(found[0] if found else None, now)
        return self._next

    def round(self, stopped: Callable[[], bool]) -> Expired | None:
        """Remove runs and files, once a day; None when it is not due, another worker is at it, or ``stopped`` said so.

        Files go when nothing has referred to them for a day. What cannot be collected is told, and tried again the next day.

        Raises:
            StorageFailed: the state cannot be used; the turn is still this worker's.
        """
        rule = self._policy.retention
        if rule is None:
            return None
        with self._turn:
            self._next = ""
            worker = self._state.workers.register()
            if not self._claimed(worker):
                return None
            before = later(self._state.journal.now(), -rule.runs_days * DAY)
            found = self._removed(rule.runs_days, before, worker, stopped)
            try:
                files = self._store.gc(
                    dry_run=False, older_than_seconds=DAY, actor=worker, stopped=stopped
                )  # fmt: skip
                found = replace(found, files=files)
            except BottegaError as error:
                found = replace(found, problem=str(error))
            return None if stopped() else self._applied(found, worker)

    def _claimed(self, worker: str) -> bool:
        """Take the turn, in the one change that sees that nobody else has it."""
        journal = self._state.journal

        def work(transaction: Transaction) -> bool:
            now, last = journal.now(), None
            for n in journal.numbers(transaction, SUBJECT, 1):
                row = transaction.execute("SELECT entry FROM journal WHERE n = ?", (n,)).fetchone()
                last = Entry.model_validate_json(row[0])
            if self._free(last, now) > now:
                return False
            journal.append(transaction, Act.RETENTION_BEGUN, SUBJECT, actor=worker, detail=self._rule())
            return True

        return self._state.database.write(work, durable=True)

    def _free(self, last: Entry | None, now: str) -> str:
        """From when on the turn may be taken, by the last entry about it; while a living worker has it, look in an hour."""
        if last is None:
            return now
        if last.act is Act.RETENTION_APPLIED:
            return later(last.at, DAY)
        workers = self._state.workers
        return now if last.actor == workers.id or workers.gone(last.actor) else later(now, HOUR)

    def _applied(self, found: Expired, actor: str) -> Expired:
        """Write down what was removed."""
        counts = {"runs": len(found.runs), "documents": found.documents, "files": found.files.count}
        detail = {**self._rule(), **counts, "bytes": found.files.bytes}
        self._state.journal.write(
            Act.RETENTION_APPLIED, SUBJECT, actor=actor, durable=True,
            detail=detail | ({"problem": found.problem} if found.problem else {}),
        )  # fmt: skip
        self._state.database.purge(waited_for=False)
        return found

    def _rule(self) -> dict[str, object]:
        assert self._policy.retention is not None
        return {"policy": self._policy.name, "days": self._policy.retention.runs_days}

    def _ended(self, before: str) -> list[str]:
        """Runs that ended before a moment, and calls and what replays left, which have no run: by their last entry."""
        journal, database = self._state.journal, self._state.database
        runs = database.rows(
            "SELECT id FROM runs WHERE state IN ('released', 'failed', 'cancelled') AND finished_at <> '' "
            "AND finished_at < ? ORDER BY n",
            before,
        )
        young, last = journal.since(before), journal.indexed()
        recent = {
            subject.split("/")[1]
            for (subject,) in database.rows(
                "SELECT subject FROM journal WHERE n >= ? AND subject LIKE 'run/%'", max(young, last)
            )
        }
        calls = database.rows(
            "SELECT DISTINCT run_id FROM steps s WHERE NOT EXISTS (SELECT 1 FROM runs r WHERE r.id = s.run_id) "
            "AND NOT EXISTS (SELECT 1 FROM subjects x WHERE x.subject >= 'run/' || s.run_id || '/' "
            "AND x.subject < 'run/' || s.run_id || '0' AND x.n >= ?) ORDER BY run_id",
            young,
        )
        return [run for (run,) in runs] + [run for (run,) in calls if run not in recent]

    def _removed(self, days: int, before: str, actor: str, stopped: Callable[[], bool]) -> Expired:
        """Remove what ended before a moment, a part in each change so that others come in between."""
        runs, documents, ended = list[str](), 0, self._ended(before)
        for start in range(0, len(ended), AT_ONCE):
            if stopped():
                break
            gone, count = self._remove(ended[start : start + AT_ONCE], before, days, actor)
            runs, documents = runs + gone, documents + count
        self._forget_conversions(before)
        self._forget_deliveries(before)
        return Expired(days, tuple(runs), documents)

    def _remove(self, runs: Sequence[str], before: str, days: int, actor: str) -> tuple[list[str], int]:
        journal, young = self._state.journal, self._state.journal.since(before)
        told = {run: self._told(run) for run in runs}

        def work(transaction: Transaction) -> tuple[list[str], int]:
            gone, candidates = list[str](), set[tuple[str, str]]()
            for run in runs:
                if not self._over(transaction, run, before, young, actor):
                    continue
                candidates |= told[run]
                for query in _SAID_OF_RUN:
                    candidates |= {(row[0], row[1]) for row in transaction.execute(query, (run,)).fetchall()}
                journal.append(
                    transaction, Act.RUN_EXPIRED, f"run/{run}", actor=actor, detail={"days": days},
                    why=f"the policy '{self._policy.name}' keeps runs for {days} days",
                )  # fmt: skip
                gone.append(run)
            unneeded = candidates - referred(transaction, {digest for digest, _ in candidates})
            for digest, holder in unneeded:
                transaction.execute("DELETE FROM contents WHERE digest = ? AND holder = ?", (digest, holder))
            return gone, len(unneeded)

        return self._state.database.write(work)

    def _over(self, transaction: Transaction, run: str, before: str, young: int, actor: str) -> bool:
        """Whether it is still there, ended before a moment, and in nobody's hands: others may have come first."""
        row = transaction.execute("SELECT state, finished_at FROM runs WHERE id = ?", (run,)).fetchone()
        if row is not None:
            ended = row[0] in ("released", "failed", "cancelled") and row[1] < before
        else:
            there = transaction.execute("SELECT 1 FROM steps WHERE run_id = ?", (run,)).fetchone()
            ended = bool(there) and self._state.journal.numbers(transaction, f"run/{run}", 1)[0] < young
        return ended and self._state.runs.vacated(transaction, run, worker=actor)

    def _told(self, run: str) -> set[tuple[str, str]]:
        """The plans and results, earlier ones too, that entries about a run name, with their holders."""
        found = map(self._state.journal.detail, self._state.journal.about(f"run/{run}"))
        return {
            (detail[name], holder)
            for detail, holder in found
            for name in ("plan", "kept", "result")
            if name in detail
        }

    def _forget_conversions(self, before: str) -> None:
        def work(transaction: Transaction) -> None:
            transaction.execute(
                "DELETE FROM documents WHERE at < ? AND NOT EXISTS "
                "(SELECT 1 FROM refs WHERE refs.sha256 = documents.source AND refs.holder = documents.holder)",
                (before,),
            )

        self._state.database.write(work)

    def _forget_deliveries(self, before: str) -> None:
        """Folders that a server on this host delivered before a moment, of runs that are no longer there."""
        moment = datetime.fromisoformat(before).timestamp()
        old = [path for path in self._deliveries.glob("[!.]*") if path.stat().st_mtime < moment]
        known = {run for (run,) in self._state.database.rows("SELECT id FROM runs")} if old else set[str]()
        for folder in old:
            if folder.name not in known:
                shutil.rmtree(folder, ignore_errors=True)


_SAID_OF_RUN = (
    "SELECT ticket, holder FROM tickets WHERE run_id = ?",
    "SELECT d.decision, t.holder FROM decisions d JOIN tickets t ON t.id = d.ticket_id WHERE t.run_id = ?",
)
