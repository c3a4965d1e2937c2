"""Runs: who may have a step, what comes of a late write, what a newer round does to an older one."""

from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import TypeAdapter
from tests.unit.storage.conftest import Clock, claim, die, finish, lease, step_state, submit

from bottega.core.entry import Act
from bottega.core.errors import InvalidBrief, InvalidValue, LeaseLost, NotFound
from bottega.core.run import Run, StepResult
from bottega.storage.leases import POISON, Busy
from bottega.storage.state import State

Hire = Callable[[], State]


async def test_a_dead_workers_step_is_taken_over_and_its_late_write_is_refused(
    workers: Hire, tmp_path: Path
) -> None:
    one, two = workers(), workers()
    run = submit(one, "red")
    first = await lease(one, run, "a", "red")
    assert isinstance(await claim(two, run, "a", "red"), Busy)
    die(one, tmp_path)
    second = await lease(two, run, "a", "red")
    assert second.token > first.token
    assert second.attempt == 2
    with pytest.raises(LeaseLost, match="taken over step 'a'"):
        await finish(one, first)
    assert step_state(two, "a") == "waiting"
    await finish(two, second)
    with pytest.raises(LeaseLost):
        await finish(two, second)  # not twice either


async def test_a_step_that_ends_its_worker_again_and_again_is_parked_with_its_evidence(workers: Hire) -> None:
    state = workers()
    run = submit(state, "red")
    for attempt in range(POISON):
        held = await lease(state, run, "a", "red")
        assert held.attempt == attempt + 1
        await state.runs.died(held, {"ended": "SIGSEGV"}, worker=state.workers.id)
    parked = await claim(state, run, "a", "red")
    assert isinstance(parked, StepResult)
    assert parked.state == "parked"
    (entry,) = [entry for entry in state.journal.about("run/run") if entry.act is Act.STEP_PARKED]
    evidence = TypeAdapter(list[int]).validate_python(entry.detail["evidence"])
    acts = [state.journal.about()[n].act for n in evidence]
    assert acts == [Act.STEP_LEASED, Act.STEP_DIED] * POISON

    run = submit(state, "red")
    assert isinstance(
        found := await claim(state, run, "a", "red"), StepResult
    )  # resuming alone does not help
    assert found.state == "parked"
    run = submit(state, "red", release_parked=True)
    assert (await lease(state, run, "a", "red")).attempt == 1


async def test_leaving_and_signing_off_are_no_deaths(workers: Hire) -> None:
    state = workers()
    run = submit(state, "red")
    for _ in range(POISON):
        leaving = workers()
        await leaving.runs.let_go(await lease(leaving, run, "a", "red"), worker=leaving.workers.id)
        await lease(leaving, run, "a", "red")
        leaving.workers.close()
    assert (await lease(state, run, "a", "red")).attempt == 1
    lost = [entry for entry in state.journal.about() if entry.act is Act.STEP_LOST]
    assert {entry.why for entry in lost} == {"its worker was asked to leave", "it has signed off"}


async def test_deaths_belong_to_a_key(workers: Hire) -> None:
    """An edited step starts anew, also when it ended without a result in between."""
    state = workers()
    run = submit(state, "red")
    for _ in range(POISON - 1):
        await state.runs.died(await lease(state, run, "a", "red"), {}, worker=state.workers.id)
    run = submit(state, "green")
    held = await lease(state, run, "a", "green")
    assert held.attempt == 1
    await finish(state, held, "failed")
    run = submit(state, "green")
    held = await lease(state, run, "a", "green")
    assert held.attempt == 1
    await state.runs.died(held, {}, worker=state.workers.id)
    assert (await lease(state, run, "a", "green")).attempt == 2


async def test_what_a_person_looks_at_is_kept_when_its_worker_dies_and_only_for_its_key(
    workers: Hire,
) -> None:
    state = workers()
    run = submit(state, "red")
    await finish(state, await lease(state, run, "a", "red"), "awaiting_review")
    run = submit(state, "red")
    held = await lease(state, run, "a", "red")
    assert held.before is not None
    await state.runs.died(held, {}, worker=state.workers.id)
    held = await lease(state, run, "a", "red")
    assert held.before is not None  # still that one
    assert held.before.outputs[0].artifact.sha256 == held.claim.key
    await state.runs.died(held, {}, worker=state.workers.id)

    run = submit(state, "green")
    held = await lease(state, run, "a", "green")
    assert held.before is None
    await state.runs.died(held, {}, worker=state.workers.id)
    assert (await lease(state, run, "a", "green")).before is None  # never the result of another key


