"""A person's decision, bound to exactly what was looked at: change any hash and it no longer holds."""

from datetime import UTC, datetime
from typing import Literal

from pydantic import Field

from bottega.core.errors import InvalidValue
from bottega.core.value import Value
from bottega.core.verdict import Verdict

SHA256 = "^[0-9a-f]{64}$"


class Ticket(Value, frozen=True):
    """What a person is asked to decide. Its ``identity`` is what a decision is bound to."""

    run: str
    step: str
    port: str
    artifact: str = Field(pattern=SHA256, description="SHA-256 of the file to look at")
    plan: str = Field(description="digest of the plan")
    policy: str = Field(description="digest of the policy that asks for the decision")
    reason: str = Field(min_length=1, description="why a person is asked")
    verdicts: tuple[Verdict, ...] = ()


class Decision(Value, frozen=True):
    """What a person said about one ticket."""

    ticket: str = Field(pattern=SHA256, description="identity of the ticket")
    outcome: Literal["approve", "reject"]
    who: str = Field(min_length=1, max_length=200)
    why: str = Field(default="", max_length=2000)
    at: str = Field(description="RFC 3339, UTC")


def decide(
    ticket: Ticket,
    outcome: Literal["approve", "reject"],
    who: str,
    why: str = "",
    *,
    at: datetime | None = None,
) -> Decision:
    """Record a decision on a ticket.

    Args:
        ticket: what was shown.
        outcome: ``approve`` lets exactly these bytes leave, ``reject`` ends the step.
        who: the person; approvals name one.
        why: required for a rejection: it becomes the feedback of the next attempt.
        at: defaults to now.

    Raises:
        InvalidValue: nobody named, or a rejection without a reason.
    """
    if not who.strip():
        raise InvalidValue("a decision needs a name", where="who", remedy="say who decides")
    if outcome == "reject" and not why.strip():
        raise InvalidValue("a rejection needs a reason", where="why", remedy="say what is wrong")
    moment = at or datetime.now(UTC)
    if moment.tzinfo is None:
        raise InvalidValue("a decision's time needs a time zone", where="at", remedy="give UTC")
    stamp = moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    return Decision(ticket=ticket.identity, outcome=outcome, who=who.strip(), why=why.strip(), at=stamp)


def holds(decision: Decision, ticket: Ticket) -> bool:
    """Whether the decision was taken on exactly this ticket: same artifact, plan, policy and verdicts."""
    return decision.ticket == ticket.identity


def approved(decision: Decision | None, ticket: Ticket) -> bool:
    """Whether the artifact may leave: an approval that holds. Nothing decided means no."""
    return decision is not None and decision.outcome == "approve" and holds(decision, ticket)
