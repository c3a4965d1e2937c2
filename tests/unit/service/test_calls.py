"""One call to one engine, and programs that ask twice."""

import asyncio
from pathlib import Path

import pytest
from tests.unit.pipelines.conftest import echo, plan_of
from tests.unit.service.conftest import Promise

from bottega.core.entry import Act
from bottega.core.errors import BudgetExceeded, InvalidValue, NotFound
from bottega.core.request import Part, Request
from bottega.service import Bottega


def acts(service: Bottega) -> list[Act]:
    return [entry.act for entry in service.shop.journal.about()]


def asked(text: str = "two words", **more: object) -> Request:
    return Request.model_validate({"engine": "echo", "params": {"text": text}} | more)


async def test_a_call_is_a_step_leased_and_journaled_like_any_other(service: Bottega) -> None:
    request = asked(parts=(Part(port="text", name="greeting", text="hello"),))
    result = await service.call(request, charge=["team:shop"])
    assert (result.step, result.state) == ("call", "done")
    text = service.shop.artifacts.locate(result.outputs[0].artifact).read_text()
    assert text == "hello\ntwo words"
    leased, reserved, finished, settled = service.shop.journal.about()
    assert (reserved.act, settled.act) == (Act.BUDGET_RESERVED, Act.BUDGET_SETTLED)
    assert settled.cost["word"] == 2_000_000 and settled.subject == "account/team:shop"
    assert leased.subject == finished.subject and leased.subject.endswith("/step/call")
    assert leased.detail["charge"] == ["team:shop"]
    assert leased.detail["inputs"].keys() == {"greeting"}
    assert leased.behalf == service.actor
    assert service.runs() == []
    service.state.fold_again()


async def test_a_call_that_its_budget_refuses_is_an_error(service: Bottega) -> None:
    service.budgets().set("team:shop", "compute_second", "0.5")
    with pytest.raises(BudgetExceeded, match=r"team:shop has 0\.5 compute_second left"):
        await service.call(asked(), charge=["team:shop"])
    service.budgets().set("team:shop", "compute_second", 60)
    assert (await service.call(asked(), charge=["team:shop"])).state == "done"
    with pytest.raises(InvalidValue, match="no account"):
        await service.call(asked(), charge=["shop"])


async def test_an_equal_call_is_answered_once(service: Bottega) -> None:
    first = await service.call(asked())
    again = await service.call(asked())
    assert (again.state, again.outputs) == ("reused", first.outputs)
    assert (await service.call(asked("other words"))).state == "done"


async def test_the_same_key_gives_the_first_result_even_of_chance(service: Bottega, muse: Promise) -> None:
    muse("first", "second", "third", determinism="none")
    request = Request(engine="muse")
    first = await service.call(request, idempotency_key="k")
    assert (await service.call(request, idempotency_key="k")).outputs == first.outputs
    assert (await service.call(request)).outputs != first.outputs
    both = await asyncio.gather(*(service.call(request, idempotency_key="two") for _ in range(2)))
    assert both[0].outputs == both[1].outputs
    assert [entry.act for entry in service.shop.journal.about()].count(Act.STEP_FINISHED) == 3


async def test_a_call_that_failed_is_made_when_it_is_asked_again(service: Bottega, muse: Promise) -> None:
    engine = muse("", determinism="none")
    del engine.words[:]  # nothing to say: it fails
    failed = await service.call(Request(engine="muse"), idempotency_key="k")
    assert failed.state == "failed"
    engine.words.append("here I am")
    assert (await service.call(Request(engine="muse"), idempotency_key="k")).state == "done"


async def test_a_key_belongs_to_one_request(service: Bottega, tmp_path: Path) -> None:
    await service.call(asked(), idempotency_key="k")
    with pytest.raises(InvalidValue, match="used for another request"):
        await service.call(asked("other words"), idempotency_key="k")
    with pytest.raises(InvalidValue, match="used for another request"):
        await service.make(plan_of(echo("a")), None, idempotency_key="k")


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        (asked(params={"delay": -1}), r"params\.delay: Input should be greater"),
        (asked(feedback="too long"), "not a repair"),
        (asked(parts=[{"port": "sound", "text": "x"}]), "part 'sound'.*one of: text"),
        (Request(engine="document"), "part 'text'.*takes one, 0 were given"),
    ],
)
async def test_a_request_that_does_not_fit_is_refused_before_anything_is_written(
    service: Bottega, request_: Request, message: str
) -> None:
    with pytest.raises(InvalidValue, match=message):
        await service.call(request_)
    assert acts(service) == []


async def test_an_unknown_engine(service: Bottega) -> None:
    with pytest.raises(NotFound, match="unknown engine 'oracle'"):
        await service.call(Request(engine="oracle"))


async def test_make_with_a_key_returns_the_run_that_there_is(service: Bottega, tmp_path: Path) -> None:
    plan, out = plan_of(echo("a", "one two")), tmp_path / "out"
    first = await service.make(plan, out, idempotency_key="k")
    size = service.shop.journal.size()
    again = await service.make(plan, out, idempotency_key="k")
    assert again.run.id == first.run.id and again.run.results[0].state == "done"
    assert again.delivery == first.delivery
    assert service.shop.journal.size() == size  # nothing was done
    assert service.submit(plan, out, idempotency_key="k").id == first.run.id
    for other in (plan_of(echo("a", "one two three")), plan):
        folder = tmp_path / "elsewhere" if other is plan else out
        with pytest.raises(InvalidValue, match="used for another request"):
            await service.make(other, folder, idempotency_key="k")
    assert len(service.runs()) == 1


async def test_a_folder_that_was_touched_is_delivered_again(service: Bottega, tmp_path: Path) -> None:
    plan, out = plan_of(echo("a", "one two")), tmp_path / "out"
    first = await service.make(plan, out, idempotency_key="k")
    (out / "text.txt").chmod(0o644)
    (out / "text.txt").write_text("forged")
    again = await service.make(plan, out, idempotency_key="k")
    assert again.run.id == first.run.id
    assert (out / "text.txt").read_text() == "one two"


async def test_a_run_that_failed_goes_on_under_its_key(service: Bottega, muse: Promise) -> None:
    engine = muse("")
    del engine.words[:]
    plan = plan_of(echo("a"), echo("b", after=("a",), engine="muse"))
    first = await service.make(plan, None, idempotency_key="k")
    assert first.run.state == "failed"
    engine.words.append("here I am")
    again = await service.make(plan, None, idempotency_key="k")
    assert (again.run.id, again.run.state) == (first.run.id, "released")


async def test_a_run_that_waits_for_a_worker_is_worked_on(service: Bottega) -> None:
    plan = plan_of(echo("a", "one two"))
    waiting = service.submit(plan, None, idempotency_key="k")
    assert waiting.state == "planned"
    made = await service.make(plan, None, idempotency_key="k")
    assert (made.run.id, made.run.state) == (waiting.id, "released")