async def test_a_step_of_an_earlier_round_is_waited_for_and_its_result_counts(workers: Hire) -> None:
    one, two = workers(), workers()
    old = submit(one, "red")
    held = await lease(one, old, "a", "red")
    new = submit(two, "red")
    assert isinstance(await claim(two, new, "a", "red"), Busy)
    await finish(one, held)
    found = await claim(two, new, "a", "red")
    assert isinstance(found, StepResult)
    assert found.state == "reused"


async def test_a_step_edited_meanwhile_waits_for_the_old_one_and_runs(workers: Hire) -> None:
    one, two = workers(), workers()
    held = await lease(one, submit(one, "red"), "a", "red")
    done = submit(two, "green", run="other")
    await finish(two, await lease(two, done, "a", "green"), reusable=True)
    new = submit(two, "green")
    assert isinstance(await claim(two, new, "a", "green"), Busy)  # although its result is known already
    await finish(one, held)
    found = await claim(two, new, "a", "green")
    assert isinstance(found, StepResult)
    assert found.outputs[0].artifact.sha256 == found.key
    (shown,) = two.runs.get("run")[0].results
    assert shown.key == found.key


async def test_results_of_an_earlier_round_are_not_shown_as_those_of_this_one(workers: Hire) -> None:
    """A plan edited and stopped before the edited step must not show, or deliver, what the old step made."""
    state = workers()
    run = submit(state, "red", "red")
    await finish(state, await lease(state, run, "a", "red"))
    assert [result.step for result in state.runs.get("run")[0].results] == ["a"]
    submit(state, "green", "red")
    assert state.runs.get("run")[0].results == ()


@pytest.mark.parametrize("how", ["closed", "left behind", "submitted again"])
async def test_nothing_is_leased_in_a_round_that_is_over(workers: Hire, how: str) -> None:
    state = workers()
    run = submit(state, "red")
    if how == "closed":
        state.runs.close(run.model_copy(update={"state": "failed"}), actor="worker:x")
    else:
        submit(state, "red", begin=how == "left behind")
    found = await claim(state, run, "a", "red")
    assert isinstance(found, StepResult)
    assert found.state == "skipped"
    assert state.runs.over("run", run.round)


async def test_closing_while_another_worker_is_inside_a_step_leaves_that_step_to_it(workers: Hire) -> None:
    one, two = workers(), workers()
    run = submit(one, "red")
    held = await lease(one, run, "a", "red")
    two.runs.close(run.model_copy(update={"state": "cancelled"}), actor=two.workers.id)
    await finish(one, held)  # what it made is not lost
    again = submit(two, "red")
    assert isinstance(found := await claim(two, again, "a", "red"), StepResult)
    assert found.state == "reused"


async def test_a_round_ends_once(workers: Hire) -> None:
    one, two = workers(), workers()
    run = submit(one, "red")
    one.runs.close(run.model_copy(update={"state": "released"}), actor=one.workers.id)
    two.runs.close(run.model_copy(update={"state": "failed"}), actor=two.workers.id)
    assert two.runs.get("run")[0].state == "released"
    assert two.runs.join("run", actor=two.workers.id).state == "released"  # and is not begun again by joining
    newer = submit(one, "red")
    two.runs.close(run.model_copy(update={"state": "failed"}), actor=two.workers.id)
    assert two.runs.get("run")[0].state == "running"
    assert newer.round > run.round


async def test_limits_per_engine_and_per_host(workers: Hire, tmp_path: Path) -> None:
    one, two = workers(), workers()
    run = submit(one, "red", "green", "blue")
    held = await lease(one, run, "a", "red", at_once=2, here_at_once=2)
    assert isinstance(await claim(two, run, "b", "green", at_once=1), Busy)
    assert isinstance(await claim(two, run, "b", "green", here_at_once=1), Busy)
    other = await lease(two, run, "b", "green", engine="far", local=False, here_at_once=1)  # not of this host
    assert isinstance(await claim(two, run, "c", "blue", engine="far", local=False, at_once=1), Busy)
    await finish(two, other)
    die(one, tmp_path)
    assert await lease(two, run, "c", "blue", at_once=1, here_at_once=1)  # the dead one is not counted
    with pytest.raises(LeaseLost):
        await finish(one, held)


