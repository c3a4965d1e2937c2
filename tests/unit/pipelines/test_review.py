"""Runs that wait for people: k of n, expiry, escalation, and what ends an approval. The clock is the test's."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.unit.pipelines.conftest import echo, plan_of

from bottega.catalog.catalog import Catalog
from bottega.core.entry import Act
from bottega.core.errors import NotFound, PolicyDenied, Tampered
from bottega.core.plan import Plan
from bottega.core.run import Run
from bottega.governance.policy import Policy
from bottega.pipelines.review import Reviews, Waiting
from bottega.pipelines.runner import Runner, Sources
from bottega.pipelines.workshop import Workshop
from bottega.storage.artifacts import ArtifactStore
from bottega.storage.schema import FOLDED_TABLES
from bottega.storage.state import State, open_state

CHECKED = """
format = "bottega.policy/1"
name = "test"
[[rules]]
name = "texts"
media_types = ["text/plain"]
checks = { length = { min_words = 2 } }
"""
TWO = f"""{CHECKED}
[[people]]
name = "Ada"
roles = ["legal"]
logins = ["ada.park"]
[[people]]
name = "Bo"
roles = ["brand"]
[[people]]
name = "Head"
roles = ["legal", "head-of-legal"]
[[rules]]
name = "shown"
media_types = ["*"]
kinds = ["press"]
review = {{ approvals = 2, roles = ["legal", "brand"], due_hours = 24, expires_hours = 72, escalate_to = "head-of-legal" }}
"""


class Clock:
    """Stands still until told to move."""

    def __init__(self) -> None:
        self.at = datetime(2026, 3, 1, tzinfo=UTC)

    def __call__(self) -> str:
        return self.at.isoformat(timespec="milliseconds").replace("+00:00", "Z")

    def forward(self, hours: float) -> None:
        self.at += timedelta(hours=hours)


class Desk:
    """A workshop whose runs wait for people, and what those people do."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.clock = Clock()
        self.state: State = open_state(root / "state", self.clock)
        self.shop = Workshop(
            artifacts=ArtifactStore(root / "artifacts"),
            runs=self.state.runs,
            journal=self.state.journal,
            tickets=self.state.tickets,
            workers=self.state.workers,
            catalog=Catalog(root / "home"),
            policy=self.policy(TWO),
            scratch=root / "scratch",
            now=self.clock,
        )

    def policy(self, text: str) -> Policy:
        (self.root / "policy.toml").write_text(text)
        return Policy.load(self.root / "policy.toml")

    @property
    def reviews(self) -> Reviews:
        return Reviews(self.shop)

    async def work(self, plan: Plan, run_id: str = "run", actor: str = "user:eve") -> Run:
        """A round of work, as `make` and `resume` begin it."""
        run = Run(id=run_id, state="planned", plan=plan.identity, brief=plan.brief.identity)
        return await Runner(
            plan, self.shop.runs.submit(run, plan, actor=actor), Sources({}, {}, ()), self.shop
        ).work()

    async def join(self, run_id: str = "run") -> Run:
        """What a worker does with a run that it finds."""
        run = self.shop.runs.join(run_id, actor=self.shop.workers.id)
        return await Runner(self.shop.runs.get(run_id)[1], run, Sources({}, {}, ()), self.shop).work()

    def one(self) -> Waiting:
        (waiting,) = self.reviews.queue()
        return waiting

    def approve(self, *names: str) -> Waiting:
        waiting = self.one()
        for name in names:
            waiting = self.reviews.decide(waiting.id, "approve", name)
        return waiting

    def acts(self, ticket_id: str) -> list[str]:
        entries = self.shop.journal.about(f"ticket/{ticket_id}")
        return [entry.act.value.removeprefix("review:ticket:") for entry in entries]

    def tables(self) -> dict[str, list[Any]]:
        return {
            name: self.state.database.rows(f"SELECT * FROM {name} ORDER BY 1, 2") for name in FOLDED_TABLES
        }

    def folds_again(self) -> None:
        """The tables come out of the journal as they stand."""
        before = self.tables()
        self.state.fold_again()
        assert self.tables() == before


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    made = Desk(tmp_path)
    yield made
    made.folds_again()
    made.state.close()


