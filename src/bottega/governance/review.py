"""What people are asked to decide, and their decisions, each bound to exactly what was looked at."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal, Self

from pydantic import Field, model_validator

from bottega.core.canonical import canonical_json
from bottega.core.errors import InvalidValue, PolicyDenied, Tampered
from bottega.core.value import Value
from bottega.core.verdict import Verdict
from bottega.governance.approval import Asked, Person, bare, folded
from bottega.governance.personal_key import signature, signed_by
from bottega.governance.policy import Policy

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

SHA256 = "^[0-9a-f]{64}$"

Outcome = Literal["approve", "reject"]


class Ticket(Value, frozen=True):
    """What people are asked to decide. Its ``identity`` is what a decision is bound to.

    An ``output`` shows a file before it leaves; a ``budget`` asks whether to go on near a limit and has no file. Times
    are kept beside it, so that the same thing, looked at again, is the same ticket. Fields younger than the first release
    are left out at their defaults: its tickets keep their identity, and the decisions on them hold.
    """

    kind: Literal["output", "budget"] = Field(default="output", exclude_if=lambda kind: kind == "output")
    run: str
    step: str
    port: str = ""
    artifact: str = Field(pattern=f"{SHA256}|^$", description="SHA-256 of the file to look at")
    plan: str = Field(description="digest of the plan")
    params: str = Field(
        default="",
        exclude_if=lambda params: not params,
        description="digest of the step's parameters, or of the question about a budget",
    )
    policy: str = Field(description="digest of the policy that asks for the decision")
    reason: str = Field(min_length=1, description="why people are asked")
    verdicts: tuple[Verdict, ...] = ()
    asked: tuple[Asked, ...] = Field(
        default=(Asked(),),
        min_length=1,
        exclude_if=lambda asked: asked == (Asked(),),
        description="all of this must be given",
    )
    requested_by: tuple[str, ...] = Field(
        default=(),
        exclude_if=lambda names: not names,
        description="who asked for the run and for its plan",
    )
    serial: int = Field(
        default=0,
        ge=0,
        exclude_if=lambda serial: not serial,
        description="how many equal tickets have expired before it",
    )

    @model_validator(mode="after")
    def _shows_a_file(self) -> Self:
        if self.kind == "output" and not self.artifact:
            raise ValueError("a ticket about an output names its artifact")
        return self


class Decision(Value, frozen=True):
    """What a person said about one ticket."""

    format: Literal["bottega.decision/1"] = "bottega.decision/1"
    ticket: str = Field(pattern=SHA256, description="identity of the ticket")
    outcome: Outcome
    who: str = Field(min_length=1, max_length=200)
    roles: tuple[str, ...] = Field(default=(), description="roles of that person under the ticket's policy")
    why: str = Field(default="", max_length=2000)
    at: str = Field(description="RFC 3339, UTC")
    by: str = Field(
        default="",
        max_length=300,
        exclude_if=lambda by: not by,
        description="the login or API key that took it, whoever's name was given",
    )
    signature: str = Field(default="", description="Ed25519 over `signed_bytes`, base64")

    def signed_bytes(self) -> bytes:
        """What a signature covers: the canonical JSON of all but the signature."""
        return canonical_json({k: v for k, v in self.document().items() if k != "signature"})

    def signed(self, key: "Ed25519PrivateKey") -> "Decision":
        """The decision with its person's signature."""
        return self.model_copy(update={"signature": signature(key, self.signed_bytes())})


@dataclass(frozen=True)
class Standing:
    """How far a ticket is with one of the things that it asks for."""

    asked: Asked
    approvals: int
    missing_roles: tuple[str, ...]

    @property
    def given(self) -> bool:
        """Whether nothing is missing."""
        return self.approvals >= self.asked.approvals and not self.missing_roles


def decide(
    ticket: Ticket,
    outcome: Outcome,
    who: str,
    why: str = "",
    *,
    policy: Policy,
    at: datetime | None = None,
    by: str = "",
) -> Decision:
    """Write a decision on a ticket down; `admit` says whether it may be taken.

    Args:
        ticket: what was shown.
        outcome: ``approve`` lets exactly these bytes leave once all that is asked is given, ``reject`` ends the step.
        who: the person's name or login.
        why: required for a rejection.
        policy: says who the person is.
        at: defaults to now.
        by: the login or API key that it is taken with.

    Raises:
        InvalidValue: nobody named, a rejection without a reason, or more than 200 or 2000 characters.
        PolicyDenied: the policy lists people, and not this one; or the ticket was opened under another policy.
    """
    if not bare(who):
        raise InvalidValue("a decision needs a name", where="who", remedy="say who decides")
    if outcome == "reject" and not why.strip():
        raise InvalidValue("a rejection needs a reason", where="why", remedy="say what is wrong")
    for field, text, most in (("who", who, 200), ("why", why, 2000)):
        if len(text.strip()) > most:
            raise InvalidValue(f"it has more than {most} characters", where=field, remedy="say it shorter")
    moment = at or datetime.now(UTC)
    if moment.tzinfo is None:
        raise InvalidValue("a decision's time needs a time zone", where="at", remedy="give UTC")
    _same_policy(ticket, policy)
    person = listed(policy, who)
    stamp = moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    return Decision(
        ticket=ticket.identity,
        outcome=outcome,
        who=person.name,
        roles=person.roles,
        why=why.strip(),
        at=stamp,
        by=by,
    )


