"""What people must see of a result before it may leave: what a check blocked, and what the policy's rules show them."""

from bottega.core.canonical import digest
from bottega.core.plan import Plan
from bottega.core.run import Made, Run, StepResult
from bottega.governance.approval import Asked
from bottega.governance.policy import Policy
from bottega.governance.review import Ticket


def tickets_for(run: Run, plan: Plan, result: StepResult, policy: Policy) -> list[Ticket]:
    """One ticket for each output that must be shown. The same arguments give the same tickets."""
    step = plan.step(result.step)
    found: list[Ticket] = []
    for made in result.outputs:
        rules = _rules(plan, f"{step.id}.{made.port}", step.engine, made, policy)
        blocking = [verdict.reason for verdict in made.verdicts if verdict.outcome == "block"]
        asked = ((policy.asked_when_blocked(),) if blocking else ()) + rules
        if asked:
            by_policy = [f"the policy's rule '{each.rule}' asks for a person" for each in rules]
            ticket = Ticket(
                run=run.id,
                step=step.id,
                port=made.port,
                artifact=made.artifact.sha256,
                plan=run.plan,
                params=digest(step.params),
                policy=policy.digest,
                reason="; ".join(dict.fromkeys(blocking + by_policy)),
                verdicts=made.verdicts,
                asked=asked,
                requested_by=_asking(run, policy),
            )
            found.append(ticket)
    return found


def _asking(run: Run, policy: Policy) -> tuple[str, ...]:
    names = (policy.name_of(actor) for actor in (run.requested_by, run.planned_by) if actor)
    return tuple(dict.fromkeys(names))


def _rules(plan: Plan, output: str, engine: str, made: Made, policy: Policy) -> tuple[Asked, ...]:
    """What the policy's rules ask of an output, for everything that it is delivered as."""
    found = [
        asked
        for item in plan.deliverables
        if item.output == output
        for asked in policy.asked(made.artifact.media_type, item.kind, engine, item.language)
    ]
    return tuple(dict.fromkeys(found))
