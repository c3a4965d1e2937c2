"""Steps that wait for a person, and what the person decided."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal, cast

from bottega.core.errors import NotFound, PolicyDenied
from bottega.core.plan import Plan, Step
from bottega.core.run import Made, Run, StepResult
from bottega.governance.review import Decision, Ticket, approved, decide
from bottega.pipelines.graph import split
from bottega.pipelines.workshop import Workshop


@dataclass(frozen=True)
class Waiting:
    """A ticket as stored. ``decision`` is None while it is open."""

    id: str
    run_id: str
    ticket: Ticket
    decision: Decision | None


class Reviews:
    """Opens tickets for blocked outputs and applies the decisions on them."""

    def __init__(self, shop: Workshop) -> None:
        self._shop = shop

    def settle(self, run: Run, plan: Plan, result: StepResult) -> StepResult:
        """What becomes of a step: one that is blocked, or that the policy shows to a person, waits for a decision.

        An approval counts for exactly the bytes, plan, policy and verdicts that were looked at.
        """
        tickets = self._tickets(run, plan, result)
        if not tickets:
            return result
        known = {waiting.id: waiting for waiting in self.all(run.id)}
        approvals: list[Decision] = []
        for ticket in tickets:
            waiting = known.get(ticket.identity)
            if waiting is None:
                self._shop.tickets.open(
                    ticket.identity, run.id, result.step, ticket.canonical(), holder=run.holder
                )
            elif approved(waiting.decision, ticket):
                approvals.append(cast(Decision, waiting.decision))
            elif waiting.decision is not None:
                why = f"rejected by {waiting.decision.who}: {waiting.decision.why}"
                return result.model_copy(update={"state": "failed", "error": why})
        if len(approvals) < len(tickets):
            return result.model_copy(update={"state": "awaiting_review"})
        who = ", ".join(dict.fromkeys(decision.who for decision in approvals))
        return result.model_copy(update={"state": "done", "approved_by": who})

    def all(self, run_id: str = "") -> list[Waiting]:
        """Every ticket, or those of one run, oldest first."""
        return [
            Waiting(
                id=row[0],
                run_id=row[1],
                ticket=Ticket.model_validate_json(row[2]),
                decision=Decision.model_validate_json(row[3]) if row[3] else None,
            )
            for row in self._shop.tickets.all(run_id)
        ]

    def get(self, ticket_id: str) -> Waiting:
        """A ticket by its id or the first characters of it.

        Raises:
            NotFound: when none or several fit.
        """
        fitting = [waiting for waiting in self.all() if waiting.id.startswith(ticket_id)]
        if len(fitting) != 1 or not ticket_id:
            found = "no" if not fitting else "more than one"
            raise NotFound(
                f"{found} review starts with '{ticket_id}'", remedy="`bottega review list` shows them"
            )
        return fitting[0]

    def decide(
        self, ticket_id: str, outcome: Literal["approve", "reject"], who: str, why: str = ""
    ) -> tuple[Waiting, Decision]:
        """Take a decision, once; durable and in the record when this returns.

        Raises:
            NotFound: no such open ticket.
            InvalidValue: nobody named, or a rejection without a reason.
            PolicyDenied: it was opened under another policy, for which a decision here would not count.
        """
        waiting = self.get(ticket_id)
        if waiting.ticket.policy != self._shop.policy.digest:
            raise PolicyDenied(
                f"it was opened under another policy than '{self._shop.policy.name}'",
                where=f"review '{waiting.id[:12]}'",
                remedy="give the policy of its run with --policy, or run the plan again",
            )
        decision = decide(waiting.ticket, outcome, who, why, at=datetime.fromisoformat(self._shop.now()))
        self._shop.tickets.decide(waiting.id, outcome, decision.who, decision.canonical())
        return waiting, decision

    def wanted(self, plan: Plan, step: Step) -> bool:
        """Whether the policy asks for a person on an output of this step."""
        return any(
            split(item.output)[0] == step.id
            and any(
                self._shop.policy.review_for(media_type, item.kind, step.engine, item.language)
                for port in self._shop.card(step.engine).outputs
                for media_type in port.media_types
            )
            for item in plan.deliverables
        )

    def _tickets(self, run: Run, plan: Plan, result: StepResult) -> list[Ticket]:
        found: list[Ticket] = []
        for made in result.outputs:
            blocking = [verdict.reason for verdict in made.verdicts if verdict.outcome == "block"]
            reason = "; ".join(blocking) or self._asked_by_policy(plan, result.step, made)
            if reason:
                ticket = Ticket(
                    run=run.id,
                    step=result.step,
                    port=made.port,
                    artifact=made.artifact.sha256,
                    plan=run.plan,
                    policy=self._shop.policy.digest,
                    reason=reason,
                    verdicts=made.verdicts,
                )
                found.append(ticket)
        return found

    def _asked_by_policy(self, plan: Plan, step_id: str, made: Made) -> str:
        engine = plan.step(step_id).engine
        for item in plan.deliverables:
            if item.output == f"{step_id}.{made.port}":
                rule = self._shop.policy.review_for(
                    made.artifact.media_type, item.kind, engine, item.language
                )
                if rule:
                    return f"the policy's rule '{rule}' asks for a person"
        return ""
