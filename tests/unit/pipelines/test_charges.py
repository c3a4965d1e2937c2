"""Runs that are charged: they pay, pause, ask, and go on; with the fake engine."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.unit.pipelines.conftest import echo, plan_of

from bottega.bootstrap import now
from bottega.core.entry import Act
from bottega.core.errors import Cancelled, EngineBusy, EngineFailed, InvalidBrief, PolicyDenied
from bottega.core.plan import Plan
from bottega.core.request import Usage
from bottega.core.run import Run
from bottega.engines.base import Estimate
from bottega.engines.openai_chat import OpenAIChat
from bottega.pipelines.charges import Meter, attempts, ceilings, charge_for
from bottega.pipelines.review import Reviews
from bottega.pipelines.runner import Runner, Sources
from bottega.pipelines.workshop import Workshop
from bottega.storage.accounts import MILLION, NEAR, Row
from bottega.storage.budgets import Charge
from bottega.storage.state import open_state

KETTLES = "project:kettles"
Work = Callable[..., Coroutine[Any, Any, Run]]


@pytest.fixture
def work(shop: Workshop) -> Work:
    """Work on a charged run; the same id goes on."""

    async def go(plan: Plan, run_id: str = "run", charge: Sequence[str] = (KETTLES,)) -> Run:
        run = Run(id=run_id, state="planned", plan=plan.identity, brief=plan.brief.identity)
        run = shop.runs.submit(run, plan, actor="user:test", charge=charge)
        return await Runner(plan, run, Sources({}, {}, ()), shop).work()

    return go


def limit(shop: Workshop, words: float | None, near: int = MILLION, account: str = KETTLES) -> None:
    amount = None if words is None else round(words * MILLION)
    shop.journal.database.write(
        lambda transaction: shop.runs.budgets.set_limit(
            transaction, account, "word", amount, near=near, actor="user:ada"
        )
    )


def account(shop: Workshop, name: str = KETTLES, unit: str = "word") -> Row:
    return next(row for row in shop.runs.budgets.all() if (row.account, row.unit) == (name, unit))


def acts(shop: Workshop, name: str = KETTLES) -> list[str]:
    return [entry.act.name for entry in shop.journal.about(f"account/{name}")]


def states(run: Run) -> dict[str, str]:
    return {result.step: result.state for result in run.results}


def state_of(shop: Workshop, run_id: str = "run") -> str:
    return shop.runs.get(run_id)[0].state


CEILING = len(b"two words") + 400  # what the fake engine says it may write, in words


async def test_a_charged_run_pays_what_it_used_to_every_account(work: Work, shop: Workshop) -> None:
    run = await work(plan_of(echo("a"), echo("b", "three more words", ("a",))), charge=(KETTLES, "team:home"))
    assert run.state == "released"
    for name in (KETTLES, "team:home"):
        assert account(shop, name)[2:5] == (None, (2 + 4) * MILLION, 0)  # b begins on a's last line
        assert account(shop, name, "compute_second").spent > 0
        assert account(shop, name, "compute_second").reserved == 0
        assert acts(shop, name) == ["BUDGET_RESERVED", "BUDGET_SETTLED"] * 2
    assert (await work(plan_of(echo("a")), "again")).results[0].state == "reused"
    assert account(shop).spent == 6 * MILLION  # what is reused costs nothing


async def test_a_run_without_accounts_does_no_budget_statement(work: Work, shop: Workshop) -> None:
    for table in ("accounts", "reservations", "waits"):
        shop.journal.database.write(
            lambda transaction, table=table: transaction.execute(f"DROP TABLE {table}").rowcount
        )
    assert (await work(plan_of(echo("a"), echo("b", after=("a",))), charge=())).state == "released"


async def test_a_refused_step_waits_and_goes_on_when_the_limit_is_raised(work: Work, shop: Workshop) -> None:
    plan = plan_of(echo("a"), echo("b", "three more words", ("a",)))
    limit(shop, CEILING + 1)
    run = await work(plan)
    assert states(run) == {"a": "done", "b": "awaiting_review"}
    assert run.state == "awaiting_review"
    assert run.reason == "b: the budget project:kettles has 408 word left, the step may use 425 word"
    assert acts(shop)[-1] == "BUDGET_REFUSED"
    (asked,) = Reviews(shop).all()
    assert (asked.ticket.port, asked.ticket.step) == ("budget", "b")
    assert asked.ticket.reason in run.reason
    assert (await work(plan)).state == "awaiting_review"  # asked once
    assert len(Reviews(shop).all()) == 1

    limit(shop, 1000)
    assert state_of(shop) == "planned"  # a worker may have it
    run = await work(plan)
    assert run.state == "released"
    assert states(run)["a"] in ("done", "reused")
    assert (account(shop).spent, account(shop).reserved) == (6 * MILLION, 0)


async def test_a_person_may_allow_exactly_one_reservation(work: Work, shop: Workshop) -> None:
    failing = echo("b", params={"text": "x y", "fail": "no paper"}, checks={})
    plan = plan_of(echo("a"), failing)
    limit(shop, 0)
    run = await work(plan)
    assert set(states(run).values()) == {"awaiting_review"}
    asked = {waiting.ticket.step: waiting for waiting in Reviews(shop).all()}
    Reviews(shop).decide(asked["a"].id, "approve", "Ada")
    assert state_of(shop) == "planned"
    run = await work(plan)
    assert states(run) == {"a": "done", "b": "awaiting_review"}
    assert account(shop).spent == 2 * MILLION  # beyond the limit, because a person said so
    allowed = [
        e.detail.get("approval")
        for e in shop.journal.about(f"account/{KETTLES}")
        if e.act is Act.BUDGET_SETTLED
    ]
    assert allowed == [asked["a"].id]

    Reviews(shop).decide(asked["b"].id, "approve", "Ada")
    assert states(await work(plan))["b"] == "failed"  # it used seconds, so the approval is used up
    assert states(await work(plan))["b"] == "awaiting_review"
    assert len([each for each in Reviews(shop).all() if each.ticket.step == "b"]) == 2


async def test_a_person_may_say_no(work: Work, shop: Workshop) -> None:
    limit(shop, 1)
    plan = plan_of(echo("a"))
    await work(plan)
    (asked,) = Reviews(shop).all()
    Reviews(shop).decide(asked.id, "reject", "Ada", "too dear")
    run = await work(plan)
    assert run.state == "failed"
    assert run.reason.endswith("Ada said no")
    limit(shop, 1000)
    assert (await work(plan)).state == "released"


async def test_who_asked_for_the_run_may_not_allow_it_more(work: Work, shop: Workshop) -> None:
    limit(shop, 1)
    await work(plan_of(echo("a")))
    (asked,) = Reviews(shop).queue()
    assert (asked.ticket.kind, asked.ticket.artifact) == ("budget", "")
    with pytest.raises(PolicyDenied, match="asked for this run"):
        Reviews(shop).decide(asked.id, "approve", "Test")
    limit(shop, 1000)
    assert Reviews(shop).queue() == []  # nobody waits for the answer any more


async def test_near_a_limit_one_question_is_asked_for_all(work: Work, shop: Workshop) -> None:
    limit(shop, 10_000, near=100)  # one word
    first, second = plan_of(echo("a"), echo("b", "x y", ("a",))), plan_of(echo("c", "one more"))
    run = await work(first, "one")
    assert states(run) == {"a": "done", "b": "awaiting_review"}
    assert "nearly used: 2 word of 10000 word" in run.reason
    assert (await work(second, "two")).state == "awaiting_review"
    (asked,) = Reviews(shop).all()
    Reviews(shop).decide(asked.id, "approve", "Ada")
    assert state_of(shop, "one") == state_of(shop, "two") == "planned"
    assert (await work(first, "one")).state == (await work(second, "two")).state == "released"
    assert (await work(plan_of(echo("d", "not asked again")), "three")).state == "released"
    limit(shop, 20_000, near=100)
    assert (await work(plan_of(echo("e", "another limit")), "four")).state == "awaiting_review"
    assert NEAR == 0.8 * MILLION


async def test_an_answer_that_comes_before_the_run_is_closed_is_not_missed(
    work: Work, shop: Workshop
) -> None:
    plan = plan_of(echo("a"), echo("slow", params={"text": "a " * 10, "delay": 0.05}, checks={}))
    limit(shop, 0)
    limit(shop, None)
    limit(shop, 420)
    working = asyncio.create_task(work(plan))
    with shop.runs.wakes.listen() as bell:
        while Act.BUDGET_REFUSED.name not in acts(shop):
            await bell.wait(5)
            bell.clear()
    limit(shop, 5000)
    await working
    assert state_of(shop) == "planned"
    assert (await work(plan)).state == "released"


async def test_who_pays_for_a_run_is_settled_when_it_is_submitted(work: Work, shop: Workshop) -> None:
    plan = plan_of(echo("a", params={"fail": "no paper"}, checks={}))
    await work(plan)
    with pytest.raises(InvalidBrief, match="charged to project:kettles"):
        await work(plan, charge=("team:home",))
    run = await work(plan, charge=())
    assert run.charge == (KETTLES,)
    assert len(acts(shop)) == 4


async def test_what_was_made_is_shown_to_a_person_without_paying_again(work: Work, shop: Workshop) -> None:
    plan = plan_of(echo("a"), kind="shown_to_a_person")
    assert (await work(plan)).state == "awaiting_review"
    limit(shop, 0)
    (asked,) = Reviews(shop).all()
    Reviews(shop).decide(asked.id, "approve", "Ada")
    assert (await work(plan)).state == "released"
    assert account(shop).spent == 2 * MILLION


async def test_failures_and_stops_free_what_they_did_not_use(work: Work, shop: Workshop) -> None:
    run = await work(plan_of(echo("bad", params={"fail": "no paper"}, checks={})))
    assert run.state == "failed"
    assert (account(shop).spent, account(shop).reserved) == (0, 0)
    assert account(shop, unit="compute_second").reserved == 0


async def test_the_tables_come_out_of_the_journal_again(work: Work, shop: Workshop, tmp_path: Path) -> None:
    limit(shop, CEILING + 1, near=NEAR)
    await work(plan_of(echo("a"), echo("b", "three more words", ("a",))))
    tables = ("runs", "steps", "accounts", "reservations", "waits")
    state = open_state(tmp_path / "state", now)
    before = {table: sorted(state.database.rows(f"SELECT * FROM {table}"), key=repr) for table in tables}
    state.fold_again()
    assert {
        table: sorted(state.database.rows(f"SELECT * FROM {table}"), key=repr) for table in tables
    } == before
    state.close()


def test_an_attempt_that_broke_off_counts_in_full_where_another_party_may_bill_it() -> None:
    card = OpenAIChat.card
    step = echo("a", engine="openai_chat", checks={"length": {}})
    assert attempts(step, card) == 3
    meter = Meter(begun=2, known=[Usage(input_units=10, output_units=5, unit="token", cost=0.001)])
    billed = Charge(
        (KETTLES,), {"token": 300 * MILLION, "usd": 3 * MILLION, "compute_second": MILLION}, billed=True
    )
    here = Charge((KETTLES,), billed.amounts)
    broke = EngineFailed("the stream broke off")
    used = meter.used(billed, step, card, broke)
    assert (used["token"], used["usd"]) == (115 * MILLION, 1_001_000)
    assert meter.used(here, step, card, broke)["token"] == 15 * MILLION
    assert meter.used(billed, step, card, EngineBusy("come back later"))["usd"] == 1000
    told = Cancelled("stopped", used={"usage": Usage(output_units=7, unit="token").document()})
    assert meter.used(billed, step, card, told)["token"] == 22 * MILLION


def test_ceilings_are_not_under_the_estimate(shop: Workshop) -> None:
    chat = {"prompt": "Write a page. " * 20, "base_url": "http://x/v1", "price_in": 3.0, "price_out": 15.0}
    for engine_id, params in (
        ("openai_chat", chat),
        ("language", {"prompt": "x"}),
        ("layout", {"kind": "banner"}),
    ):
        step = echo("a", engine=engine_id, params=params, checks={})
        engine = shop.engine(engine_id)
        estimate: Estimate = engine.estimate(engine.params.model_validate(params), 4000)
        most = ceilings(step, engine, 4000)
        assert most["compute_second"] > estimate.seconds
        assert most.get("usd", 0.0) >= estimate.cost
        assert {"openai_chat": "token", "language": "token", "layout": "image"}[engine_id] in most
        charge = charge_for(step, [KETTLES, KETTLES], 4000, shop)
        assert charge.accounts == (KETTLES,)
        assert charge.billed == (engine_id == "openai_chat")
