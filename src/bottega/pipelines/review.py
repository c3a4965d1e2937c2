"""Steps that wait for people, and what the people decided."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from bottega.core.artifact import Artifact
from bottega.core.errors import NotFound, PolicyDenied, Tampered
from bottega.core.plan import Plan
from bottega.core.run import Run, StepResult
from bottega.governance.approval import Asked, folded
from bottega.governance.review import (
    Decision,
    Outcome,
    Standing,
    Ticket,
    admit,
    approved,
    decide,
    given,
    listed,
    standing,
)
from bottega.pipelines.shown import tickets_for
from bottega.pipelines.workshop import Workshop
from bottega.storage.tickets import Opening, Stored, TicketState

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey


@dataclass(frozen=True)
class Waiting:
    """A ticket as it stands. Times are RFC 3339 in UTC, "" for none; ``owner`` is "" while nobody has it."""

    id: str
    ticket: Ticket
    decisions: tuple[Decision, ...]
    state: TicketState
    owner: str
    opened_at: str
    due_at: str
    expires_at: str
    holder: str = ""

    @property
    def run_id(self) -> str:
        """The run that it is about."""
        return self.ticket.run

    @property
    def standing(self) -> list[Standing]:
        """How far each thing that it asks for is given."""
        return standing(self.ticket, self.decisions)

    def overdue(self, now: str) -> bool:
        """Whether it is open after its time."""
        return self.state == "open" and "" < self.due_at <= now


class Reviews:
    """Opens tickets for what is blocked or must be shown, takes decisions on them and applies them."""

    def __init__(
        self, shop: Workshop, shop_of: Callable[[str], Workshop] | None = None, actor: str = ""
    ) -> None:
        """``shop_of`` gives the workshop that opens what is sealed for a holder; without it, this one does. ``actor`` decides."""
        self._shop, self._actor = shop, actor
        self._shop_of: Callable[[str], Workshop] = shop_of or (lambda holder: shop)

    def asks(self, run: Run, plan: Plan, result: StepResult) -> bool:
        """Whether a person must see a result before it may leave."""
        return bool(tickets_for(run, plan, result, self._shop.policy))

    async def settle(self, run: Run, plan: Plan, result: StepResult) -> StepResult:
        """What becomes of a step: one that is blocked, or that the policy shows to people, waits for a decision.

        Approvals count for exactly the bytes, parameters, plan, policy and verdicts that were looked at, and only while
        the ticket has not expired.

        Raises:
            Tampered: the bytes in the store, or the decisions, are not those that were approved.
        """
        tickets = tickets_for(run, plan, result, self._shop.policy)
        return await asyncio.to_thread(self._settled, run, result, tickets) if tickets else result

    def open(self, ticket: Ticket, *, question: str = "", holder: str = "") -> str:
        """Open a ticket and give its id; the same ticket again changes nothing, unless it has expired.

        A ``question`` about a budget is asked once, whatever runs wait for the answer.
        """
        first = min(ticket.asked, key=lambda asked: (asked.due_hours, not asked.escalate_to))
        expires = [asked.expires_hours for asked in ticket.asked if asked.expires_hours is not None]
        opening = Opening(
            ticket=ticket.canonical(),
            run=ticket.run,
            step=ticket.step,
            port=ticket.port,
            plan=ticket.plan if ticket.kind == "output" else "",
            kind=ticket.kind,
            question=question,
            due_s=max(round(first.due_hours * 3600), 1),
            expires_s=max(round(min(expires) * 3600), 1) if expires else 0,
            escalate_to=first.escalate_to,
            behalf=ticket.requested_by[0] if ticket.requested_by else "",
            holder=holder,
        )
        return self._shop.tickets.open(opening, actor=self._shop.workers.id)

    def queue(self, *, mine: str = "", overdue: bool = False, everything: bool = False) -> list[Waiting]:
        """Open tickets, the next due first; ``mine`` are those of a person or of their roles.

        ``everything`` gives decided and expired ones as well.
        """
        now = self._apply_due()
        found = [each for each in self.all() if everything or each.state == "open"]
        if mine:
            person = self._shop.policy.person(mine)
            own = {folded(mine), *(person.names if person else ()), *(person.roles if person else ())}
            found = [each for each in found if {each.owner, folded(each.owner)} & own]
        if overdue:
            found = [each for each in found if each.overdue(now)]
        return sorted(found, key=lambda each: (each.due_at or "~", each.opened_at))

    def all(self, run_id: str = "") -> list[Waiting]:
        """Every ticket, or those of one run, oldest first."""
        return [_waiting(stored) for stored in self._shop.tickets.find(run=run_id)]

    def get(self, ticket_id: str) -> Waiting:
        """A ticket by its id or the first characters of it.

        Raises:
            NotFound: when none or several fit.
        """
        self._apply_due()
        fitting = self._shop.tickets.find(start=ticket_id) if ticket_id else []
        if len(fitting) != 1:
            found = "no" if not fitting else "more than one"
            raise NotFound(
                f"{found} review starts with '{ticket_id}'", remedy="`bottega review list` shows them"
            )
        return _waiting(fitting[0])

    def claim(self, ticket_id: str, who: str, *, take_over: bool = False) -> Waiting:
        """Note who takes a ticket on. It binds nobody: others may still decide.

        Raises:
            NotFound: no such open ticket.
            PolicyDenied: the policy does not list this person, or somebody else has it and ``take_over`` is not given.
        """
        person = listed(self._shop.policy, who)

        def may(stored: Stored) -> None:
            free = not stored.owner or person.called(stored.owner) or stored.owner in person.roles
            if not free and not take_over:
                raise PolicyDenied(
                    f"{stored.owner} has it",
                    where=f"review '{stored.id[:12]}'",
                    remedy="take it over with --take-over",
                )

        return _waiting(self._shop.tickets.claim(self.get(ticket_id).id, person.name, may=may))

    def draft(self, ticket_id: str, outcome: Outcome, who: str, why: str = "") -> Decision:
        """A decision as it would be taken, for its person to sign.

        Raises:
            NotFound, InvalidValue, PolicyDenied: as `decide` says.
        """
        at = datetime.fromisoformat(self._shop.now())
        return decide(
            self.get(ticket_id).ticket, outcome, who, why, policy=self._shop.policy, at=at, by=self._actor
        )

    def take(self, decision: Decision) -> Waiting:
        """Take a decision and give its ticket as it then stands; durable and in the journal when this returns.

        When it leaves no open ticket of its run, the run is there for a worker to go on with.

        Raises:
            NotFound: no such open ticket.
            PolicyDenied: the person may not decide on it.
            Tampered: the file is not the one that was to be looked at any more, or the signature does not match.
        """
        asked = self.get(decision.ticket)
        ticket = asked.ticket
        if decision.outcome == "approve" and ticket.artifact:
            self._shop_of(asked.holder).artifacts.checked(
                Artifact(sha256=ticket.artifact, media_type="", size=0)
            )

        def rule(stored: Stored) -> bool:
            waiting = _waiting(stored)
            admit(decision, waiting.ticket, waiting.decisions, self._shop.policy)
            return given(waiting.ticket, [*waiting.decisions, decision])

        stored = self._shop.tickets.decide(
            decision.ticket, decision.outcome, decision.who, decision.canonical(), decision.why, by=decision.by,
            rule=rule,
        )  # fmt: skip
        return _waiting(stored)

    def decide(
        self,
        ticket_id: str,
        outcome: Outcome,
        who: str,
        why: str = "",
        *,
        key: "Ed25519PrivateKey | None" = None,
    ) -> Waiting:
        """Draft a decision, sign it if a key is given, and take it.

        Raises:
            NotFound: no such open ticket.
            InvalidValue: nobody named, or a rejection without a reason.
            PolicyDenied: this person may not decide on it, or must sign; or it was opened under another policy.
            Tampered: the file was changed, or the signature is not the person's.
        """
        decision = self.draft(ticket_id, outcome, who, why)
        return self.take(decision.signed(key) if key else decision)

    def _settled(self, run: Run, result: StepResult, tickets: Sequence[Ticket]) -> StepResult:
        self._apply_due()
        latest = {_first(waiting.ticket).identity: waiting for waiting in self.all(run.id)}
        names: list[str] = []
        waits = False
        for ticket in tickets:
            known = latest.get(ticket.identity) or latest.get(_of_first_release(ticket).identity)
            if known is None or known.state == "expired":
                self.open(ticket, holder=run.holder)
                waits = True
            elif known.state == "rejected":
                said = known.decisions[-1]
                return result.model_copy(
                    update={"state": "failed", "error": f"rejected by {said.who}: {said.why}"}
                )
            elif known.state == "open":
                waits = True
            elif approved(known.ticket, known.decisions, self._shop.policy):
                names += [decision.who for decision in known.decisions]
            else:
                raise Tampered(
                    "its decisions do not add up to the approval that is noted",
                    where=f"review '{known.id[:12]}'",
                    remedy="check the record with `bottega audit verify`",
                )
        if waits:
            return result.model_copy(update={"state": "awaiting_review"})
        for made in result.outputs:
            self._shop.artifacts.checked(made.artifact)
        return result.model_copy(update={"state": "done", "approved_by": ", ".join(dict.fromkeys(names))})

    def _apply_due(self) -> str:
        now = self._shop.now()
        self._shop.tickets.due(now)
        return now


def _waiting(stored: Stored) -> Waiting:
    return Waiting(
        id=stored.id,
        ticket=Ticket.model_validate_json(stored.ticket),
        decisions=tuple(Decision.model_validate_json(each) for each in stored.decisions),
        state=stored.state,
        owner=stored.owner,
        opened_at=stored.opened_at,
        due_at=stored.due_at,
        expires_at=stored.expires_at,
        holder=stored.holder,
    )


def _of_first_release(ticket: Ticket) -> Ticket:
    """The ticket as the first release wrote it, for a policy that says nothing of roles, numbers or people."""
    return ticket.model_copy(update={"params": "", "asked": (Asked(),), "requested_by": ()})


def _first(ticket: Ticket) -> Ticket:
    """The same ticket before any like it had expired."""
    return ticket.model_copy(update={"serial": 0})
