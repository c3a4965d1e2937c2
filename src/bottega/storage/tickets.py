"""Review tickets, the decisions on them and their timers, as the journal tells it."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

from bottega.core.canonical import canonical_json, digest_bytes
from bottega.core.entry import Act
from bottega.core.errors import NotFound, Tampered
from bottega.storage.contents import Contents
from bottega.storage.database import Transaction
from bottega.storage.journal import Journal

TicketState = Literal["open", "approved", "applied", "rejected", "expired"]


@dataclass(frozen=True)
class Opening:
    """A ticket to open: its document, what it is about, and its times in seconds from then on (0: none).

    ``plan`` is the digest of the plan that an output is about: when the run goes on with another, the ticket expires.
    ``question`` is what a ticket about a budget answers: it is asked once, whatever runs wait for it, and expires when
    none does any more.
    """

    ticket: bytes
    run: str
    step: str
    port: str = ""
    plan: str = ""
    kind: str = "output"
    question: str = ""
    due_s: int = 0
    expires_s: int = 0
    escalate_to: str = ""
    behalf: str = ""
    holder: str = ""


@dataclass(frozen=True)
class Stored:
    """A ticket as it stands. ``applied``: it was approved, and its step has gone on with that."""

    id: str
    run: str
    step: str
    state: TicketState
    owner: str
    opened_at: str
    due_at: str
    expires_at: str
    escalated: bool
    holder: str
    ticket: bytes
    decisions: tuple[bytes, ...]


class Tickets:
    """What waits for people, and what was decided.

    Nothing polls the times: whoever looks calls `due` first, and a worker that waits sleeps until `next_due`.
    """

    def __init__(self, journal: Journal, contents: Contents) -> None:
        self._journal = journal
        self._database = journal.database
        self._contents = contents

    def open(self, opening: Opening, *, actor: str) -> str:
        """Open a ticket and give its id, the digest of its document.

        The same ticket again changes nothing, unless it has expired: it then gets the next serial number. A ticket about
        an output replaces what was open, or approved and not applied yet, about the same output.
        """
        return self._database.write(
            lambda transaction: self.opened(transaction, opening, actor=actor), durable=True
        )

    def opened(self, transaction: Transaction, opening: Opening, *, actor: str) -> str:
        """As `open`, in the caller's transaction."""
        known = transaction.execute(
            "SELECT id FROM tickets WHERE question = ? AND question <> '' AND state <> 'expired'",
            (opening.question,),
        ).fetchone()
        if known is not None:
            return known[0]
        body = opening.ticket
        while found := transaction.execute(
            "SELECT state FROM tickets WHERE id = ?", (name := digest_bytes(body),)
        ).fetchone():
            if found[0] != "expired":
                return name
            document = json.loads(body)
            body = canonical_json({**document, "serial": document.get("serial", 0) + 1})
        if opening.kind == "output":
            for other, holder in transaction.execute(
                "SELECT id, holder FROM tickets WHERE run_id = ? AND step_id = ? AND port = ? AND kind = 'output' "
                "AND state IN ('open', 'approved')",
                (opening.run, opening.step, opening.port),
            ).fetchall():
                self._expire(transaction, other, holder, "what it was about has changed", actor)
        self._contents.keep(transaction, body, holder=opening.holder)
        facts = {
            "kind": opening.kind, "run": opening.run, "step": opening.step, "port": opening.port,
            "plan": opening.plan, "question": opening.question, "ticket": name, "due_s": opening.due_s, "expires_s": opening.expires_s,
            "escalate_to": opening.escalate_to,
        }  # fmt: skip
        self._journal.append(
            transaction, Act.TICKET_OPENED, f"ticket/{name}", actor=actor, behalf=opening.behalf, holder=opening.holder,
            detail={key: value for key, value in facts.items() if value},
        )  # fmt: skip
        return name

    def decide(
        self,
        ticket_id: str,
        outcome: Literal["approve", "reject"],
        who: str,
        decision: bytes,
        why: str,
        *,
        rule: Callable[[Stored], bool],
        by: str = "",
    ) -> Stored:
        """Take a decision and give the ticket as it then stands; durable when this returns.

        ``rule`` sees the ticket inside the transaction. It raises when the decision may not be taken, and says whether
        an approval gives all that is asked; a rejection always ends the ticket. ``by`` is the login or key that ``who`` acts with.

        Raises:
            NotFound: there is no such open ticket.
        """
        act = Act.TICKET_APPROVED if outcome == "approve" else Act.TICKET_REJECTED

        def work(transaction: Transaction) -> Stored:
            stored = self._open_one(transaction, ticket_id)
            closed = rule(stored) or outcome == "reject"
            body = self._contents.keep(transaction, decision, holder=stored.holder)
            self._journal.append(
                transaction, act, f"ticket/{ticket_id}", actor=f"person:{who}", holder=stored.holder,
                why="" if stored.holder else why, detail={"decision": body, "closed": closed, **({"by": by} if by else {})},
            )  # fmt: skip
            return self._one(transaction, ticket_id)

        return self._database.write(work, durable=True)

    def claim(self, ticket_id: str, who: str, *, may: Callable[[Stored], None]) -> Stored:
        """Note who has taken a ticket on; ``may`` sees it inside the transaction and raises when they may not.

        Raises:
            NotFound: there is no such open ticket.
        """

        def work(transaction: Transaction) -> Stored:
            stored = self._open_one(transaction, ticket_id)
            may(stored)
            self._journal.append(
                transaction, Act.TICKET_CLAIMED, f"ticket/{ticket_id}", actor=f"person:{who}",
                holder=stored.holder, detail={"owner": who},
            )  # fmt: skip
            return self._one(transaction, ticket_id)

        return self._database.write(work, durable=True)

    def find(self, *, run: str = "", start: str = "") -> list[Stored]:
        """Tickets of a run, or whose id starts so, or all; oldest first. Those of an erased data subject are left out."""
        where, values = "", ()
        if run:
            where, values = "WHERE t.run_id = ?", (run,)
        elif start:
            where, values = "WHERE substr(t.id, 1, ?) = ?", (len(start), start)
        return self._read(lambda query, given: self._database.rows(query, *given), where, values)

    def due(self, now: str) -> int:
        """Apply what time has brought, and give how many tickets changed.

        What is overdue goes, once, to whom it escalates. What has expired, approved or not, is closed, and opened again
        without its approvals while its run still waits. What is about an earlier plan or a released run is closed.
        """
        if not any(self._database.rows(query, *values) for query, values in _due(now)):
            return 0

        def work(transaction: Transaction) -> int:
            stale, late, overdue = (
                transaction.execute(query, values).fetchall() for query, values in _due(now)
            )
            for name, holder in stale:
                self._expire(transaction, name, holder, "nothing waits for it any more", _TIMER)
            gone = {row[0] for row in stale}
            for name, holder in late:
                if name not in gone:
                    self._renew(transaction, name, holder)
            gone |= {row[0] for row in late}
            rest = [row for row in overdue if row[0] not in gone]
            for name, holder, escalate_to in rest:
                self._journal.append(
                    transaction, Act.TICKET_ESCALATED, f"ticket/{name}", actor=_TIMER, holder=holder,
                    why="nobody decided in time", detail={"owner": escalate_to},
                )  # fmt: skip
            return len(gone) + len(rest)

        return self._database.write(work, durable=True)

    def next_due(self) -> str:
        """When `due` will next have something to do; "" when no timer runs."""
        (row,) = self._database.rows(
            f"SELECT MIN(at) FROM (SELECT due_at AS at FROM tickets WHERE {_OVERDUE} "
            f"UNION ALL SELECT expires_at FROM tickets WHERE {_LATE}) AS timers"
        )
        return row[0] or ""

    def _renew(self, transaction: Transaction, name: str, holder: str) -> None:
        """Expire a ticket; open it again while its run, or the budget, still waits."""
        row = transaction.execute(
            "SELECT t.kind, t.run_id, t.step_id, t.port, t.plan, t.question, t.due_s, t.expires_s, t.expires_at, t.escalate_to, r.state, "
            "r.requested_by FROM tickets t LEFT JOIN runs r ON r.id = t.run_id WHERE t.id = ?",
            (name,),
        ).fetchone()
        kind, run, step, port, plan, question, due_s, expires_s, expired_at, escalate_to, state, behalf = row
        self._expire(transaction, name, holder, f"nobody could use it before {expired_at}", _TIMER)
        body = self._contents.find(transaction, name, holder=holder)
        if body is None or (kind == "output" and state not in ("planned", "running", "awaiting_review")):
            return
        opening = Opening(
            body, run, step, port, plan, kind, question, due_s, expires_s, escalate_to, behalf or "", holder
        )
        self.opened(transaction, opening, actor=_TIMER)

    def _expire(self, transaction: Transaction, name: str, holder: str, why: str, actor: str) -> None:
        self._journal.append(
            transaction, Act.TICKET_EXPIRED, f"ticket/{name}", actor=actor, holder=holder, why=why
        )

    def _open_one(self, transaction: Transaction, ticket_id: str) -> Stored:
        stored = self._one(transaction, ticket_id)
        if stored.state != "open" or (stored.expires_at and stored.expires_at <= self._journal.now()):
            state = "expired" if stored.state == "open" else stored.state
            raise NotFound(
                f"no open review '{ticket_id[:12]}': it is {state}",
                remedy="`bottega review list` shows the open ones",
            )
        return stored

    def _one(self, transaction: Transaction, ticket_id: str) -> Stored:
        found = self._read(
            lambda query, given: transaction.execute(query, given).fetchall(), "WHERE t.id = ?", (ticket_id,)
        )
        if not found:
            raise NotFound(f"no review '{ticket_id}'", remedy="`bottega review list` shows the open ones")
        return found[0]

    def _read(
        self,
        rows: Callable[[str, Sequence[object]], list[Any]],
        where: str,
        values: Sequence[object],
    ) -> list[Stored]:
        said: dict[str, list[bytes]] = {}
        for ticket, name, holder, stored in rows(
            "SELECT d.ticket_id, d.decision, t.holder, c.body FROM decisions d JOIN tickets t ON t.id = d.ticket_id "
            f"LEFT JOIN contents c ON c.digest = d.decision AND c.holder = t.holder {where} ORDER BY d.n",
            values,
        ):
            if body := self._plain(stored, name, holder):
                said.setdefault(ticket, []).append(body)
        found: list[Stored] = []
        for row in rows(
            "SELECT t.id, t.run_id, t.step_id, t.state, t.owner, t.opened_at, t.due_at, t.expires_at, t.escalated, "
            "t.holder, t.ticket, c.body FROM tickets t "
            f"LEFT JOIN contents c ON c.digest = t.ticket AND c.holder = t.holder {where} ORDER BY t.n",
            values,
        ):
            name, run, step, state, owner, opened_at, due_at, expires_at, escalated, holder, digest, kept = (
                row
            )
            if body := self._plain(kept, digest, holder):
                found.append(
                    Stored(
                        name, run, step, cast(TicketState, state), owner, opened_at, due_at, expires_at,
                        bool(escalated), holder, body, tuple(said.get(name, ())),
                    )
                )  # fmt: skip
        return found

    def _plain(self, stored: bytes | None, name: str, holder: str) -> bytes | None:
        body = self._contents.read(stored, holder=holder) if stored else None
        if body is not None and digest_bytes(body) != name:
            raise Tampered(f"the document {name[:12]} of a review was changed in the database")
        return body


_TIMER = "bottega:timer"
_STALE = (
    "SELECT t.id, t.holder FROM tickets t LEFT JOIN runs r ON r.id = t.run_id WHERE t.state IN ('open', 'approved') "
    "AND ((t.kind = 'output' AND t.plan <> r.plan) OR (t.kind = 'output' AND t.state = 'open' AND r.state = 'released') "
    "OR (t.question <> '' AND t.state = 'open' AND NOT EXISTS "
    "(SELECT 1 FROM waits w WHERE w.question = t.question AND w.answered = 0))) ORDER BY t.n"
)
_LATE = "expires_at <> '' AND (state = 'open' OR (state = 'approved' AND kind = 'output'))"
_OVERDUE = "state = 'open' AND escalated = 0 AND escalate_to <> '' AND due_at <> ''"


def _due(now: str) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """What finds the tickets that nobody needs, those that have expired, and those that are overdue."""
    return (
        (_STALE, ()),
        (f"SELECT id, holder FROM tickets WHERE {_LATE} AND expires_at <= ? ORDER BY n", (now,)),
        (f"SELECT id, holder, escalate_to FROM tickets WHERE {_OVERDUE} AND due_at <= ? ORDER BY n", (now,)),
    )
