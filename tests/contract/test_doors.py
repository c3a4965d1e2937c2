"""One contract for the operations on this machine and over HTTP."""

import inspect
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from tests.serving import Server

from bottega.client import AsyncClient, Client
from bottega.core.errors import (
    InvalidBrief,
    InvalidPlan,
    InvalidValue,
    KeyReused,
    NotFound,
    TransferFailed,
    UnreadableSource,
)
from bottega.core.plan import Plan
from bottega.local import Local
from bottega.retrieval.collections.report import Progress
from bottega.service.door import Door
from bottega.settings import Settings

FACTS = "# Rill\n\nThe Rill kettle holds 1.2 litres and boils them in four minutes.\n"
WISH: dict[str, Any] = {
    "steps": [
        {"id": "say", "engine": "compose", "params": {"template": "# Ready\n\nIt is ready.\n"}, "path": "ready.md"},
        {"id": "card", "engine": "layout", "params": {"kind": "social", "title": "It is ready"}, "port": "png",
         "path": "card.png"},
    ],
    "seed": 11,
}  # fmt: skip


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    made = Server(tmp_path_factory.mktemp("server"))
    yield made
    assert made.stop() == 0
    assert "Traceback" not in made.log()


@pytest_asyncio.fixture(params=["here", "over HTTP"], loop_scope="module", scope="module")
async def door(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Door]:
    if request.param == "here":
        async with Local(Settings(state=tmp_path_factory.mktemp("state"), actor="user:ada")) as local:
            yield local
        return
    server: Server = request.getfixturevalue("server")
    async with AsyncClient(server.url, server.key) as client:
        yield client


one_loop = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture
def facts(tmp_path: Path) -> Path:
    path = tmp_path / "facts.md"
    path.write_text(FACTS)
    return path


async def planned(door: Door, facts: Path, goal: str = "say that it is ready") -> Plan:
    return await door.plan(goal, sources=[facts], **WISH)


def test_the_client_has_what_the_contract_names() -> None:
    named = {name for name, _ in inspect.getmembers(Door, inspect.isfunction) if not name.startswith("_")}
    for kind in (Local, AsyncClient, Client):
        assert named <= set(dir(kind)), kind
    assert Client.plan.__doc__ == AsyncClient.plan.__doc__


@one_loop
async def test_a_plan_is_the_same_data_and_can_be_checked(door: Door, facts: Path) -> None:
    plan = await planned(door, facts)
    assert [step.engine for step in plan.steps] == ["compose", "layout"] and plan.sources[
        0
    ].name == "facts.md"
    assert await door.check(plan) == plan
    wrong = plan.model_copy(
        update={"steps": (plan.steps[0].model_copy(update={"params": {"template": 3}}), *plan.steps[1:])}
    )
    with pytest.raises(InvalidPlan, match="template"):
        await door.check(wrong)
    with pytest.raises(InvalidBrief):
        await door.plan("write something")
    with pytest.raises(UnreadableSource):
        await door.plan("write something", sources=[facts.with_name("missing.md")])


@one_loop
async def test_make_delivers_a_folder_that_verifies(door: Door, facts: Path, tmp_path: Path) -> None:
    made = await door.make(await planned(door, facts), out=tmp_path / "out")
    assert made.run.state == "released" and made.delivery is not None
    assert {file.path for file in made.delivery.files} == {"ready.md", "card.png"}
    assert (tmp_path / "out" / "ready.md").read_text() == "# Ready\n\nIt is ready.\n"
    found = await door.verify(tmp_path / "out" / "card.png")
    assert found.state == "valid" and found.provenance is not None and found.provenance.run_id == made.run.id
    altered = tmp_path / "altered.png"
    data = bytearray((tmp_path / "out" / "card.png").read_bytes())
    data[-60] ^= 1
    altered.write_bytes(bytes(data))
    assert (await door.verify(altered)).state == "tampered"


