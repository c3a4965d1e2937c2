"""Tickets as they are kept, about outputs and budgets, on every database that they may be kept in."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from bottega.core.brief import Brief
from bottega.core.canonical import canonical_json
from bottega.core.errors import NotFound, PolicyDenied
from bottega.core.plan import Plan
from bottega.core.run import Run
from bottega.storage.schema import FOLDED_TABLES
from bottega.storage.state import State, open_state
from bottega.storage.tickets import Opening, Stored

MORNING, EVENING = "2026-01-01T08:00:00.000Z", "2026-01-01T20:00:00.000Z"


@pytest.fixture
def state(tmp_path: Path, either_database: str) -> Iterator[State]:
    made = open_state(tmp_path, lambda: MORNING, url=either_database)
    plan = Plan(brief=Brief(goal="say something"), steps=(), deliverables=())
    made.runs.submit(
        Run(id="run", state="planned", plan=plan.identity, brief=plan.brief.identity), plan, actor="user:eve"
    )
    yield made
    before = {table: made.database.rows(f"SELECT * FROM {table} ORDER BY 1, 2") for table in FOLDED_TABLES}
    made.fold_again()
    assert before == {
        table: made.database.rows(f"SELECT * FROM {table} ORDER BY 1, 2") for table in FOLDED_TABLES
    }
    made.close()


def budget(reason: str, **more: object) -> Opening:
    facts = {"run": "run", "step": "a", "kind": "budget", "ticket": canonical_json({"reason": reason})}
    return Opening(**{**facts, **more})  # pyright: ignore[reportArgumentType]


def only(stored: Stored) -> bool:
    """One approval is enough."""
    return not stored.decisions


def test_a_ticket_is_opened_once(state: State) -> None:
    first = state.tickets.open(budget("near"), actor="worker:w")
    assert state.tickets.open(budget("near"), actor="worker:w") == first
    assert [each.id for each in state.tickets.find(run="run")] == [first]
    assert state.tickets.find(start=first[:6])[0].id == first
    assert state.tickets.find(start="none") == []


def test_budgets_stand_beside_each_other_and_outputs_replace_their_like(state: State) -> None:
    for reason in ("team is near", "project is near"):
        state.tickets.open(budget(reason), actor="w")
        shown = canonical_json({"output": "a.text", "reason": reason})
        state.tickets.open(budget(reason, kind="output", port="text", ticket=shown), actor="w")
    assert [each.state for each in state.tickets.find()] == ["open", "expired", "open", "open"]


def test_a_question_about_a_budget_is_asked_once_and_only_while_somebody_waits(state: State) -> None:
    first = state.tickets.open(budget("near", question="q"), actor="w")
    again = budget("near, says another run", run="two", question="q")
    assert state.tickets.open(again, actor="w") == first
    assert state.tickets.due(MORNING) == 1  # no step waits for the answer
    assert [each.state for each in state.tickets.find()] == ["expired"]
    assert state.tickets.open(again, actor="w") != first


def test_what_has_expired_is_opened_again_with_the_next_serial_number(state: State) -> None:
    ids = [state.tickets.open(budget("near", question="q"), actor="w")]
    for _ in range(2):
        state.tickets.due(MORNING)
        ids.append(state.tickets.open(budget("near", question="q"), actor="w"))
    assert len(set(ids)) == 3
    assert [json.loads(each.ticket).get("serial", 0) for each in state.tickets.find()] == [0, 1, 2]


def test_a_decision_is_taken_once_and_a_refusal_leaves_nothing(state: State) -> None:
    ticket = state.tickets.open(budget("near"), actor="w")

    def never(stored: Stored) -> bool:
        raise PolicyDenied("no")

    size = state.journal.size()
    with pytest.raises(PolicyDenied):
        state.tickets.decide(ticket, "approve", "Ada", b"{}", "", rule=never)
    assert state.journal.size() == size
    assert state.tickets.decide(ticket, "approve", "Ada", b"{}", "", rule=only).state == "approved"
    with pytest.raises(NotFound, match="it is approved"):
        state.tickets.decide(ticket, "approve", "Bo", b"{}", "", rule=only)
    with pytest.raises(NotFound, match="no review"):
        state.tickets.decide("0" * 64, "approve", "Bo", b"{}", "", rule=only)


def test_an_approved_budget_does_not_expire(state: State) -> None:
    used = state.tickets.open(budget("near", expires_s=3600), actor="w")
    state.tickets.decide(used, "approve", "Ada", b"{}", "", rule=only)
    left = state.tickets.open(budget("nearer", expires_s=3600), actor="w")
    assert state.tickets.next_due() == "2026-01-01T09:00:00.000Z"
    assert state.tickets.due(MORNING) == 0
    assert state.tickets.due(EVENING) == 1
    states = {each.id: each.state for each in state.tickets.find()}
    assert (states.pop(used), states.pop(left)) == ("approved", "expired")
    assert list(states.values()) == ["open"]  # its run still waits


class Vault:
    """Keeps each holder's content under a key of its own, in memory."""

    def __init__(self) -> None:
        self.keys: dict[str, Fernet] = {}

    def close(self, holder: str, plain: bytes) -> bytes:
        return self.keys.setdefault(holder, Fernet(Fernet.generate_key())).encrypt(plain)

    def open(self, holder: str, sealed: bytes) -> bytes | None:
        return self.keys[holder].decrypt(sealed) if holder in self.keys else None


def test_what_is_about_a_data_subject_is_sealed_and_goes_with_its_key(tmp_path: Path) -> None:
    vault = Vault()
    state = open_state(tmp_path, lambda: MORNING, seal=vault)
    ticket = state.tickets.open(budget("about Mrs Lane", holder="p1", expires_s=60), actor="w")
    plain = state.tickets.open(budget("near"), actor="w")
    state.tickets.decide(
        ticket, "reject", "Ada", b'{"why":"Mrs Lane objects"}', "Mrs Lane objects", rule=only
    )
    assert state.tickets.find(start=ticket)[0].decisions == (b'{"why":"Mrs Lane objects"}',)
    assert not any(b"Lane" in text for _, text, _ in state.journal.entries(0, state.journal.size()))
    vault.keys.clear()
    assert [each.id for each in state.tickets.find()] == [plain]
    assert state.tickets.due(EVENING) == 0
    state.close()


def test_nothing_waits_without_a_timer(state: State) -> None:
    state.tickets.open(budget("near"), actor="w")
    state.tickets.open(budget("due, and nobody to escalate to", due_s=60), actor="w")
    assert state.tickets.next_due() == ""
    assert state.tickets.due(EVENING) == 0
