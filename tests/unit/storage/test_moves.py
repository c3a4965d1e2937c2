"""The pictures in `docs/runs.md` draw every move that a run or a step can make, and no other."""

from collections.abc import Callable
from pathlib import Path

from tests.properties.moves import RUN_ACTS, STEP_ACTS, Move, drawn, moves, written
from tests.unit.storage.conftest import Clock, claim, claim_of, finish, lease, step_state, submit

from bottega.core.canonical import canonical_json
from bottega.core.entry import Act
from bottega.core.run import Run, RunState, StepResult, StepState
from bottega.storage.budgets import Charge, Refusal
from bottega.storage.fold import ENDED, RULES, STEP_STATES
from bottega.storage.leases import POISON, Lease
from bottega.storage.runs import ENDED_BY
from bottega.storage.state import State
from bottega.storage.tickets import Opening

Hire = Callable[[], State]
ENDS: dict[str, StepState] = {
    "done": "done",
    "awaiting_review": "awaiting_review",
    "failed": "failed",
    "stopped": "stopped",
    "delayed": "delayed",
}
SETTLED = (*ENDS, "reused", "parked", "waiting")


def test_the_drawn_acts_are_those_of_the_fold_and_lead_where_it_leads() -> None:
    folded = {act for act in RULES if act.value.startswith(("pipeline:run:", "pipeline:step:"))}
    assert {move.act for move in drawn()} == folded == RUN_ACTS | STEP_ACTS
    leads = {act: {move.after for move in drawn() if move.act == act} for act in folded}
    for act, state in {**ENDED, **STEP_STATES}.items():
        assert leads[act] == ({state, "planned"} if act is Act.RUN_WAITING else {state})


def test_both_pictures_say_the_same() -> None:
    assert written() == drawn()


async def test_every_drawn_move_is_made_and_no_other(workers: Hire, clock: Clock, tmp_path: Path) -> None:
    state = workers()
    await _every_move_of_a_run(state)
    for before in SETTLED:
        word = f"{before}, then edited"
        await _to(state, submit(state, word, run=word), before, clock, word)
        held = await lease(state, submit(state, "edited", run=word), "a", f"{before}, edited")
        await state.runs.let_go(held, worker=state.workers.id)
    for before in SETTLED:
        word = f"{before}, then made elsewhere"
        await _to(state, submit(state, word, run=word), before, clock, word)
        await _elsewhere(state, word)
        await claim(state, submit(state, word, run=word), "a", word)
        assert step_state(state, "a", run=word) == "reused"
    for before in ("[*]", *SETTLED):
        await _unpaid(state, before, clock, rejected=False)
        await _unpaid(state, before, clock, rejected=True)
    await _every_wait_for_money(state)
    await _to(state, submit(state, "deadly"), "parked", clock, "deadly")
    await claim(state, submit(state, "deadly"), "a", "deadly")  # is parked again
    made = moves(state, tmp_path)
    assert made - drawn() == set()
    assert drawn() - made == set()


def test_a_move_that_is_not_drawn_is_found(workers: Hire, tmp_path: Path) -> None:
    """The counter-example: a run that is released without ever having begun."""
    state = workers()
    submit(state, "red", begin=False)
    state.journal.write(Act.RUN_RELEASED, "run/run", actor="user:eve")
    strange = moves(state, tmp_path) - drawn()
    assert strange == {Move("run", "planned", "pipeline:run:released", "released")}


async def _every_move_of_a_run(state: State) -> None:
    ends: tuple[RunState, ...] = ("released", "awaiting_review", "failed", "cancelled")
    for end in ends:
        run = submit(state, "red", run=end)
        _close(state, run, end)
        _close(state, submit(state, "red", run=end), end)  # begun again
        submit(state, "red", run=end, begin=False)  # handed to the workers again
        submit(state, "green", run=end, begin=False)
        _close(state, state.runs.join(end, actor="worker:x"), end)
        state.journal.write(Act.RUN_EXPIRED, f"run/{end}", actor="bottega")
    submit(state, "red", run="stopped", begin=False)
    state.runs.ask_to_stop("stopped", actor="user:ada")
    submit(state, "red", run="stopped")
    state.runs.ask_to_stop("stopped", actor="user:ada")
    submit(state, "red", run="stopped")
    submit(state, "red", run="stopped", begin=False)


def _close(state: State, run: Run, end: RunState) -> None:
    state.runs.close(run.model_copy(update={"state": end}), actor=state.workers.id)
    assert ENDED_BY[end] in {entry.act for entry in state.journal.about(f"run/{run.id}")}


async def _unpaid(state: State, before: str, clock: Clock, *, rejected: bool) -> None:
    """A step is edited into one that its budget refuses; then perhaps a person does too."""
    word = f"{before}, then {'denied' if rejected else 'unpaid'}"
    run = submit(state, word, run=word, charge=["team:home"])
    if before != "[*]":
        await _to(state, run, before, clock, word)
    _limit(state, 1)
    charge = Charge(("team:home",), {"usd": 2})
    edited = submit(state, "edited", run=word)
    if rejected:
        subject, key = f"run/{word}/step/a", claim_of(edited, "a", f"{word}, edited").key
        refusal = state.database.write(
            lambda transaction: state.budgets.admit(transaction, charge, subject, key)
        )
        assert isinstance(refusal, Refusal)
        asked = Opening(canonical_json({"step": word}), word, "a", kind="budget", question=refusal.question)
        ticket = state.tickets.open(asked, actor="worker:x")
        state.tickets.decide(ticket, "reject", "Ada", b"{}", "no", rule=lambda stored: True)
    found = await claim(state, edited, "a", f"{word}, edited", charge=charge)
    assert isinstance(found, StepResult)
    assert found.state == ("failed" if rejected else "awaiting_review")


async def _every_wait_for_money(state: State) -> None:
    """The budget is raised before the run has begun to wait for it."""
    run = submit(state, "red", run="poor", charge=["team:home"])
    _limit(state, 1)
    await claim(state, run, "a", "poor", charge=Charge(("team:home",), {"usd": 2}))
    _limit(state, 2)
    _close(state, run, "awaiting_review")
    assert state.runs.get("poor")[0].state == "planned"


def _limit(state: State, amount: int) -> None:
    state.database.write(
        lambda transaction: state.budgets.set_limit(transaction, "team:home", "usd", amount, actor="user:ada")
    )


async def _elsewhere(state: State, word: str) -> None:
    """Another run has a result of this key that all may reuse."""
    other = submit(state, word, run=f"{word}, other")
    held = await claim(state, other, "a", word)
    if isinstance(held, Lease):
        await finish(state, held, reusable=True)


async def _to(state: State, run: Run, where: str, clock: Clock, word: str) -> None:
    """Bring step a of a run into a state."""
    if where == "reused":
        await _elsewhere(state, word)
        await claim(state, run, "a", word)
    elif where in ENDS:
        held = await lease(state, run, "a", word)
        await finish(state, held, ENDS[where], until=clock.after(5) if where == "delayed" else "")
        clock.move(6)
    else:
        for _ in range(POISON if where == "parked" else 1):
            held = await lease(state, run, "a", word)
            await state.runs.died(held, {}, worker=state.workers.id)
        if where == "parked":
            await claim(state, run, "a", word)
    assert step_state(state, "a", run=run.id) == where