def press(text: str = "two words", **more: Any) -> Plan:
    return plan_of(echo("a", text, **more), kind="press")


async def test_two_people_with_the_roles_between_them_let_it_leave(desk: Desk) -> None:
    assert (await desk.work(press())).state == "awaiting_review"
    assert desk.approve("Ada").state == "open"
    assert (await desk.work(press())).state == "awaiting_review"
    assert desk.approve("Bo").state == "approved"
    run = await desk.work(press())
    assert (run.state, run.results[0].approved_by) == ("released", "Ada, Bo")
    assert (await desk.work(press())).results[0].approved_by == "Ada, Bo"  # a resume asks nobody again


async def test_two_people_without_one_of_the_roles_do_not(desk: Desk) -> None:
    await desk.work(press())
    assert desk.approve("Ada", "Head").state == "open"
    assert desk.one().standing[0].missing_roles == ("brand",)
    assert (await desk.work(press())).state == "awaiting_review"


async def test_one_rejection_ends_it(desk: Desk) -> None:
    await desk.work(press())
    desk.approve("Ada")
    assert desk.reviews.decide(desk.one().id, "reject", "Bo", "wrong tone").state == "rejected"
    run = await desk.work(press())
    assert run.state == "failed"
    assert "rejected by Bo: wrong tone" in run.reason
    assert desk.reviews.queue() == []


async def test_a_refused_decision_changes_nothing(desk: Desk) -> None:
    await desk.work(press(), actor="user:ADA.PARK")
    size = desk.shop.journal.size()
    for name, reason in (("Ada", "may not approve"), ("Eve", "does not list"), ("Bo", "")):
        if reason:
            with pytest.raises(PolicyDenied, match=reason):
                desk.approve(name)
        assert desk.shop.journal.size() == size
    desk.approve("Bo")
    with pytest.raises(PolicyDenied, match="decided already"):
        desk.approve("Bo")


async def test_who_edits_the_plan_may_not_approve_it_either(desk: Desk) -> None:
    await desk.work(press("first words"), actor="user:eve")
    await desk.work(press("other words"), actor="user:bo")
    assert desk.one().ticket.requested_by == ("eve", "Bo")
    with pytest.raises(PolicyDenied, match="Bo asked for this run"):
        desk.approve("Bo")
    await desk.work(press("other words"), actor="user:ada.park")  # going on is not asking
    assert desk.one().ticket.requested_by == ("eve", "Bo")


async def test_approved_while_no_worker_is_there_it_goes_on_when_one_comes(desk: Desk) -> None:
    await desk.work(press())
    assert desk.shop.runs.unfinished() == []
    desk.approve("Ada")
    assert desk.shop.runs.unfinished() == []
    desk.approve("Bo")
    assert desk.shop.runs.get("run")[0].state == "planned"
    assert desk.shop.runs.unfinished() == ["run"]
    desk.folds_again()
    run = await desk.join()
    assert (run.state, run.results[0].approved_by) == ("released", "Ada, Bo")
    assert desk.shop.runs.unfinished() == []


async def test_a_run_goes_on_only_when_all_its_tickets_are_decided(desk: Desk) -> None:
    desk.shop.policy = desk.policy(CHECKED)
    plan = plan_of(echo("a", "short"), echo("b", "brief"), echo("c", "more words", ("a", "b")))
    await desk.work(plan)
    first, second = desk.reviews.queue()
    desk.reviews.decide(first.id, "approve", "Ada")
    assert desk.shop.runs.unfinished() == []
    desk.reviews.decide(second.id, "reject", "Ada", "no")
    assert desk.shop.runs.unfinished() == ["run"]
    states = {result.step: result.state for result in (await desk.join()).results}
    assert states == {"a": "done", "b": "failed", "c": "skipped"}