async def test_a_delayed_step_waits_for_its_time_whoever_comes(
    workers: Hire, clock: Clock, tmp_path: Path
) -> None:
    one, two = workers(), workers()
    run = submit(one, "red")
    await finish(one, await lease(one, run, "a", "red"), "delayed", until=clock.after(30))
    die(one, tmp_path)  # nobody needs to stay for it
    found = await claim(two, run, "a", "red")
    assert isinstance(found, Busy)
    assert found.until == clock.after(30)
    clock.move(30)
    held = await lease(two, run, "a", "red")
    assert held.delays == 1
    await finish(two, held, "delayed", until=clock.after(30))
    clock.move(-3600)  # set back: it waits for as long as the clock does
    assert isinstance(await claim(two, run, "a", "red"), Busy)
    clock.move(86400)  # set forth: it comes early, and its engine may ask for time again
    assert (await lease(two, run, "a", "red")).delays == 2


async def test_leases_do_not_care_for_the_clock(workers: Hire, clock: Clock) -> None:
    one, two = workers(), workers()
    run = submit(one, "red")
    held = await lease(one, run, "a", "red")
    for seconds in (86400 * 365, -86400 * 730):
        clock.move(seconds)
        assert isinstance(await claim(two, run, "a", "red"), Busy)
    await finish(one, held)
    times = [entry.at for entry in one.journal.about()]
    assert times == sorted(times)


async def test_a_stop_reaches_a_run_that_nobody_has_begun(workers: Hire) -> None:
    state = workers()
    submit(state, "red", begin=False)
    state.runs.ask_to_stop("run", actor="user:ada")
    assert state.runs.get("run")[0].state == "cancelled"
    assert state.runs.unfinished() == []
    size = state.journal.size()
    state.runs.ask_to_stop("run", actor="user:ada")
    assert state.journal.size() == size  # there is nothing left to stop
    with pytest.raises(NotFound):
        state.runs.ask_to_stop("other", actor="user:ada")


async def test_reuse_is_of_equal_keys_and_checks_and_can_be_switched_off(workers: Hire) -> None:
    state = workers()
    run = submit(state, "red", "green")
    await finish(state, await lease(state, run, "a", "red"), reusable=True)
    await finish(state, await lease(state, run, "b", "green"), reusable=False)  # chance made it
    other = submit(state, "red", "green", run="other")
    assert isinstance(await claim(state, other, "a", "red"), StepResult)
    third = submit(state, "red", "green", run="third")
    await state.runs.let_go(await lease(state, third, "a", "red", reuse=False), worker=state.workers.id)
    await state.runs.let_go(await lease(state, third, "a", "red", checks="more"), worker=state.workers.id)
    await lease(state, third, "b", "green")


def test_a_run_id_belongs_to_its_brief_and_a_call_key_to_its_request(workers: Hire) -> None:
    state = workers()
    run = submit(state, "red")
    _, plan = state.runs.get("run")
    with pytest.raises(InvalidBrief, match="another brief"):
        state.runs.submit(run.model_copy(update={"brief": "0" * 64}), plan, actor="user:ada")
    assert state.runs.accept_call("key", "request", "run", actor="user:ada") == "run"
    assert state.runs.accept_call("key", "request", "later", actor="user:ada") == "run"
    with pytest.raises(InvalidValue, match="another request"):
        state.runs.accept_call("key", "changed", "run", actor="user:ada")


def test_a_run_is_what_was_submitted(workers: Hire) -> None:
    state = workers()
    submit(state, "red", "green", charge=["team"], files=["f" * 64], why="a trial")
    run, plan = state.runs.get("run")
    assert isinstance(run, Run)
    assert (run.state, run.charge, run.requested_by) == ("running", ("team",), "user:ada")
    assert [step.id for step in plan.steps] == ["a", "b"]
    assert state.database.rows("SELECT sha256 FROM refs") == [("f" * 64,)]
    assert state.journal.about("run/run")[0].why == "a trial"
