import base64
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bottega.core.errors import InvalidValue, PolicyDenied, Tampered
from bottega.core.verdict import Verdict
from bottega.governance.approval import Asked, Person
from bottega.governance.personal_key import make_key, public_key, read_key
from bottega.governance.policy import Policy
from bottega.governance.review import Decision, Ticket, admit, approved, decide, given, standing

AT = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
OPEN = Policy(name="open", rules=())  # lists nobody
KEY = Ed25519PrivateKey.from_private_bytes(b"k" * 32)
STAFF = Policy(
    name="staff",
    rules=(),
    people=(
        Person(name="Ada Park", roles=("legal",), logins=("ada",)),
        Person(name="Bo", roles=("brand", "legal")),
        Person(name="Cy", roles=("brand",)),
        Person(name="Di"),
        Person(name="Ed", roles=("legal",), key=public_key(KEY)),
    ),
)


def ticket(under: Policy = OPEN, **changes: Any) -> Ticket:
    values: dict[str, Any] = {
        "run": "r1",
        "step": "page",
        "port": "text",
        "artifact": "a" * 64,
        "plan": "b" * 64,
        "params": "e" * 64,
        "policy": under.digest,
        "reason": "numbers_grounded blocked twice",
        "verdicts": (Verdict(check="numbers_grounded", outcome="block", reason="19 EUR stands nowhere"),),
    }
    return Ticket.model_validate(values | changes)


def say(about: Ticket, who: str, policy: Policy = STAFF, outcome: Any = "approve") -> Decision:
    return decide(about, outcome, who, "because", policy=policy, at=AT)


def test_an_approval_lets_exactly_this_ticket_through() -> None:
    decision = decide(ticket(), "approve", "ana", policy=OPEN, at=AT)
    assert decision.at == "2026-11-22T12:00:00Z"
    assert approved(ticket(), [decision], OPEN)


@pytest.mark.parametrize(
    "change",
    [
        {"artifact": "d" * 64},
        {"plan": "d" * 64},
        {"params": "d" * 64},
        {"policy": "d" * 64},
        {"verdicts": ()},
        {"reason": "another"},
        {"serial": 1},
        {"requested_by": ("bo",)},
        {"asked": (Asked(approvals=1, rule="x"),)},
    ],
)
def test_whatever_changes_ends_the_approval(change: dict[str, Any]) -> None:
    decision = decide(ticket(), "approve", "ana", policy=OPEN, at=AT)
    assert not approved(ticket(**change), [decision], OPEN)


def test_no_decision_and_a_rejection_let_nothing_through() -> None:
    assert not approved(ticket(), [], OPEN)
    no = decide(ticket(), "reject", "ana", "the price is wrong", policy=OPEN, at=AT)
    yes = decide(ticket(), "approve", "bo", policy=OPEN, at=AT)
    assert not approved(ticket(), [no], OPEN)
    assert not approved(ticket(), [yes, no], OPEN)


def test_a_decision_names_a_person_and_a_rejection_a_reason() -> None:
    with pytest.raises(InvalidValue, match="needs a name"):
        decide(ticket(), "approve", "  ", policy=OPEN, at=AT)
    with pytest.raises(InvalidValue, match="needs a reason"):
        decide(ticket(), "reject", "ana", policy=OPEN, at=AT)
    with pytest.raises(InvalidValue, match="time zone"):
        decide(ticket(), "approve", "ana", policy=OPEN, at=datetime(2026, 1, 1))  # noqa: DTZ001
    with pytest.raises(InvalidValue, match="more than 200"):
        decide(ticket(), "approve", "a" * 201, policy=OPEN, at=AT)


def test_what_is_shown_has_a_file_and_a_budget_has_none() -> None:
    assert ticket(kind="budget", artifact="").artifact == ""
    with pytest.raises(ValueError, match="names its artifact"):
        ticket(artifact="")


def test_two_must_approve_and_one_name_counts_once() -> None:
    about = ticket(asked=(Asked(approvals=2),))
    first = say(about, "Ada", OPEN)
    assert not approved(about, [first], OPEN)
    for again in ("ada", " user:ADA ", "\uff21da"):
        with pytest.raises(PolicyDenied, match="has decided already"):
            admit(say(about, again, OPEN), about, [first], OPEN)
    assert not approved(about, [first, say(about, "ADA", OPEN)], OPEN)
    assert approved(about, [first, say(about, "Bo", OPEN)], OPEN)