async def test_what_is_decided_while_the_round_still_runs_is_not_waited_for(desk: Desk) -> None:
    plan = press()
    run = Run(id="run", state="planned", plan=plan.identity, brief=plan.brief.identity)
    runner = Runner(plan, desk.shop.runs.submit(run, plan, actor="user:eve"), Sources({}, {}, ()), desk.shop)
    runner.deliver = lambda run, turn: desk.approve("Ada", "Bo") and None  # before the round is closed
    await runner.work()
    assert desk.shop.runs.unfinished() == ["run"]
    assert (await desk.join()).state == "released"


@pytest.mark.parametrize("hours", [71.9, 72])
async def test_an_approval_counts_only_until_its_ticket_expires(desk: Desk, hours: float) -> None:
    await desk.work(press())
    old = desk.approve("Ada", "Bo")
    desk.clock.forward(hours)
    run = await desk.work(press())
    if hours < 72:
        assert run.state == "released"
        desk.clock.forward(100)
        assert (await desk.work(press())).state == "released"  # it was used in time
        assert desk.acts(old.id) == ["opened", "approved", "approved"]
        return
    assert run.state == "awaiting_review"
    assert desk.acts(old.id) == ["opened", "approved", "approved", "expired"]
    fresh = desk.one()
    assert (fresh.ticket.serial, fresh.decisions) == (1, ())
    assert fresh.ticket.artifact == old.ticket.artifact
    desk.approve("Ada", "Bo")
    assert (await desk.work(press())).state == "released"


async def test_after_its_expiry_no_decision_is_taken(desk: Desk) -> None:
    await desk.work(press())
    old = desk.approve("Ada")
    decision = desk.reviews.draft(old.id, "approve", "Bo")
    desk.clock.forward(72)
    with pytest.raises(NotFound, match="it is expired"):
        desk.reviews.take(decision)
    assert desk.one().decisions == ()  # what Ada said was about the old one
    assert desk.one().id != old.id


async def test_an_expired_ticket_of_a_run_at_its_end_is_not_opened_again(desk: Desk) -> None:
    plan = plan_of(echo("bad", params={"fail": "no"}), echo("a"), kind="press")
    assert (await desk.work(plan)).state == "failed"
    desk.clock.forward(72)
    assert desk.reviews.queue() == []
    await desk.work(plan)
    assert desk.one().ticket.serial == 1


async def test_what_is_overdue_goes_once_to_whom_it_escalates(desk: Desk) -> None:
    await desk.work(press())
    opened = desk.one()
    assert desk.reviews.queue(overdue=True) == []
    assert desk.shop.tickets.next_due() == opened.due_at == "2026-03-02T00:00:00.000Z"
    desk.reviews.claim(opened.id, "Bo")
    desk.clock.forward(24)
    assert [each.owner for each in desk.reviews.queue(overdue=True)] == ["head-of-legal"]
    assert desk.shop.tickets.next_due() == opened.expires_at
    assert desk.reviews.queue(mine="head")[0].id == opened.id  # Head has the role
    assert desk.reviews.queue(mine="Bo") == []
    assert desk.reviews.claim(opened.id, "Head").owner == "Head"
    assert desk.reviews.queue(mine="user:HEAD")[0].id == opened.id
    desk.clock.forward(1)
    assert desk.one().owner == "Head"
    assert desk.acts(opened.id) == ["opened", "claimed", "escalated", "claimed"]


async def test_what_one_has_taken_on_another_takes_over_only_when_they_say_so(desk: Desk) -> None:
    await desk.work(press())
    desk.reviews.claim(desk.one().id, "Ada")
    with pytest.raises(PolicyDenied, match="Ada has it"):
        desk.reviews.claim(desk.one().id, "Bo")
    assert desk.reviews.claim(desk.one().id, "Bo", take_over=True).owner == "Bo"
    with pytest.raises(PolicyDenied, match="does not list"):
        desk.reviews.claim(desk.one().id, "Eve")


