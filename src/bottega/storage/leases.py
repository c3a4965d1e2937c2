"""Steps under leases: claimed, fenced, ended once. Every change is an entry of the journal, and made to its end."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar

from bottega.core.canonical import digest_bytes
from bottega.core.entry import Act
from bottega.core.errors import LeaseLost, StorageFailed
from bottega.core.run import Made, StepResult, StepState
from bottega.core.value import JsonObject
from bottega.storage.budgets import Budgets, Charge, Refusal, exceeded
from bottega.storage.change import Change, ended
from bottega.storage.contents import Contents
from bottega.storage.database import Transaction, Work
from bottega.storage.journal import NEVER, Journal
from bottega.storage.wakes import Wakes
from bottega.storage.workers import RESTARTED, SIGNED_OFF, Workers

T = TypeVar("T")

POISON = 3  # deaths of a step's worker after which it is parked


@dataclass
class Claim:
    """A wish to run one step, or to learn that it need not run. Nobody changes it.

    ``shown`` says whether a person must see a result: a finished one is then given along with a lease, to be settled,
    in place of being taken over; ``judge_again`` says the same of one that was judged by something else. ``at_once`` limits how many steps of this engine run at a time, on all hosts;
    ``here_at_once`` how many local steps run on this host; those in a ``lane`` are counted apart. ``charge`` is reserved from its budgets in the same
    transaction.
    """

    run: str
    round: int
    step: str
    key: str
    checks: str
    engine: str
    local: bool = True
    lane: str = ""
    reuse: bool = True
    judge_again: bool = False
    shown: "Callable[[StepResult], bool]" = lambda result: result.blocked
    at_once: int = 1
    here_at_once: int = 1
    detail: Mapping[str, Any] = field(default_factory=dict[str, Any])
    behalf: str = ""
    holder: str = ""
    charge: Charge | None = None

    @property
    def place(self) -> str:
        """What it takes a place of."""
        return f"{self.engine}/{self.lane}" if self.lane else self.engine


class Lease(NamedTuple):
    """The right to run one step. ``token`` is its fencing token: the number of its entry in the journal."""

    claim: Claim
    token: int
    attempt: int = 1
    delays: int = 0  # times that its engine has asked to come back later
    before: StepResult | None = None  # what a person was looking at, when the key is the same
    charged: bool = False  # something is reserved under its token
    stored: StepResult | None = None  # made under the same key, and judged by something else


@dataclass(frozen=True)
class Turn:
    """Who does something outside the database.

    ``number`` is larger than that of whoever had the turn before; ``check`` raises when somebody else has it now.
    """

    number: int = 0
    check: Callable[[], None] = lambda: None


@dataclass(frozen=True)
class Busy:
    """Not now: another worker has the step, too many of its kind are running, or its engine asked for time."""

    why: str
    worker: str = ""
    until: str = ""


Found = Lease | StepResult | Busy  # what a claim comes to


class Leases:
    """Who may run which step, and how it ended, as the journal tells it."""

    def __init__(self, journal: Journal, workers: Workers, contents: Contents, budgets: Budgets) -> None:
        self.budgets = budgets
        self._journal = journal
        self._database = journal.database
        self._workers = workers
        self._contents = contents
        self._given_up: dict[int, str] = {}  # leases of this process that could not be given back, and why

    @property
    def wakes(self) -> Wakes:
        """Rings after each change."""
        return self._database.wakes

    async def claim(self, claim: Claim, *, worker: str, host: str) -> Found:
        """Lease a step, or give the result that makes running it needless, or say who is in the way.

        A result of the same key and checks is taken over, from this run or, unless ``reuse`` is off, from any. A lease
        whose worker is gone is taken over with a new token. A step that ended its worker `POISON` times is parked.
        In a round that has ended, or was left behind by a newer one, nothing is leased: the step is skipped.
        A step whose charge its budgets refuse comes to wait for a person; nothing is reserved for it.
        A lease that comes with a cancellation is given back.
        """
        change = self._database.offer(
            lambda transaction: self._claimed(transaction, claim, worker, host),
            durable=claim.charge is not None,
        )
        return await self._kept(change, worker)

    async def finish(
        self,
        lease: Lease,
        result: StepResult,
        *,
        worker: str,
        reusable: bool = False,
        until: str = "",
        used: Mapping[str, int] | None = None,
        then: Claim | None = None,
        host: str = "",
    ) -> Found | None:
        """Write down how a leased step ended: done, awaiting_review, failed, stopped or delayed.

        What it ``used`` (millionths of each unit; None when nobody knows) is settled with its budgets. The step that
        comes ``then`` is claimed on ``host`` in the same change, and what `claim` would give is given: one commit in
        place of two. None when nothing was to be claimed, or the claim failed; it says why when it is made again.

        Raises:
            LeaseLost: another worker has taken the step over; nothing is written, and nothing claimed.
        """
        end = self._end(lease, result, worker=worker, reusable=reusable, until=until, used=used)

        def work(transaction: Transaction) -> Found | None:
            end(transaction)
            return None if then is None else self._claimed(transaction, then, worker, host)

        durable = lease.charged or bool(result.approved_by) or (then is not None and then.charge is not None)
        try:
            return await self._to_its_end(lease, work, worker, durable=durable)
        except (LeaseLost, StorageFailed):
            raise
        except Exception:
            if then is None:
                raise
            return await self.finish(
                lease, result, worker=worker, reusable=reusable, until=until, used=used
            )  # the end of a step does not depend on what comes next

    def _end(
        self,
        lease: Lease,
        result: StepResult,
        *,
        worker: str,
        reusable: bool,
        used: Mapping[str, int] | None,
        until: str = "",
    ) -> Work[None]:
        """Writes down how a leased step ended."""
        claim = lease.claim
        act = _ACTS[result.state]
        body, name = result.canonical(), ""
        detail = {**ended_detail(result), "round": claim.round, "token": lease.token}
        if until:
            detail |= {"until": until, "delays": lease.delays + 1}
        if result.outputs:
            name = digest_bytes(body)
            detail |= {"result": name, "checks": claim.checks, "reusable": reusable}

        def work(transaction: Transaction) -> None:
            self._fence(transaction, lease, worker)
            if result.outputs:
                self._contents.keep(transaction, body, holder=claim.holder, name=name)
            self._journal.append(
                transaction, act, f"run/{claim.run}/step/{claim.step}", actor=worker, behalf=claim.behalf,
                detail=detail, cost={"usd": round(result.cost * 1e6)} if result.cost else None, holder=claim.holder,
            )  # fmt: skip
            self._settle(transaction, lease, used, worker)

        return work

    def turn(self, lease: Lease, *, worker: str) -> Turn:
        """The lease, for whoever does what no transaction can refuse; its check raises `LeaseLost` once another worker has it."""

        def check() -> None:
            rows = self._database.rows(
                "SELECT token, worker FROM leases WHERE run_id = ? AND step_id = ?",
                lease.claim.run,
                lease.claim.step,
            )
            self._refuse_other(lease, worker, rows[0] if rows else None)

        return Turn(lease.token, check)

    async def died(
        self, lease: Lease, evidence: Mapping[str, Any], *, worker: str, used: Mapping[str, int] | None = None
    ) -> None:
        """Write down that the process of the step's engine ended under it; the lease is given back.

        Raises:
            LeaseLost: another worker has taken the step over.
        """
        claim = lease.claim

        def work(transaction: Transaction) -> None:
            self._fence(transaction, lease, worker)
            self._journal.append(
                transaction, Act.STEP_DIED, f"run/{claim.run}/step/{claim.step}", actor=worker, behalf=claim.behalf,
                detail={"key": claim.key, "token": lease.token, "evidence": dict(evidence)}, holder=claim.holder,
            )  # fmt: skip
            self._settle(transaction, lease, used, worker)

        await self._to_its_end(lease, work, worker, durable=lease.charged)

    async def let_go(
        self,
        lease: Lease,
        *,
        worker: str,
        used: Mapping[str, int] | None = None,
        why: str = "its worker was asked to leave",
    ) -> None:
        """Give a lease back unfinished, for another worker; this is no death of the step.

        Raises:
            LeaseLost: another worker has taken the step over.
            StorageFailed: it cannot be written; whoever claims the step in this process takes the lease over.
        """
        claim = lease.claim

        def work(transaction: Transaction) -> None:
            self._fence(transaction, lease, worker)
            self._journal.append(
                transaction, Act.STEP_LOST, f"run/{claim.run}/step/{claim.step}", actor=worker, behalf=claim.behalf,
                detail={"worker": worker, "token": lease.token, "key": claim.key, "counts": False},
                why=why, holder=claim.holder,
            )  # fmt: skip
            self._settle(transaction, lease, used, worker)

        await self._to_its_end(lease, work, worker, durable=lease.charged)

    async def _to_its_end(
        self, lease: Lease, work: Work[T], worker: str, *, durable: bool, here: bool = False
    ) -> T:
        """Write how a lease ended. If that fails it is given up: it ended all the same, also when this task is cancelled."""
        change = self._database.offer(work, durable=durable, here=here)
        try:
            return await self._kept(change, worker)
        finally:
            if isinstance(failure := change.exception(), StorageFailed):
                self._given_up[lease.token] = failure.message

    def _claimed(self, transaction: Transaction, claim: Claim, worker: str, host: str) -> Found:
        """As `claim`, in the caller's transaction."""
        subject = f"run/{claim.run}/step/{claim.step}"
        run = transaction.execute("SELECT round, state FROM runs WHERE id = ?", (claim.run,)).fetchone()
        if run is not None and (run[0] != claim.round or run[1] != "running"):
            return StepResult(
                step=claim.step, key=claim.key, state="skipped", error="this round of work has ended"
            )
        holder, others = self._held(transaction, claim, worker, host)
        if holder:
            return Busy("another worker has it", holder)
        row = transaction.execute(
            "SELECT round, state, key, result, error, deaths, delays, wake_at, checks FROM steps WHERE run_id = ? AND step_id = ?",
            (claim.run, claim.step),
        ).fetchone()
        deaths, delays, before, stored, judges = 0, 0, None, None, ""
        if row is not None and row[2] == claim.key:
            round_, state, key, digest, error, deaths, delays, wake_at, checks = row
            body = self._contents.find(transaction, digest, holder=claim.holder) if digest else None
            if state == "delayed" and wake_at > self._journal.now():
                return Busy(error, until=wake_at)
            if round_ == claim.round and state != "delayed":
                return step_result(claim.step, state, key, error, body)
            delays = delays if round_ == claim.round else 0
            shown = state in ("awaiting_review", "waiting") and checks == claim.checks
            if shown and body is not None:
                before = step_result(claim.step, state, key, error, body)
        if found := self._finished(transaction, claim):
            n, digest, result, judged = found
            if not judged:
                stored, judges = result, digest
            elif not claim.shown(result):
                return self._reuse(transaction, claim, n, digest, result, worker)
            else:
                before = result
        if deaths >= POISON:
            return self._park(transaction, claim, deaths, worker)
        if busy := _crowded(others, claim, host):
            return busy
        charge, approval = claim.charge if before is None else None, ""
        if charge is not None:
            approval = self._admit(transaction, claim, charge, worker)
            if isinstance(approval, Refusal):
                if not approval.until:
                    return self._unpaid(transaction, claim, approval, worker)
                if run is None:  # a call has nobody who waits
                    raise exceeded(approval, self._journal.now())
                return Busy(approval.reason, until=approval.until)
        detail = {"key": claim.key, "engine": claim.engine, "round": claim.round, "attempt": deaths + 1}
        detail |= {"lane": claim.lane} if claim.lane else {}
        detail |= {"judges": judges} if judges else {}
        token = self._journal.append(
            transaction, Act.STEP_LEASED, subject, actor=worker, behalf=claim.behalf, holder=claim.holder,
            detail={**detail, "host": host if claim.local else "", **claim.detail},
        )  # fmt: skip
        if charge is not None:
            self.budgets.hold(
                transaction, token, charge, subject, actor=worker, behalf=claim.behalf, approval=approval
            )
        return Lease(claim, token, deaths + 1, delays, before, charge is not None, stored)

    async def _kept(self, change: Change[T], worker: str) -> T:
        """The outcome of a change; a lease that comes with a cancellation is given back."""
        try:
            return await ended(change)
        except asyncio.CancelledError:
            if not change.exception() and isinstance(lease := change.result(), Lease):
                with suppress(LeaseLost, StorageFailed):
                    await self.let_go(lease, worker=worker, used={})
            raise

    def _fence(self, transaction: Transaction, lease: Lease, worker: str) -> None:
        """The worker too: a database restored to an earlier moment may give the same token to another."""
        row = transaction.execute(
            "SELECT token, worker FROM leases WHERE run_id = ? AND step_id = ?",
            (lease.claim.run, lease.claim.step),
        ).fetchone()
        self._refuse_other(lease, worker, row)

    def _refuse_other(self, lease: Lease, worker: str, row: Sequence[Any] | None) -> None:
        if row is None or (row[0], row[1]) != (lease.token, worker):
            raise LeaseLost(
                f"another worker has taken over step '{lease.claim.step}'", where=f"run '{lease.claim.run}'"
            )

    def _finished(self, transaction: Transaction, claim: Claim) -> tuple[int, str, StepResult, bool] | None:
        """A finished result with this key: its entry, its digest, itself, and whether it was judged by the same."""
        anywhere = "OR reusable = 1" if claim.reuse else ""
        same = "FROM results WHERE key = ? AND checks = ? AND holder = ?"
        (found,) = (
            transaction.execute(  # its own first; smallest and not sorted, which costs a sorter even for no row
                f"SELECT MIN(CASE WHEN run_id = ? THEN n ELSE n + {NEVER} END) {same} AND (run_id = ? {anywhere})",
                (claim.run, claim.key, claim.checks, claim.holder, claim.run),
            ).fetchone()
        )
        row = None
        if found is not None:
            row = transaction.execute(
                f"SELECT n, result {same} AND n = ?", (claim.key, claim.checks, claim.holder, found % NEVER)
            ).fetchone()
        elif claim.judge_again:
            row = transaction.execute(
                f"SELECT n, result FROM results WHERE key = ? AND holder = ? AND (run_id = ? {anywhere}) LIMIT 1",
                (claim.key, claim.holder, claim.run),
            ).fetchone()
        body = self._contents.find(transaction, row[1], holder=claim.holder) if row else None
        if row is None or body is None:
            return None
        return row[0], row[1], step_result(claim.step, "reused", claim.key, "", body), found is not None

    def _reuse(
        self, transaction: Transaction, claim: Claim, n: int, digest: str, result: StepResult, worker: str
    ) -> StepResult:
        self._journal.append(
            transaction, Act.STEP_REUSED, f"run/{claim.run}/step/{claim.step}", actor=worker, behalf=claim.behalf,
            detail={
                "round": claim.round, "key": claim.key, "from": n, "result": digest,
                "outputs": [_brief(made) for made in result.outputs],
            },
            holder=claim.holder,
        )  # fmt: skip
        return result

    def _held(
        self, transaction: Transaction, claim: Claim, worker: str, host: str
    ) -> tuple[str, list[Sequence[Any]]]:
        """Who holds the step, if anybody does, and the other leases that may be in the way.

        Those of gone workers are taken from them.
        """
        holder, others = "", list[Sequence[Any]]()
        for lease in transaction.execute(
            "SELECT run_id, step_id, token, worker, engine, host FROM leases"
        ).fetchall():
            mine = lease[0] == claim.run and lease[1] == claim.step
            if not mine and lease[4] != claim.place and not (claim.local and lease[5] == host):
                continue
            if gone := self._workers.gone(lease[3]) or self._given_up.get(lease[2], ""):
                self._lost(transaction, lease, gone, worker)
            elif mine:
                holder = lease[3]
            else:
                others.append(lease)
        return holder, others

    def vacated(self, transaction: Transaction, run: str, *, worker: str) -> bool:
        """Whether nobody is at a step of a run any more. Leases of gone workers are taken from them and settled."""
        leases = transaction.execute(
            "SELECT run_id, step_id, token, worker FROM leases WHERE run_id = ?", (run,)
        ).fetchall()
        for lease in leases:
            gone = self._workers.gone(lease[3])
            if not gone:
                return False
            self._lost(transaction, lease, gone, worker)
        return True

    def _lost(self, transaction: Transaction, lease: Sequence[Any], why: str, worker: str) -> None:
        """Take a gone worker's lease away; an end that it announced, or that took its host along, does not count against the step."""
        run, step, token, gone = lease[:4]
        row = transaction.execute("SELECT holder, charge FROM runs WHERE id = ?", (run,)).fetchone()
        self._journal.append(
            transaction, Act.STEP_LOST, f"run/{run}/step/{step}", actor=worker, why=why, holder=row[0] if row else "",
            detail={"worker": gone, "token": token, "counts": why not in (SIGNED_OFF, RESTARTED)},
        )  # fmt: skip
        if row is None or row[1] != "[]":  # a call outside a run may be charged too
            self.budgets.settle(transaction, token, None, actor=worker, why=why)

    def _admit(self, transaction: Transaction, claim: Claim, charge: Charge, worker: str) -> Refusal | str:
        """As `Budgets.admit`; before it is refused, what dead workers hold on its accounts is given back."""
        subject = f"run/{claim.run}/step/{claim.step}"
        found = self.budgets.admit(transaction, charge, subject, claim.key)
        if isinstance(found, Refusal):
            held = self.budgets.holders(transaction, charge.accounts)
            leases = transaction.execute("SELECT run_id, step_id, token, worker FROM leases").fetchall()
            gone = [
                (lease, why) for lease in leases if lease[2] in held and (why := self._workers.gone(lease[3]))
            ]
            for lease, why in gone:
                self._lost(transaction, lease, why, worker)
            if gone:
                found = self.budgets.admit(transaction, charge, subject, claim.key)
        return found

    def _unpaid(self, transaction: Transaction, claim: Claim, refusal: Refusal, worker: str) -> StepResult:
        """The step waits until its budgets have more or a person allows it, and fails when the person said no."""
        subject = f"run/{claim.run}/step/{claim.step}"
        state: StepState = "failed" if refusal.rejected_by else "awaiting_review"
        error = f"{refusal.reason}; {refusal.rejected_by} said no" if refusal.rejected_by else refusal.reason
        self.budgets.refuse(transaction, refusal, subject, claim.round, actor=worker)
        self._journal.append(
            transaction, _ACTS[state], subject, actor=worker, behalf=claim.behalf, holder=claim.holder,
            detail={"round": claim.round, "key": claim.key, "error": error},
        )  # fmt: skip
        return StepResult(step=claim.step, key=claim.key, state=state, error=error)

    def _settle(
        self, transaction: Transaction, lease: Lease, used: Mapping[str, int] | None, worker: str
    ) -> None:
        if lease.charged:
            self.budgets.settle(transaction, lease.token, used, actor=worker, behalf=lease.claim.behalf)

    def _park(self, transaction: Transaction, claim: Claim, deaths: int, worker: str) -> StepResult:
        subject = f"run/{claim.run}/step/{claim.step}"
        error = f"it ended its worker {deaths} times; see `bottega audit log {subject}`"
        self._journal.append(
            transaction, Act.STEP_PARKED, subject, actor=worker, behalf=claim.behalf, holder=claim.holder,
            detail={
                "round": claim.round, "key": claim.key, "deaths": deaths, "error": error,
                "evidence": self._journal.numbers(transaction, subject, 2 * deaths),
            },
        )  # fmt: skip
        return StepResult(step=claim.step, key=claim.key, state="parked", error=error)