@one_loop
async def test_a_run_goes_on_by_itself_and_its_events_can_be_taken_up(door: Door, facts: Path) -> None:
    plan = await planned(door, facts, "say it once more")
    run = await door.start(plan, idempotency_key="once-more")
    events = [entry async for entry in door.events(run.id)]
    assert events[0].subject == f"run/{run.id}" and "pipeline:run:released" in {e.act.value for e in events}
    assert [e.n for e in events] == sorted({e.n for e in events})
    again = [entry async for entry in door.events(run.id, after=events[2].n)]
    assert again == events[3:]
    assert (await door.start(plan, idempotency_key="once-more")).id == run.id
    with pytest.raises(KeyReused):
        await door.start(await planned(door, facts, "another wish"), idempotency_key="once-more")
    found = await door.run(run.id)
    assert found.state == "released" and {r.state for r in found.results} <= {"done", "reused"}
    assert run.id in {each.id for each in await door.runs()} and not (await door.runs())[0].results
    assert {"ready.md", "card.png", "manifest.json", "index.html"} <= set(await door.delivered(run.id))
    assert await door.delivered_file(run.id, "ready.md") == b"# Ready\n\nIt is ready.\n"
    text = next(made for result in found.results for made in result.outputs if made.port == "text")
    assert await door.artifact(text.artifact.sha256) == b"# Ready\n\nIt is ready.\n"
    for wrong in ("nothing.md", "../../record-key"):
        with pytest.raises(NotFound):
            await door.delivered_file(run.id, wrong)
    with pytest.raises(NotFound):
        await door.artifact("0" * 64)
    with pytest.raises(NotFound):
        await door.run("run-none")


@one_loop
async def test_a_run_is_stopped_and_goes_on(door: Door, facts: Path) -> None:
    slow: dict[str, Any] = {"steps": [
        {"id": "wait", "engine": "echo", "params": {"text": "a b c d e f g h i j", "delay": 0.3}, "path": "w.txt"}
    ]}  # fmt: skip
    run = await door.start(await door.plan("take your time", sources=[facts], **slow))
    async with aclosing(door.events(run.id)) as entries:
        async for entry in entries:
            if entry.act.value == "pipeline:step:leased":
                break
    await door.stop(run.id)
    assert [entry async for entry in door.events(run.id)][-1].act.value == "pipeline:run:cancelled"
    assert (await door.run(run.id)).state == "cancelled"
    assert (await door.resume(run.id)).id == run.id
    assert [entry async for entry in door.events(run.id)][-1].act.value == "pipeline:run:released"


@one_loop
async def test_what_is_blocked_waits_for_a_person(door: Door, facts: Path) -> None:
    blocked: dict[str, Any] = {"steps": [{
        "id": "say", "engine": "compose", "params": {"template": "The shit kettle is ready.\n"}, "path": "s.md",
        "checks": {"profanity": {}},
    }]}  # fmt: skip
    run = await door.start(await door.plan("say it rudely", sources=[facts], **blocked))
    async for _ in door.events(run.id):
        pass
    assert (await door.run(run.id)).state == "awaiting_review"
    (waiting,) = [each for each in await door.reviews() if each.run_id == run.id]
    assert waiting.ticket.step == "free.say" and waiting == await door.review(waiting.id)
    with pytest.raises(InvalidValue):
        await door.decide(waiting.id, "reject")
    with pytest.raises(NotFound):
        await door.review("no-such")
    decided = await door.decide(waiting.id, "reject", "not in our name")
    assert decided.decisions[0].why == "not in our name"
    assert run.id not in {each.run_id for each in await door.reviews()}
    assert run.id in {each.run_id for each in await door.reviews(everything=True)}


@one_loop
async def test_the_record_and_its_checkpoint(door: Door) -> None:
    for limit in range(1, 6):
        await door.set_budget("project:teapots", "token", limit)
    entries = await door.audit(last=5)
    assert len(entries) == 5 and [e.n for e in entries] == sorted(e.n for e in entries)
    assert all(e.subject == entries[0].subject for e in await door.audit(entries[0].subject, last=1))
    assert "\n— " in await door.checkpoint()


@one_loop
async def test_budgets(door: Door) -> None:
    (account,) = await door.set_budget("project:kettles", "token", 1000, why="a trial")
    assert (account.limit, account.left, account.state) == (Decimal(1000), Decimal(1000), "open")
    assert account in await door.budgets()
    (account,) = await door.set_budget("project:kettles", "token", None)
    assert account.limit is None and account.state == "counts only"
    with pytest.raises(InvalidValue):
        await door.set_budget("project:kettles", "token", -1)


@one_loop
async def test_files_of_the_caller(door: Door, facts: Path) -> None:
    sent = await door.send(facts)
    assert (sent.name, sent.size, sent.purpose) == ("facts.md", len(FACTS), "user_data")
    assert sent.id in {each.id for each in await door.sent()}
    assert await door.content(sent.id) == FACTS.encode()
    await door.forget(sent.id)
    for wrong in (sent.id, "file-none"):
        with pytest.raises(NotFound):
            await door.content(wrong)