async def test_the_queue_is_sorted_by_what_is_due_next(desk: Desk) -> None:
    await desk.work(press(), "late")
    desk.clock.forward(1)
    desk.shop.policy = desk.policy(TWO.replace("due_hours = 24", "due_hours = 2"))
    await desk.work(press(), "soon")
    assert [each.run_id for each in desk.reviews.queue()] == ["soon", "late"]
    assert desk.shop.tickets.next_due() == "2026-03-01T03:00:00.000Z"


async def test_one_byte_changed_in_the_store_after_the_approval_refuses(desk: Desk) -> None:
    await desk.work(press())
    waiting = desk.approve("Ada", "Bo")
    _change_a_byte(desk, waiting)
    run = await desk.work(press())
    assert run.state == "failed"
    assert "now hashes to" in run.reason
    assert run.results[0].approved_by == ""


async def test_one_byte_changed_before_the_approval_refuses_it(desk: Desk) -> None:
    await desk.work(press())
    _change_a_byte(desk, desk.one())
    with pytest.raises(Tampered, match="now hashes to"):
        desk.approve("Ada")
    assert desk.one().decisions == ()


def _change_a_byte(desk: Desk, waiting: Waiting) -> None:
    sha256 = waiting.ticket.artifact
    path = desk.shop.artifacts.objects.local(sha256)
    assert path is not None
    path.chmod(0o644)
    path.write_bytes(bytes([path.read_bytes()[0] ^ 1]) + path.read_bytes()[1:])


def other_params(plan: Plan) -> Plan:
    """The engine does the same with it: same bytes, other parameters."""
    return press(params={"text": "two words", "delay": 0.0001})


def other_seed(plan: Plan) -> Plan:
    return press(seed=7)


def other_check(plan: Plan) -> Plan:
    return press(checks={"length": {"min_words": 2, "max_words": 9}})


@pytest.mark.parametrize("edit", [other_params, other_seed, other_check])
@pytest.mark.parametrize("used", [False, True])
async def test_an_edit_of_the_plan_ends_the_approval(
    desk: Desk, edit: Callable[[Plan], Plan], used: bool
) -> None:
    await desk.work(press())
    first = desk.approve("Ada", "Bo")
    if used:
        assert (await desk.work(press())).state == "released"
    run = await desk.work(edit(press()))
    assert run.state == "awaiting_review"
    second = desk.one()
    assert second.ticket.artifact == first.ticket.artifact
    assert second.ticket.plan != first.ticket.plan


async def test_a_waiting_step_is_judged_again_when_the_plan_asks_for_other_checks(desk: Desk) -> None:
    desk.shop.policy = desk.policy(CHECKED)
    await desk.work(plan_of(echo("a", "word")))
    assert [verdict.outcome for verdict in desk.one().ticket.verdicts] == ["block"]
    run = await desk.work(plan_of(echo("a", "word", checks={"length": {"min_words": 1}})))
    assert run.state == "released"
    assert desk.reviews.queue() == []  # what was open is about a plan that is no more


async def test_another_policy_asks_again(desk: Desk) -> None:
    await desk.work(press())
    old = desk.approve("Ada", "Bo")
    desk.shop.policy = desk.policy(f"{TWO}[review]\ndue_hours = 3\n")
    assert (await desk.work(press())).state == "awaiting_review"
    assert desk.one().id != old.id
    assert desk.acts(old.id)[-1] == "expired"
    with pytest.raises(NotFound, match="it is expired"):
        desk.reviews.claim(old.id, "Ada")


async def test_a_decision_needs_the_policy_of_its_ticket(desk: Desk) -> None:
    await desk.work(press())
    desk.shop.policy = desk.policy(CHECKED)
    with pytest.raises(PolicyDenied, match="another policy"):
        desk.approve("Ada")


