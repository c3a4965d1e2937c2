"""Under a policy of digests nothing of a prompt's text lies in the state once the work has ended, on both databases."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from tests.unit.pipelines.conftest import POLICY, echo
from tests.unit.service.conftest import Promise

from bottega.bootstrap import build
from bottega.core.brief import Brief
from bottega.core.errors import NotFound
from bottega.core.plan import Deliverable, Plan
from bottega.core.request import Finished, Output, Part, Request
from bottega.engines.base import Bench
from bottega.engines.echo import EchoParams
from bottega.pipelines.intent import Ask, Intent
from bottega.service import Bottega, operations
from bottega.settings import Settings
from bottega.storage.schema import FOLDED_TABLES

PROMPT = "a heron recites old tide tables to the lighthouse"
READING = 99  # the seed with which it does write it
PIECES = [PROMPT[at : at + 16].encode() for at in range(len(PROMPT) - 15)]
TABLES = (*FOLDED_TABLES, "journal", "contents", "sealed", "documents", "small", "subjects", "checkpoints")


@pytest.fixture
def database_url(either_database: str) -> str:
    """What is kept is the same on both."""
    return either_database


@pytest.fixture(params=["digest"])
def service(
    request: pytest.FixtureRequest, settings: Settings, tmp_path: Path, muse: Promise
) -> Iterator[Bottega]:
    """With an engine that does not write its prompt into what it makes, but quotes it beside."""
    painter = muse("two words")

    async def generate(self: object, request: Request, bench: Bench) -> AsyncIterator[Output]:
        text = EchoParams.model_validate(request.params).text
        assert PROMPT in text or any(PROMPT in bench.text(part) for part in request.parts)
        details = {"prompt": text, "texts": [{"text": text[5:40]}], "width": 64}
        data = text.encode() if request.seed == READING else b"two words"
        yield Finished(port="text", media_type="text/plain", data=data, details=details)

    painter.generate = generate  # pyright: ignore[reportAttributeAccessIssue]
    policy = POLICY.replace('name = "test"\n', f'name = "test"\nrecord = "{request.param}"\n', 1)
    (tmp_path / "policy.toml").write_text(policy)
    made = build(settings, policy=tmp_path / "policy.toml")
    yield made
    made.close()


def planned(more: str = "", kind: str = "text", fail: str = "") -> Plan:
    """A plan full of the prompt."""
    steps = (
        echo("a", engine="muse", version="1", params={"text": f"{PROMPT}{more}"}, why=f"for: {PROMPT}"),
        *([echo("b", params={"text": "two words", "fail": fail})] if fail else []),
    )
    return Plan(
        brief=Brief(goal=f"Paint how {PROMPT}", audience=PROMPT),
        intent={"summary": PROMPT},
        steps=steps,
        deliverables=(Deliverable(output="a.text", path="a.txt", title="A", kind=kind),),
    )


def found(service: Bottega) -> set[str]:
    """Files of the state folder, and tables of the database, with a piece of the prompt in them."""
    files = {
        path.relative_to(service.folder).as_posix(): path.read_bytes()
        for path in service.folder.rglob("*")
        if path.is_file()
    }
    rows = {table: repr(service.state.database.rows(f"SELECT * FROM {table}")).encode() for table in TABLES}
    return {name for name, data in {**files, **rows}.items() if any(piece in data for piece in PIECES)}


async def test_a_released_run_leaves_no_words(service: Bottega) -> None:
    out = service.folder / "deliveries" / "mine"
    service.submit(planned(", slowly"), out, run_id="mine")  # an earlier plan
    assert "contents" in found(service)
    made = await service.make(planned(), out, run_id="mine")
    assert made.run.state == "released" and (out / "a.txt").read_bytes() == b"two words"
    assert found(service) == set()
    run, plan = service.shop.runs.get("mine")
    assert (run.plan, run.results[0].state) == (planned().identity, "done")
    assert plan.step("a").engine == "muse" and plan.deliverables == planned().deliverables
    assert run.results[0].outputs[0].details["width"] == 64
    assert service.audit.verify().documents == 2
    service.state.fold_again()
    assert service.audit.verify().rows > 0


async def test_what_is_needed_to_go_on_stays_until_the_end(service: Bottega) -> None:
    plan = planned(kind="shown_to_a_person")
    await service.make(plan, None, run_id="mine")
    assert "contents" in found(service)
    (waiting,) = service.reviews().all()
    service.reviews().decide(waiting.id, "approve", "Ada")
    assert (await service.resume("mine")).run.state == "released"
    assert found(service) == set()


async def test_a_failed_or_stopped_run_goes_on_when_its_plan_is_given_again(service: Bottega) -> None:
    plan = planned(fail=f"cannot say {PROMPT}")
    made = await service.make(plan, None, run_id="mine")
    assert made.run.state == "failed" and found(service) == set()
    service.submit(planned(), None, run_id="early")
    service.stop("early")
    assert found(service) == set()
    for run in ("mine", "early"):
        for going_on in (service.resume(run), service.replay(run)):
            with pytest.raises(NotFound, match=f"bottega make FILE --run-id {run}"):
                await going_on
    assert (await service.make(planned(), None, run_id="mine")).run.state == "released"
    assert found(service) == set()


async def test_a_plan_that_another_run_works_by_stays(service: Bottega) -> None:
    service.submit(planned(), None, run_id="other")
    await service.make(planned(), None, run_id="mine")
    assert "contents" in found(service)
    assert (await service.join("other")).run.state == "released"
    assert found(service) == set()


async def test_a_run_about_a_person_ends_the_same_way(service: Bottega) -> None:
    await service.make(planned(), None, run_id="hers", data_subject="Ada")
    assert found(service) == set()
    assert service.shop.runs.get("hers")[1].brief.goal == "[text]"
    with pytest.raises(NotFound, match="words of run"):
        service.shop.runs.whole("hers")
    assert service.audit.verify().rows > 0


async def test_calls_leave_no_words(service: Bottega) -> None:
    for request in (
        Request(engine="muse", params={"text": PROMPT}, seed=1),
        Request(engine="muse", parts=(Part(port="text", text=PROMPT),), seed=2),
    ):
        result = await service.call(request)
        assert result.state == "done"
        assert result.outputs[0].details["prompt"] == request.params.get("text", "")  # who asked is told
    failed = await service.call(Request(engine="echo", params={"fail": f"no: {PROMPT}"}))
    assert failed.state == "failed"
    assert found(service) == set()


@pytest.mark.parametrize("charge", [(), ("project:kettles",)])
async def test_what_was_read_out_of_a_brief_is_not_kept(
    service: Bottega, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, charge: tuple[str, ...]
) -> None:
    async def read(brief: Brief, ask: Ask) -> Intent:
        (said,) = await ask(Request(engine="muse", params={"text": PROMPT}, seed=READING))
        assert said.data == PROMPT.encode()
        return Intent(subject="A", summary=PROMPT, languages=("en",), deliverables=())

    monkeypatch.setattr(operations, "read_intent", read)
    steps = [{"id": "a", "engine": "echo", "params": {"text": "two words"}, "path": "a.txt"}]
    (tmp_path / "table.csv").write_text("model,price\nA,49.00\n")
    brief = {"goal": PROMPT, "steps": steps, "sources": [str(tmp_path / "table.csv")]}
    plan = await service.plan(Brief.model_validate(brief), charge=charge)
    assert plan.brief.goal == PROMPT and found(service) == set()
    assert len(service.state.journal.about("account/project:kettles")) == 2 * len(charge)


async def test_a_folder_without_words_is_not_made_again_and_says_why(
    service: Bottega, tmp_path: Path
) -> None:
    made = await service.make(planned(), tmp_path / "out", run_id="mine", idempotency_key="k")
    again = await service.make(planned(), tmp_path / "out", run_id="mine", idempotency_key="k")
    assert (again.run.round, again.out) == (made.run.round, made.out)
    with pytest.raises(NotFound, match="delivered without its words"):
        await service.regenerate(tmp_path / "out" / "manifest.json")


@pytest.mark.parametrize("service", ["redacted"], indirect=True)
async def test_other_policies_keep_the_plan(service: Bottega) -> None:
    """The counter-example: what these tests look for is found where it is kept."""
    await service.make(planned(), service.folder / "deliveries" / "mine", run_id="mine")
    assert {"contents", "deliveries/mine/plan.json"} <= found(service)
    assert (await service.replay("mine")).finding == "identical"
