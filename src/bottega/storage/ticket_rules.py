"""What entries about review tickets do to the tables."""

from bottega.core.entry import Act
from bottega.core.moment import later
from bottega.storage.database import Transaction
from bottega.storage.journal import Line


def applied(transaction: Transaction, run: str, step: str) -> None:
    """Part of folding the end of a step: the approvals that let it go on are used, and expire no more."""
    transaction.execute(
        "UPDATE tickets SET state = 'applied' WHERE run_id = ? AND step_id = ? AND kind = 'output' AND state = 'approved'",
        (run, step),
    )


def go_on(transaction: Transaction, run: str) -> None:
    """Part of folding a decision or a wait: a run with all its tickets decided is there for a worker to begin.

    Only a decision of its present round makes it begin another, so that no run begins again and again by itself.
    """
    transaction.execute(
        "UPDATE runs SET state = 'planned', finished_at = '', reason = '' WHERE id = ? AND state = 'awaiting_review' "
        "AND EXISTS (SELECT 1 FROM decisions d JOIN tickets t ON t.id = d.ticket_id WHERE t.run_id = ? AND d.n > runs.round "
        "AND t.kind = 'output' AND t.state IN ('approved', 'rejected')) "
        "AND NOT EXISTS (SELECT 1 FROM tickets WHERE run_id = ? AND state = 'open')",
        (run, run, run),
    )


def question(transaction: Transaction, line: Line) -> str:
    """The question about a budget that a decision has answered, or ""."""
    row = transaction.execute(
        "SELECT question FROM tickets WHERE id = ? AND state IN ('approved', 'rejected')", (_name(line),)
    ).fetchone()
    return row[0] if row else ""


def _opened(transaction: Transaction, line: Line) -> None:
    detail = line.detail
    due_s, expires_s = detail.get("due_s", 0), detail.get("expires_s", 0)
    transaction.execute(
        "INSERT INTO tickets (id, n, kind, run_id, step_id, port, plan, question, ticket, state, owner, opened_at, due_s, due_at, "
        "expires_s, expires_at, escalate_to, escalated, holder) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 'open', '', ?, ?, ?, ?, ?, ?, 0, ?)",
        (
            _name(line), line.n, detail.get("kind", "output"), detail.get("run", ""), detail.get("step", ""),
            detail.get("port", ""), detail.get("plan", ""), detail.get("question", ""), detail.get("ticket", ""),
            line.at, due_s, later(line.at, due_s) if due_s else "",
            expires_s, later(line.at, expires_s) if expires_s else "", detail.get("escalate_to", ""), line.holder,
        ),
    )  # fmt: skip


def _decided(transaction: Transaction, line: Line) -> None:
    transaction.execute(
        "INSERT INTO decisions (n, ticket_id, who, decision) VALUES (?, ?, ?, ?)",
        (line.n, _name(line), line.actor, line.detail.get("decision", "")),
    )
    if line.detail.get("closed", True):
        state = "approved" if line.act is Act.TICKET_APPROVED else "rejected"
        transaction.execute("UPDATE tickets SET state = ? WHERE id = ?", (state, _name(line)))
        for (run,) in transaction.execute(
            "SELECT run_id FROM tickets WHERE id = ?", (_name(line),)
        ).fetchall():
            go_on(transaction, run)


def _owned(transaction: Transaction, line: Line) -> None:
    transaction.execute(
        "UPDATE tickets SET owner = ? WHERE id = ?", (line.detail.get("owner", ""), _name(line))
    )
    if line.act is Act.TICKET_ESCALATED:
        transaction.execute("UPDATE tickets SET escalated = 1 WHERE id = ?", (_name(line),))


def _expired(transaction: Transaction, line: Line) -> None:
    transaction.execute("UPDATE tickets SET state = 'expired' WHERE id = ?", (_name(line),))


def _name(line: Line) -> str:
    return line.subject.split("/")[1]


RULES = {
    Act.TICKET_OPENED: _opened,
    Act.TICKET_CLAIMED: _owned,
    Act.TICKET_APPROVED: _decided,
    Act.TICKET_REJECTED: _decided,
    Act.TICKET_ESCALATED: _owned,
    Act.TICKET_EXPIRED: _expired,
}