_ACTS: dict[StepState, Act] = {
    "done": Act.STEP_FINISHED,
    "awaiting_review": Act.STEP_WAITING,
    "failed": Act.STEP_FAILED,
    "stopped": Act.STEP_STOPPED,
    "delayed": Act.STEP_DELAYED,
}


def step_result(step: str, state: Any, key: str, error: str, body: bytes | None) -> StepResult:
    """A stored result as that of this step, in this state; a reused one took no time and cost nothing here."""
    if body is None:
        return StepResult(step=step, key=key, state=state, error=error)
    result = StepResult.model_validate_json(body)
    changed: JsonObject = {"step": step, "state": state}
    if state == "reused":
        changed |= {"seconds": 0.0, "cost": 0.0, "approved_by": ""}  # an approval is for one run
    return result.model_copy(update=changed)


def _crowded(leases: Sequence[Sequence[Any]], claim: Claim, host: str) -> Busy | None:
    """Whether as many steps of this engine, or of this host, run as may."""
    same = [lease[3] for lease in leases if lease[4] == claim.place]
    if len(same) >= claim.at_once:
        return Busy(f"{claim.at_once} of '{claim.engine}' at once", same[0])
    here = [lease[3] for lease in leases if claim.local and lease[5] == host]
    if len(here) >= claim.here_at_once:
        return Busy(f"{claim.here_at_once} at once on this host", here[0])
    return None


def ended_detail(result: StepResult) -> JsonObject:
    """What the journal tells of a step that has ended: references and measures."""
    detail: JsonObject = {
        "key": result.key,
        "attempts": result.attempts,
        "ms": round(result.seconds * 1000),
        "outputs": [_brief(made) for made in result.outputs],
    }
    facts = (("usage", result.usage), ("error", result.error), ("approved_by", result.approved_by))
    return detail | {name: value for name, value in facts if value}


def _brief(made: Made) -> JsonObject:
    """What the journal keeps of an output: a reference, and what each check said."""
    artifact = made.artifact
    verdicts = {verdict.check: verdict.outcome for verdict in made.verdicts}
    return {
        "port": made.port,
        "sha256": artifact.sha256,
        "media_type": artifact.media_type,
        "size": artifact.size,
        **({"checks": verdicts} if verdicts else {}),
    }
