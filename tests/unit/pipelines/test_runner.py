"""Running plans, with the fake engine."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator

import pytest
from tests.unit.pipelines.conftest import Work, echo, plan_of

from bottega.core.brief import Brief, Constraints
from bottega.core.errors import InvalidBrief
from bottega.core.passage import Passage
from bottega.core.plan import Step
from bottega.core.request import Output, Request
from bottega.core.run import Run
from bottega.engines.base import Bench
from bottega.pipelines.review import Reviews
from bottega.pipelines.runner import Event, Runner, Sources
from bottega.pipelines.workshop import Workshop


@pytest.fixture
def database_url(either_database: str) -> str:
    """Runs are the same on both databases."""
    return either_database


def texts(run: Run, shop: Workshop) -> dict[str, str]:
    return {
        result.step: shop.artifacts.locate(made.artifact).read_text()
        for result in run.results
        for made in result.outputs
    }


async def test_steps_run_after_what_they_need(runner: Work, shop: Workshop) -> None:
    plan = plan_of(
        echo("c", "see", after=("a", "b")),
        echo("a", "one two"),
        echo("b", "three four"),
        echo("d", "x", ("c",)),
    )
    run = await runner(plan).work()
    assert run.state == "released"
    assert texts(run, shop)["d"] == "one two\nthree four\nsee\nx"
    assert [result.step for result in run.results] == ["c", "a", "b", "d"]  # in the plan's order


async def test_a_finished_step_is_not_made_again(runner: Work) -> None:
    happened: Counter[str] = Counter()

    def watch(event: Event) -> None:
        happened[event.what] += 1

    plan = plan_of(echo("a"), echo("b", after=("a",)))
    first = await runner(plan, "one").work()
    again = await runner(plan, "two", watch).work()
    assert [result.state for result in again.results] == ["reused", "reused"]
    assert happened["output"] == 0
    assert [r.outputs for r in again.results] == [r.outputs for r in first.results]


async def test_an_edited_plan_reruns_only_what_changed(runner: Work, shop: Workshop) -> None:
    await runner(plan_of(echo("a"), echo("b", after=("a",)), echo("c", "last words", ("b",))), "one").work()
    edited = plan_of(
        echo("a"),
        echo("new", "in between", ("a",)),
        echo("b2", after=("a",)),
        echo("c", "last words", ("b2", "new")),
    )
    run = await runner(edited, "two").work()
    states = {result.step: result.state for result in run.results}
    assert states == {"a": "reused", "new": "done", "b2": "reused", "c": "done"}
    assert texts(run, shop)["c"].startswith("two words\ntwo words\ntwo words\nin between")


async def test_a_failed_step_names_itself_and_stops_only_what_needs_it(runner: Work) -> None:
    plan = plan_of(echo("bad", params={"fail": "no paper"}), echo("after", after=("bad",)), echo("free"))
    run = await runner(plan).work()
    states = {result.step: result.state for result in run.results}
    assert states == {"bad": "failed", "after": "skipped", "free": "done"}
    assert run.state == "failed"
    assert "bad: no paper" in run.reason


async def test_a_blocked_step_waits_for_a_person_and_approval_lets_exactly_it_leave(
    runner: Work, shop: Workshop
) -> None:
    plan = plan_of(echo("a", "word"), echo("b", "more words", ("a",)))
    run = await runner(plan).work()
    assert run.state == "awaiting_review"
    (waiting,) = Reviews(shop).all()
    assert waiting.decisions == ()
    Reviews(shop).decide(waiting.id[:8], "approve", "Ada")
    run = await runner(plan).work()
    assert run.state == "released"
    assert run.results[0].approved_by == "Ada"

    other = plan_of(echo("a", "words"), echo("b", "more words", ("a",)))
    run = await runner(other, "other").work()
    assert run.state == "awaiting_review"  # another artifact needs another approval


async def test_a_rejection_ends_the_step_with_its_reason(runner: Work, shop: Workshop) -> None:
    plan = plan_of(echo("a", "word"))
    await runner(plan).work()
    (waiting,) = Reviews(shop).all()
    Reviews(shop).decide(waiting.id, "reject", "Ada", "too short")
    run = await runner(plan).work()
    assert run.state == "failed"
    assert "rejected by Ada: too short" in run.reason


async def test_the_policy_can_ask_for_a_person(runner: Work, shop: Workshop) -> None:
    run = await runner(plan_of(echo("a"), kind="shown_to_a_person")).work()
    assert run.state == "awaiting_review"
    assert "rule 'shown'" in Reviews(shop).all()[0].ticket.reason


async def test_cancel_stops_a_running_step(runner: Work) -> None:
    plan = plan_of(echo("slow", "word " * 500, params={"text": "word " * 500, "delay": 0.05}))
    work = runner(plan)
    task = asyncio.create_task(work.work())
    await asyncio.sleep(0.2)
    work.cancelled.set()
    run = await asyncio.wait_for(task, 5)
    assert run.state == "cancelled"


async def test_the_time_limit_ends_the_run(runner: Work) -> None:
    step = echo("slow", params={"text": "word " * 500, "delay": 0.05})
    run = await runner(plan_of(step, constraints=Constraints(max_seconds=0.3))).work()
    assert run.state == "failed"
    assert "time limit" in run.reason
    assert run.error == "BudgetExceeded"


async def test_a_run_id_belongs_to_its_brief(runner: Work) -> None:
    await runner(plan_of(echo("a"))).work()
    other = plan_of(echo("a")).model_copy(update={"brief": Brief(goal="something else")})
    with pytest.raises(InvalidBrief, match="another brief"):
        runner(other)


async def test_everything_is_in_the_journal(runner: Work, shop: Workshop) -> None:
    await runner(plan_of(echo("a"))).work()
    assert [entry.act.value for entry in shop.journal.about("run/run")] == [
        "pipeline:run:submitted",
        "pipeline:run:begun",
        "pipeline:step:leased",
        "pipeline:step:finished",
        "pipeline:run:released",
    ]


async def test_a_large_artifact_goes_through_ten_steps_and_the_journal_holds_digests(shop: Workshop) -> None:
    def written() -> int:
        return shop.journal.database.rows("SELECT COALESCE(SUM(LENGTH(entry)), 0) FROM journal")[0][0]

    large = shop.artifacts.put(b"x" * (64 << 20), "text/plain")
    steps = [echo("s0", "", inputs={"text": ("source:film",)}, checks={})]
    for n in range(1, 10):  # each another key, over the same bytes
        params = {"text": "", "delay": n / 1e6}
        steps.append(echo(f"s{n}", after=(f"s{n - 1}",), params=params, checks={}))
    plan = plan_of(*steps)
    run = Run(id="run", state="planned", plan=plan.identity, brief=plan.brief.identity)
    begun = shop.runs.submit(run, plan, actor="user:test")
    before = written()
    run = await Runner(plan, begun, Sources({"film": large}, {}, ()), shop).work()
    made = [result.outputs[0].artifact.sha256 for result in run.results if result.state == "done"]
    assert made == [large.sha256] * 10
    assert written() - before < 64 << 10


async def test_names_that_an_engine_reads_are_part_of_what_makes_its_result(
    runner: Work, shop: Workshop
) -> None:
    """Two steps exchange their ids: what was made of the same bytes under other names says the opposite."""
    params = {"template": "a: {{ a }}. b: {{ b }}.", "media_type": "text/plain"}
    said: list[str] = []
    for red, green in (("a", "b"), ("b", "a")):
        inputs = {"data": (f"{red}.text", f"{green}.text")}
        page = Step(id="page", engine="compose", params=params, inputs=inputs)
        run = await runner(plan_of(echo(red, "all red"), echo(green, "all green"), page), f"run-{red}").work()
        said.append(texts(run, shop)["page"])
        assert [result.state for result in run.results[:2]] == ["done" if red == "a" else "reused"] * 2
    assert said == ["a: all red. b: all green.", "a: all green. b: all red."]


async def test_what_was_judged_by_other_sources_is_judged_again_and_not_made_again(shop: Workshop) -> None:
    checks: dict[str, object] = {"numbers_grounded": {}}
    plan = plan_of(echo("a", "It weighs 42 kilograms.", checks=checks))

    async def work(run_id: str, said: str) -> Run:
        passage = Passage(id="s#1", source="s.md", sha256="0" * 64, page=1, start=0, end=len(said), text=said)
        document = shop.artifacts.put(said.encode(), "text/plain")
        begun = Run(id=run_id, state="planned", plan=plan.identity, brief=plan.brief.identity)
        sources = Sources({}, {"s.md": document}, (passage,))
        return await Runner(plan, shop.runs.submit(begun, plan, actor="user:test"), sources, shop).work()

    first = await work("first", "The anvil weighs 42 kilograms.")
    assert first.state == "released" and first.results[0].outputs[0].verdicts[0].outcome == "pass"
    engine, asked = shop.engine("echo"), list[str]()
    generate = engine.generate

    def counted(request: Request, bench: Bench) -> AsyncIterator[Output]:
        asked.append(request.feedback)
        return generate(request, bench)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine, "generate", counted)
        same = await work("same", "The anvil weighs 42 kilograms.")
        assert same.results[0].state == "reused"
        longer = await work("longer", "The anvil weighs 42 kilograms and costs 9 EUR.")
        assert longer.state == "released" and longer.results[0].state == "done" and asked == []
        other = await work("other", "The anvil weighs 17 kilograms.")
    assert other.state == "awaiting_review" and other.results[0].outputs[0].verdicts[0].outcome == "block"
    assert asked == []  # it is exact: it would come out the same
