"""Plan, make, resume, verify in one process, with the fake engine and a fixed intent."""

import asyncio
import json
import threading
from pathlib import Path
from typing import Any

import pytest
from tests.unit.pipelines.conftest import echo, plan_of

from bottega.bootstrap import build
from bottega.core.brief import Brief, Constraints, Wanted
from bottega.core.entry import Act
from bottega.core.errors import (
    BudgetExceeded,
    InvalidPlan,
    InvalidValue,
    NotFound,
    Tampered,
    UnreadableSource,
)
from bottega.core.plan import Plan
from bottega.pipelines.intent import Intent
from bottega.pipelines.runner import Event
from bottega.service import Bottega, operations
from bottega.settings import Settings


@pytest.fixture
def planner(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Bottega:
    """The service under its own policy; every brief asks for a product page and a chart."""

    async def fixed(brief: Brief, *more: Any) -> Intent:
        wanted = (Wanted(kind="product_page"), Wanted(kind="chart"))
        return Intent(subject="Halo", summary="A lamp", languages=("en",), deliverables=wanted)

    monkeypatch.setattr(operations, "read_intent", fixed)
    return build(settings)


async def test_a_brief_becomes_a_plan_over_its_sources(planner: Bottega, tmp_path: Path) -> None:
    (tmp_path / "sheet.md").write_text("Halo is a lamp of 12 W.")
    (tmp_path / "prices.csv").write_text("model,price\nSolo,79\nDuo,99\n")
    said: list[str] = []
    sources = (str(tmp_path / "sheet.md"), str(tmp_path / "prices.csv"))
    plan = await planner.plan(Brief(goal="A page and a chart", sources=sources), said.append)
    assert said == ["reading prices.csv", "reading sheet.md", "reading the brief"]
    assert [source.name for source in plan.sources] == ["prices.csv", "sheet.md"]
    assert plan.brief.sources == ("prices.csv", "sheet.md")  # no path of this machine is in the plan
    assert str(tmp_path) not in plan.canonical().decode()
    assert {item.kind for item in plan.deliverables} == {"product_page", "chart"}
    assert plan.policy == planner.shop.policy.digest
    again = await planner.plan(Brief(goal="A page and a chart", sources=sources))
    assert again.identity == plan.identity
    written = tmp_path / "plan.json"
    written.write_text(json.dumps(plan.document()))
    assert planner.read_plan(written) == plan


async def test_limits_are_kept_when_planning(planner: Bottega, tmp_path: Path) -> None:
    (tmp_path / "sheet.md").write_text("Halo is a lamp of 12 W.")
    limits = Constraints(max_seconds=1)
    with pytest.raises(BudgetExceeded, match="the limit is 1 s"):
        await planner.plan(Brief(goal="A page", sources=(str(tmp_path / "sheet.md"),), constraints=limits))


async def test_sources_are_read_before_anybody_is_asked(
    planner: Bottega, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def never(*anything: Any) -> Intent:
        raise AssertionError("asked")

    monkeypatch.setattr(operations, "read_intent", never)
    with pytest.raises(UnreadableSource, match="no such file"):
        await planner.plan(Brief(goal="A page", sources=("gone.md",)))


async def test_a_plan_is_made_delivered_and_verified(service: Bottega, tmp_path: Path) -> None:
    plan = plan_of(echo("a", "one two"), echo("b", "three", ("a",)))
    made = await service.make(plan, tmp_path / "out", run_id="mine")
    assert made.run.state == "released"
    assert made.out == tmp_path / "out"
    found = service.verify(tmp_path / "out" / "text.txt")
    assert found.state == "valid"
    assert found.provenance is not None
    assert (found.provenance.run_id, found.provenance.step, found.provenance.engine) == ("mine", "b", "echo")
    assert [parent.ingredient.name for parent in found.parents] == ["a.text"]
    assert Act.FILE_DELIVERED in [entry.act for entry in service.shop.journal.about("run/mine")]


def change_in_store(service: Bottega, sha256: str) -> None:
    query = "UPDATE small SET body = ? WHERE name = ?"
    assert service.state.database.write(lambda t: t.execute(query, (b"one tWo", sha256)).rowcount) == 1


async def test_what_is_changed_after_its_checks_is_not_signed(service: Bottega, tmp_path: Path) -> None:
    def change(event: Event) -> None:
        if event.what == "ended" and event.result is not None:
            change_in_store(service, event.result.outputs[0].artifact.sha256)

    with pytest.raises(Tampered, match="now hashes to"):
        await service.make(plan_of(echo("a", "one two")), tmp_path / "out", watch=change)
    assert not (tmp_path / "out").exists()


async def test_a_copy_that_was_changed_is_not_what_is_signed(service: Bottega, tmp_path: Path) -> None:
    def change(event: Event) -> None:
        if event.what == "ended" and event.result is not None:
            path = service.shop.artifacts.locate(event.result.outputs[0].artifact)
            path.chmod(0o644)
            path.write_text("one tWo")

    await service.make(plan_of(echo("a", "one two")), tmp_path / "out", watch=change)
    assert (tmp_path / "out" / "text.txt").read_text() == "one two"


async def test_without_a_folder_nothing_is_delivered(service: Bottega, tmp_path: Path) -> None:
    made = await service.make(plan_of(echo("a")), None)
    assert (made.run.state, made.delivery, made.out) == ("released", None, None)
    assert [run.id for run in service.runs()] == [made.run.id]


async def test_a_stopped_run_is_resumed_where_it_stopped(service: Bottega, tmp_path: Path) -> None:
    slow = echo("b", params={"text": "word " * 60, "delay": 0.02}, after=("a",))
    plan = plan_of(echo("a"), slow)
    stop = threading.Event()
    work = asyncio.create_task(service.make(plan, tmp_path / "out", run_id="mine", cancelled=stop))
    await asyncio.sleep(0.3)
    stop.set()
    made = await work
    assert made.run.state == "cancelled"
    assert not (tmp_path / "out" / "text.txt").exists()
    again = await service.resume("mine")
    assert [result.state for result in again.run.results] == ["reused", "done"]
    assert service.verify(tmp_path / "out" / "text.txt").state == "valid"


async def test_an_unknown_run_and_an_unknown_source(service: Bottega) -> None:
    with pytest.raises(NotFound, match="no run 'gone'"):
        await service.resume("gone")
    plan = plan_of(echo("a"))
    source = {"name": "a.md", "sha256": "0" * 64, "media_type": "text/markdown", "size": 3}
    with pytest.raises(InvalidPlan, match="not in the store"):
        await service.make(Plan.model_validate({**plan.document(), "sources": [source]}), None)


def test_a_key_without_its_certificate_is_refused(settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(InvalidValue, match="only one is given"):
        build(settings, signing_key=tmp_path / "key.pem")