def admit(decision: Decision, ticket: Ticket, earlier: Sequence[Decision], policy: Policy) -> None:
    """Pass when a decision may be taken on a ticket after the earlier ones.

    Raises:
        PolicyDenied: this person may not decide here, has decided before, asked for the run, or has not signed; or the
            ticket was opened under another policy.
        Tampered: it was taken on something else, claims roles that the person has not, or its signature does not match.
    """
    _same_policy(ticket, policy)
    if decision.ticket != ticket.identity:
        raise Tampered("the decision was taken on something else", remedy="look at it again")
    person = listed(policy, decision.who)
    if decision.who != person.name or decision.roles != person.roles:
        raise Tampered(f"the decision does not show '{person.name}' as the policy does")
    _check_signature(decision, person)
    if any(folded(each.who) == folded(person.name) for each in earlier):
        raise PolicyDenied(f"{person.name} has decided already", remedy="ask somebody else")
    able = [asked for asked in ticket.asked if _able(asked, decision.roles)]
    if not able:
        roles = ", ".join(sorted({role for asked in ticket.asked for role in asked.roles}))
        raise PolicyDenied(f"{person.name} has none of the roles that are asked for: {roles}")
    if decision.outcome == "approve" and not any(_counts(decision, asked, ticket) for asked in able):
        raise PolicyDenied(
            f"{person.name} asked for this run and may not approve it", remedy="ask somebody else"
        )
    if decision.by and not policy.people and all(asked.approvals > 1 for asked in able):
        _one_login_one_voice(decision, ticket, earlier, able)


def _one_login_one_voice(
    decision: Decision, ticket: Ticket, earlier: Sequence[Decision], able: Sequence[Asked]
) -> None:
    """Where several must approve and no people are listed, names are taken on trust; logins and keys are not."""
    remedy = "ask somebody under a login or key of their own, or list the [[people]] in the policy"
    if any(each.by == decision.by for each in earlier):
        raise PolicyDenied(f"'{bare(decision.by)}' has decided already, under another name", remedy=remedy)
    asked_for = folded(bare(decision.by)) in {folded(name) for name in ticket.requested_by}
    if decision.outcome == "approve" and asked_for and not any(asked.self_approval for asked in able):
        raise PolicyDenied(f"'{bare(decision.by)}' asked for this run and may not approve it", remedy=remedy)


def standing(ticket: Ticket, decisions: Sequence[Decision]) -> list[Standing]:
    """How far each thing that a ticket asks for is given by decisions that were admitted."""
    found: list[Standing] = []
    for asked in ticket.asked:
        counting = {folded(each.who): each for each in decisions if _counts(each, asked, ticket)}
        held = {role for each in counting.values() for role in each.roles}
        missing = tuple(role for role in asked.roles if role not in held)
        found.append(Standing(asked, len(counting), missing))
    return found


def given(ticket: Ticket, decisions: Sequence[Decision]) -> bool:
    """Whether admitted decisions give all that the ticket asks for. Nothing decided means no."""
    rejected = any(each.outcome == "reject" for each in decisions)
    return not rejected and all(each.given for each in standing(ticket, decisions))


def approved(ticket: Ticket, decisions: Sequence[Decision], policy: Policy) -> bool:
    """Whether the artifact may leave: every decision is admitted again, signatures included, and all is given."""
    try:
        for index, decision in enumerate(decisions):
            admit(decision, ticket, decisions[:index], policy)
    except (PolicyDenied, Tampered):
        return False
    return given(ticket, decisions)


def listed(policy: Policy, who: str) -> Person:
    """The person meant by a name, who may decide under this policy.

    Raises:
        PolicyDenied: the policy lists people, and not this one.
    """
    person = policy.person(who)
    if person is None:
        raise PolicyDenied(
            f"the policy '{policy.name}' does not list '{bare(who)}' among its people",
            remedy="ask one of them: " + ", ".join(each.name for each in policy.people),
        )
    return person


def _same_policy(ticket: Ticket, policy: Policy) -> None:
    if ticket.policy != policy.digest:
        raise PolicyDenied(
            f"it was opened under another policy than '{policy.name}'",
            remedy="give the policy of its run with --policy, or run the plan again",
        )


def _check_signature(decision: Decision, person: Person) -> None:
    if not person.key:
        return
    if not decision.signature:
        raise PolicyDenied(
            f"decisions of {person.name} must be signed", remedy="give your key with --key FILE"
        )
    if not signed_by(person.key, decision.signature, decision.signed_bytes()):
        raise Tampered(
            f"the signature is not by the key that the policy lists for {person.name}",
            remedy="sign with that key",
        )


def _able(asked: Asked, roles: Sequence[str]) -> bool:
    return not asked.roles or bool(set(asked.roles) & set(roles))


def _counts(decision: Decision, asked: Asked, ticket: Ticket) -> bool:
    own = folded(decision.who) in {folded(name) for name in ticket.requested_by}
    return decision.outcome == "approve" and _able(asked, decision.roles) and (asked.self_approval or not own)
