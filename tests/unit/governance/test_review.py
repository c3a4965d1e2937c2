from datetime import UTC, datetime
from typing import Any

import pytest

from bottega.core.errors import InvalidValue
from bottega.core.verdict import Verdict
from bottega.governance.review import Ticket, approved, decide, holds

AT = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


def ticket(**changes: Any) -> Ticket:
    values: dict[str, Any] = {
        "run": "r1",
        "step": "page",
        "port": "text",
        "artifact": "a" * 64,
        "plan": "b" * 64,
        "policy": "c" * 64,
        "reason": "numbers_grounded blocked twice",
        "verdicts": (Verdict(check="numbers_grounded", outcome="block", reason="19 EUR stands nowhere"),),
    }
    return Ticket.model_validate(values | changes)


def test_an_approval_lets_exactly_this_ticket_through() -> None:
    decision = decide(ticket(), "approve", "ana", at=AT)
    assert decision.at == "2026-11-22T12:00:00Z"
    assert holds(decision, ticket())
    assert approved(decision, ticket())


@pytest.mark.parametrize("field", ["artifact", "plan", "policy"])
def test_any_changed_hash_ends_the_approval(field: str) -> None:
    decision = decide(ticket(), "approve", "ana", at=AT)
    assert not approved(decision, ticket(**{field: "d" * 64}))


def test_a_new_verdict_ends_the_approval() -> None:
    decision = decide(ticket(), "approve", "ana", at=AT)
    assert not holds(decision, ticket(verdicts=()))


def test_no_decision_and_a_rejection_let_nothing_through() -> None:
    assert not approved(None, ticket())
    assert not approved(decide(ticket(), "reject", "ana", "the price is wrong", at=AT), ticket())


def test_a_decision_names_a_person_and_a_rejection_a_reason() -> None:
    with pytest.raises(InvalidValue, match="needs a name"):
        decide(ticket(), "approve", "  ", at=AT)
    with pytest.raises(InvalidValue, match="needs a reason"):
        decide(ticket(), "reject", "ana", at=AT)
    with pytest.raises(InvalidValue, match="time zone"):
        decide(ticket(), "approve", "ana", at=datetime(2026, 1, 1))  # noqa: DTZ001
