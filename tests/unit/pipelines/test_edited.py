"""A plan is edited while a worker is in the middle of it: what the edit leaves alone is reused, the rest is made, nothing is skipped."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.unit.pipelines.conftest import echo, plan_of
from tests.unit.pipelines.test_together import open_shop, submit, work

from bottega.core.entry import Act
from bottega.core.plan import Plan, Step
from bottega.core.run import Run
from bottega.pipelines.workshop import Workshop
from bottega.storage.state import State

OPEN = echo("open", "good morning")
SIDE = echo("side", "by the way")
SLOW = echo("slow", after=("open",), params={"text": "word " * 200, "delay": 0.01})
SUM = echo("sum", "all of it", ("slow", "side"))
END = echo("end", "the end", ("sum",))

INSERTED = (
    OPEN,
    SIDE,
    SLOW,
    echo("new", "in between", ("open",)),
    echo("sum", "all of it", ("slow", "new", "side")),
    END,
)
DELETED = (OPEN, SIDE, echo("sum", "all of it", ("open", "side")), END)
RENAMED = (
    echo("start", "good morning"),
    SIDE,
    SLOW.model_copy(update={"inputs": {"text": ("start.text",)}}),
    SUM,
    END,
)
REORDERED = (SIDE, OPEN, SLOW, echo("sum", "all of it", ("side", "slow")), END)


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[list[tuple[State, Workshop]]]:
    """Two workers on one state, and one on a state of its own."""
    folders = [tmp_path / name for name in ("run", "run", "undisturbed")]
    for folder in folders:
        folder.mkdir(exist_ok=True)
    found = [open_shop(folder) for folder in folders]
    yield found
    for state, _ in found:
        state.close()


def texts(run: Run, shop: Workshop) -> dict[str, str]:
    return {
        result.step: shop.artifacts.locate(made.artifact).read_text()
        for result in run.results
        for made in result.outputs
    }


async def in_the_middle(shop: Workshop) -> None:
    """Until the first two steps are finished and the slow one is being made."""
    with shop.runs.wakes.listen() as bell:
        while True:
            seen = {(entry.subject.rpartition("/")[2], entry.act) for entry in shop.journal.about("run/run")}
            if {("open", Act.STEP_FINISHED), ("side", Act.STEP_FINISHED), ("slow", Act.STEP_LEASED)} <= seen:
                return
            await bell.wait(1)
            bell.clear()


@pytest.mark.parametrize(
    ("steps", "reused"),
    [(INSERTED, {"open", "side"}), (DELETED, {"open", "side"}), (RENAMED, {"start", "side"}), (REORDERED, {"open", "side"})],
    ids=["inserted", "deleted", "renamed", "reordered"],
)  # fmt: skip
async def test_an_edit_in_a_running_plan(
    opened: list[tuple[State, Workshop]], steps: tuple[Step, ...], reused: set[str]
) -> None:
    (_, one), (_, two), (_, alone) = opened
    before, edited = plan_of(OPEN, SIDE, SLOW, SUM, END), plan_of(*steps)
    submit(one, before)
    first = asyncio.create_task(asyncio.to_thread(work, one, before))
    await asyncio.wait_for(in_the_middle(two), 60)
    submit(two, edited)
    run = await asyncio.wait_for(asyncio.to_thread(work, two, edited), 60)
    left = await asyncio.wait_for(first, 60)

    assert left.state != "released"  # the round of the old plan has ended
    assert run.state == "released"
    states = {result.step: result.state for result in run.results}
    assert states == {step.id: "reused" if step.id in reused else "done" for step in steps}
    assert texts(run, two) == texts(await undisturbed(alone, edited), alone)


async def undisturbed(shop: Workshop, plan: Plan) -> Run:
    submit(shop, plan)
    return await asyncio.to_thread(work, shop, plan)