@one_loop
async def test_collections(door: Door, facts: Path) -> None:
    told: list[Progress] = []
    report = await door.index("kettles", [facts], watch=told.append)
    assert report.counts == {"indexed": 1} and report.embedded == 1
    assert told and {each.stage for each in told} == {"documents"} and told[-1].name == "facts.md"
    with pytest.raises(InvalidValue, match="no label"):
        await door.index("kettles", [facts], labels=["not a label"])
    (listed,) = [each for each in await door.collections() if each.name == "kettles"]
    assert listed.documents == 1
    (hit, *_) = await door.search("kettles", "how much does it hold?", top=3)
    assert (
        "1.2 litres" in hit.passage.text
        and hit.document.name == "facts.md"
        and hit.document.labels == frozenset()
    )
    with pytest.raises(NotFound):
        await door.search("nothing", "x")
    await door.delete_collection("kettles")
    assert "kettles" not in {each.name for each in await door.collections()}


@one_loop
async def test_a_document_is_removed_and_labels_and_embedder_are_set(door: Door, facts: Path) -> None:
    report = await door.index("shelf", [facts], embedder="none")
    assert report.counts == {"indexed": 1} and report.embedded == 0
    (listed,) = [each for each in await door.collections() if each.name == "shelf"]
    assert listed.embedder == "none"
    for method in ("words", "rrf"):
        (hit,) = await door.search("shelf", "how much does it hold?", method=method)
        assert hit.document.name == "facts.md"
    with pytest.raises(NotFound):
        await door.remove("shelf", "other.md")
    secret = facts.with_name("secret.md")
    secret.write_text("# Cost\n\nThe Rill kettle costs nine euros to make.\n")
    assert (await door.index("shelf", [secret], labels=["staff"])).counts == {"indexed": 1}
    assert {hit.document.name for hit in await door.search("shelf", "the kettle")} == {"facts.md"}
    with pytest.raises(NotFound) as refused:
        await door.remove("shelf", "secret.md")
    assert "secret.md" not in refused.value.remedy
    assert (await door.remove("shelf", "facts.md")).counts == {"removed": 1}
    assert await door.search("shelf", "the kettle") == []
    await door.delete_collection("shelf")


@one_loop
async def test_what_was_sent_goes_with_its_document(server: Server, facts: Path) -> None:
    uploads = server.state / "uploads" / "gone"
    other = facts.with_name("other.md")
    other.write_text("# Duo\n\nThe Duo kettle holds two litres.\n")
    async with AsyncClient(server.url, server.key) as client:
        await client.index("gone", [facts, other], embedder="none")
        assert {path.name for path in uploads.iterdir()} == {"facts.md", "other.md"}
        await client.remove("gone", "facts.md")
        assert {path.name for path in uploads.iterdir()} == {"other.md"}
        await client.delete_collection("gone")
        assert not uploads.exists()


@one_loop
async def test_a_conversation_is_read_searched_and_forgotten(door: Door, facts: Path) -> None:
    """Nothing in the facts tells, so no model is asked."""
    await door.index("talk", [facts], embedder="none")
    how: dict[str, Any] = {"session": "one", "unsupported": "flag", "fresh": True}
    answer = await door.ask("Who painted the Mona Lisa in the Louvre?", "talk", **how)
    assert answer.outcome == "abstained" and not answer.cached
    found = await door.history("talk", "one")
    assert found.session == "one" and [turn.question for turn in found.turns] == [answer.question]
    assert (await door.history("talk", "one", words="Louvre")).turns == found.turns
    assert (await door.history("talk", "one", words="zebra")).turns == ()
    assert (await door.history("talk", "two")).turns == ()
    assert await door.forget_session("talk", "one") == 1
    assert (await door.history("talk", "one")).turns == ()
    await door.delete_collection("talk")


@one_loop
async def test_a_brief_gives_the_same_bytes_here_and_over_http(
    server: Server, facts: Path, tmp_path: Path
) -> None:
    """What is made is equal; what is delivered differs by its signature alone, which holds time and run."""
    async with Local(Settings(state=tmp_path / "state", actor="user:ada")) as local:
        here = await local.make(await planned(local, facts, "the same"), out=tmp_path / "here")
    async with AsyncClient(server.url, server.key) as client:
        there = await client.make(await planned(client, facts, "the same"), out=tmp_path / "there")
    assert here.plan.steps == there.plan.steps and here.delivery is not None and there.delivery is not None
    made = [{file.path: (file.content_digest, file.media_type) for file in each.files}
            for each in (here.delivery, there.delivery)]  # fmt: skip
    assert made[0] == made[1] and len(made[0]) == 2


def test_the_blocking_client_and_a_server_that_is_not_there(server: Server) -> None:
    with Client(server.url, server.key) as client:
        run = client.runs()[0]
        entries = [*client.events(run.id)]
        assert entries and client.audit(f"run/{run.id}", last=1)[0].n >= entries[-1].n
    with (
        Client("http://127.0.0.1:9", "btg_none") as nobody,
        pytest.raises(TransferFailed, match="bottega serve"),
    ):
        nobody.budgets()