def test_who_asked_for_the_run_may_not_approve_it_unless_the_policy_lets_them() -> None:
    about = ticket(requested_by=("user:Ada",))
    with pytest.raises(PolicyDenied, match="may not approve"):
        admit(say(about, "ada", OPEN), about, [], OPEN)
    admit(say(about, "ada", OPEN, "reject"), about, [], OPEN)  # but may withdraw it
    allowed = ticket(requested_by=("user:Ada",), asked=(Asked(self_approval=True),))
    assert approved(allowed, [say(allowed, "ada", OPEN)], OPEN)


def test_a_person_is_known_by_their_logins() -> None:
    assert STAFF.name_of("user:ADA") == "Ada Park"
    about = ticket(STAFF, requested_by=(STAFF.name_of("user:ada"),))
    with pytest.raises(PolicyDenied, match="may not approve"):
        admit(say(about, "Ada Park"), about, [], STAFF)


def test_only_people_of_the_policy_decide_and_only_with_a_role_that_is_asked_for() -> None:
    about = ticket(STAFF, asked=(Asked(roles=("legal",)),))
    with pytest.raises(PolicyDenied, match="does not list 'Eve'"):
        say(about, "Eve")
    for outcome in ("approve", "reject"):
        with pytest.raises(PolicyDenied, match="none of the roles that are asked for: legal"):
            admit(say(about, "Cy", outcome=outcome), about, [], STAFF)
    assert approved(about, [say(about, "Bo")], STAFF)


def test_roles_may_come_together_from_several_people() -> None:
    about = ticket(STAFF, asked=(Asked(approvals=2, roles=("legal", "brand")),))
    assert not approved(about, [say(about, "Bo")], STAFF)  # both roles, one person
    assert not given(about, [say(about, "Ada Park"), say(about, "Di")])
    assert approved(about, [say(about, "Ada Park"), say(about, "Cy")], STAFF)
    (so_far,) = standing(about, [say(about, "Ada Park")])
    assert (so_far.approvals, so_far.missing_roles) == (1, ("brand",))


def test_every_rule_that_asks_must_be_satisfied() -> None:
    about = ticket(
        STAFF, asked=(Asked(rule="a", roles=("legal",)), Asked(rule="b", approvals=2, roles=("brand",)))
    )
    assert not approved(about, [say(about, "Ada Park"), say(about, "Cy")], STAFF)
    assert approved(about, [say(about, "Bo"), say(about, "Cy")], STAFF)


def test_roles_that_a_decision_only_claims_are_refused() -> None:
    about = ticket(STAFF, asked=(Asked(roles=("legal",)),))
    claimed = say(about, "Cy").model_copy(update={"roles": ("brand", "legal")})
    with pytest.raises(Tampered, match="as the policy does"):
        admit(claimed, about, [], STAFF)
    assert not approved(about, [claimed], STAFF)


def test_a_person_with_a_key_signs() -> None:
    about = ticket(STAFF)
    decision = say(about, "Ed")
    with pytest.raises(PolicyDenied, match="must be signed"):
        admit(decision, about, [], STAFF)
    assert approved(about, [decision.signed(KEY)], STAFF)
    other = Ed25519PrivateKey.from_private_bytes(b"o" * 32)
    with pytest.raises(Tampered, match="not by the key"):
        admit(decision.signed(other), about, [], STAFF)


@pytest.mark.parametrize("change", [{"outcome": "reject"}, {"why": "x"}, {"at": "2026-11-22T12:00:01Z"}])
def test_a_signature_covers_all_of_a_decision(change: dict[str, Any]) -> None:
    about = ticket(STAFF)
    signed = say(about, "Ed").signed(KEY)
    with pytest.raises(Tampered):
        admit(signed.model_copy(update=change), about, [], STAFF)
    for damaged in ("", "!", base64.b64encode(b"0" * 64).decode()):
        assert not approved(about, [signed.model_copy(update={"signature": damaged})], STAFF)


def test_a_signature_does_not_move_to_another_ticket() -> None:
    signed = say(ticket(STAFF), "Ed").signed(KEY)
    other = ticket(STAFF, artifact="d" * 64)
    moved = signed.model_copy(update={"ticket": other.identity})
    with pytest.raises(Tampered):
        admit(moved, other, [], STAFF)


def test_a_key_is_made_once_and_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "ada.pem"
    make_key(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert len(base64.b64decode(public_key(read_key(path)))) == 32
    with pytest.raises(InvalidValue, match="cannot be written"):
        make_key(path)
    (tmp_path / "bad.pem").write_text("no key")
    for bad in ("bad.pem", "gone.pem"):
        with pytest.raises(InvalidValue, match="cannot be read"):
            read_key(tmp_path / bad)