async def test_a_result_of_another_run_is_not_approved_by_its_approval(desk: Desk) -> None:
    await desk.work(press())
    desk.approve("Ada", "Bo")
    await desk.work(press())
    run = await desk.work(press(), "other")
    assert run.state == "awaiting_review"
    run = await desk.work(plan_of(echo("a")), "third")  # nobody needs to see it there, and nobody has
    assert (run.results[0].state, run.results[0].approved_by) == ("reused", "")


async def test_a_decision_changed_in_the_database_is_found(desk: Desk) -> None:
    await desk.work(press())
    desk.approve("Ada", "Bo")
    database = desk.state.database
    original = database.rows(
        "SELECT c.digest, c.body FROM contents c JOIN decisions d ON d.decision = c.digest"
    )
    name, body = original[0]
    forge = "UPDATE contents SET body = ? WHERE digest = ?"
    database.write(lambda t: t.execute(forge, (bytes(body).replace(b"Ada", b"Eve"), name)).rowcount)
    run = await desk.work(press())
    assert run.state == "failed"
    assert "was changed in the database" in run.reason
    database.write(lambda t: t.execute(forge, (bytes(body), name)).rowcount)


async def test_an_approval_that_only_the_table_knows_is_found(desk: Desk) -> None:
    await desk.work(press())
    desk.approve("Ada")
    database = desk.state.database
    database.write(lambda t: t.execute("UPDATE tickets SET state = 'approved'").rowcount)
    run = await desk.work(press())
    assert run.state == "failed"
    assert "do not add up" in run.reason
    database.write(lambda t: t.execute("UPDATE tickets SET state = 'open'").rowcount)


async def test_a_decision_says_who_and_why_in_the_journal(desk: Desk) -> None:
    await desk.work(press())
    waiting = desk.reviews.decide(desk.one().id, "approve", "user:ADA.park", "read twice")
    entry = desk.shop.journal.about(f"ticket/{waiting.id}")[-1]
    assert (entry.act.value, entry.actor, entry.why) == ("review:ticket:approved", "person:Ada", "read twice")
    assert entry.detail["closed"] is False
    opened = desk.shop.journal.about(f"ticket/{waiting.id}")[0]
    assert (opened.behalf, opened.detail["due_s"], opened.detail["expires_s"]) == ("eve", 86400, 259200)


async def test_where_nobody_is_listed_one_login_has_one_voice(desk: Desk) -> None:
    """Names are taken on trust then; two names by one login are still one person, and who asked may not be among several."""
    desk.shop.policy = desk.policy(
        CHECKED + "[[rules]]\nname = 'two'\nmedia_types = ['text/plain']\nreview = { approvals = 2 }\n"
    )
    assert (await desk.work(plan_of(echo("a", "read me first")), actor="user:eve")).state == "awaiting_review"
    ticket = desk.one().id
    for name in ("Alice", "Eve"):
        with pytest.raises(PolicyDenied, match="asked for this run"):
            Reviews(desk.shop, actor="user:eve").decide(ticket, "approve", name)
    assert Reviews(desk.shop, actor="user:ann").decide(ticket, "approve", "Alice").state == "open"
    with pytest.raises(PolicyDenied, match="'ann' has decided already, under another name"):
        Reviews(desk.shop, actor="user:ann").decide(ticket, "approve", "Bob")
    done = Reviews(desk.shop, actor="key:7").decide(ticket, "approve", "Bob")
    assert done.state == "approved" and [each.by for each in done.decisions] == ["user:ann", "key:7"]
    told = [
        entry for entry in desk.shop.journal.about(f"ticket/{ticket}") if entry.act == Act.TICKET_APPROVED
    ]
    assert [(entry.actor, entry.detail["by"]) for entry in told] == [
        ("person:Alice", "user:ann"),
        ("person:Bob", "key:7"),
    ]
    assert (await desk.join()).state == "released"
    desk.folds_again()
