"""Review tickets and the decisions on them, as the journal tells it."""

from typing import Literal

from bottega.core.entry import Act
from bottega.core.errors import NotFound
from bottega.storage.contents import Contents
from bottega.storage.database import Transaction
from bottega.storage.journal import Journal, Line


class Tickets:
    """What waits for a person, and what was decided."""

    def __init__(self, journal: Journal, contents: Contents) -> None:
        self._journal = journal
        self._database = journal.database
        self._contents = contents

    def open(self, ticket_id: str, run_id: str, step: str, ticket: bytes, *, holder: str = "") -> None:
        """Open a ticket; the same ticket again changes nothing."""

        def work(transaction: Transaction) -> None:
            if transaction.execute("SELECT 1 FROM tickets WHERE id = ?", (ticket_id,)).fetchone():
                return
            body = self._contents.keep(transaction, ticket, holder=holder)
            self._journal.append(
                transaction, Act.TICKET_OPENED, f"ticket/{ticket_id}", actor="bottega", holder=holder,
                detail={"run": run_id, "step": step, "ticket": body},
            )  # fmt: skip

        self._database.write(work, durable=True)

    def decide(
        self, ticket_id: str, outcome: Literal["approve", "reject"], who: str, decision: bytes
    ) -> None:
        """Close a ticket, once.

        Raises:
            NotFound: there is no such open ticket.
        """
        act = Act.TICKET_APPROVED if outcome == "approve" else Act.TICKET_REJECTED

        def work(transaction: Transaction) -> None:
            row = transaction.execute(
                "SELECT state, holder FROM tickets WHERE id = ?", (ticket_id,)
            ).fetchone()
            if row is None or row[0] != "open":
                raise NotFound(
                    f"no open review '{ticket_id}'", remedy="`bottega review list` shows the open ones"
                )
            body = self._contents.keep(transaction, decision, holder=row[1])
            self._journal.append(
                transaction, act, f"ticket/{ticket_id}", actor=who, detail={"decision": body}, holder=row[1]
            )

        self._database.write(work, durable=True)

    def all(self, run_id: str = "") -> list[tuple[str, str, str, str | None]]:
        """Tickets as (id, run id, ticket JSON, decision JSON or None), oldest first."""
        rows = self._database.rows(
            "SELECT t.id, t.run_id, t.ticket, t.holder, d.decision FROM tickets t "
            "LEFT JOIN decisions d ON d.ticket_id = t.id ORDER BY t.n"
        )
        return [
            (
                row[0],
                row[1],
                self._contents.get(row[2], holder=row[3]).decode(),
                self._contents.get(row[4], holder=row[3]).decode() if row[4] else None,
            )
            for row in rows
            if not run_id or row[1] == run_id
        ]


def _opened(transaction: Transaction, line: Line) -> None:
    detail = line.detail
    transaction.execute(
        "INSERT INTO tickets (id, n, run_id, step_id, ticket, state, owner, due_at, expires_at, holder) "
        "VALUES (?, ?, ?, ?, ?, 'open', '', '', '', ?)",
        (
            line.subject.split("/")[1],
            line.n,
            detail.get("run", ""),
            detail.get("step", ""),
            detail.get("ticket", ""),
            line.holder,
        ),
    )


def _decided(transaction: Transaction, line: Line) -> None:
    ticket = line.subject.split("/")[1]
    transaction.execute(
        "INSERT INTO decisions (n, ticket_id, who, decision) VALUES (?, ?, ?, ?)",
        (line.n, ticket, line.actor, line.detail.get("decision", "")),
    )
    state = "approved" if line.act is Act.TICKET_APPROVED else "rejected"
    transaction.execute("UPDATE tickets SET state = ? WHERE id = ?", (state, ticket))


RULES = {Act.TICKET_OPENED: _opened, Act.TICKET_APPROVED: _decided, Act.TICKET_REJECTED: _decided}
