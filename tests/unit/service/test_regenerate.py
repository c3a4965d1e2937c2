"""A delivered file is made again from its manifest, here or where nothing else is known."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.unit.pipelines.conftest import POLICY
from tests.unit.service.conftest import Promise

from bottega.bootstrap import build
from bottega.core.brief import Brief, FreeStep
from bottega.core.errors import InvalidValue, NotFound, PolicyDenied, Tampered
from bottega.delivery.manifest import Manifest
from bottega.service import Bottega
from bottega.settings import Settings


def said(step_id: str, text: str, *inputs: str, path: str = "", engine: str = "echo") -> FreeStep:
    return FreeStep(
        id=step_id, engine=engine, inputs={"text": inputs} if inputs else {}, params={"text": text},
        path=path, checks={"length": {"min_words": 2}},
    )  # fmt: skip


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "notes.md").write_text("Halo is a lamp of 12 W.\n")
    return tmp_path / "docs" / "notes.md"


async def deliver(service: Bottega, notes: Path, out: Path, *more: FreeStep) -> Path:
    """Two files of a chain over one source, and what else is asked for; gives the manifest."""
    steps = (
        said("facts", "", "source:notes.md", path="facts.txt"),
        said("page", "A page", "facts.text", path="page.txt"),
        *more,
    )
    plan = await service.plan(Brief(goal="Say what it is", sources=(str(notes),), steps=steps))
    made = await service.make(plan, out, run_id="mine")
    assert made.run.state == "released", made.run.reason
    return out / "manifest.json"


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[Bottega]:
    """Another machine: nothing of the run is known here."""
    there = tmp_path / "elsewhere"
    there.mkdir()
    (there / "policy.toml").write_text(POLICY)
    service = build(Settings(home=there / "home", state=there / "state"), policy=there / "policy.toml")
    yield service
    service.close()


async def test_every_artifact_comes_out_with_its_content_digest(
    service: Bottega, notes: Path, tmp_path: Path
) -> None:
    manifest = await deliver(service, notes, tmp_path / "out")
    report = await service.regenerate(manifest)
    assert (report.finding, report.run) == ("identical", "mine")
    files = Manifest.model_validate_json(manifest.read_bytes()).artifacts
    assert [each.now["text"] for each in report.steps] == [file.content_digest for file in files]


async def test_on_another_machine_with_the_sources_given(
    service: Bottega, elsewhere: Bottega, notes: Path, tmp_path: Path
) -> None:
    manifest = await deliver(service, notes, tmp_path / "out")
    renamed = notes.rename(notes.with_name("under-another-name.md"))
    made = tmp_path / "again" / "page.txt"
    report = await elsewhere.regenerate(manifest, "page.txt", sources=[renamed.parent], out=made)
    assert report.finding == "identical"
    assert [each.step for each in report.steps] == ["free.page"]
    assert made.read_text() == "Halo is a lamp of 12 W.\n\nA page"


async def test_a_source_that_is_missing_is_named(
    service: Bottega, elsewhere: Bottega, notes: Path, tmp_path: Path
) -> None:
    manifest = await deliver(service, notes, tmp_path / "out")
    with pytest.raises(NotFound, match=r"'notes.md'.*--source"):
        await elsewhere.regenerate(manifest)
    notes.write_text("Halo is a lamp of 13 W.\n")  # the right name, other bytes
    with pytest.raises(NotFound, match=r"'notes\.md'"):
        await elsewhere.regenerate(manifest, sources=[notes])


async def test_only_what_the_artifact_needs_is_made(service: Bottega, notes: Path, tmp_path: Path) -> None:
    manifest = await deliver(service, notes, tmp_path / "out", said("rest", "not needed", path="rest.txt"))
    worked: set[str] = set()
    await service.regenerate(
        manifest, str(tmp_path / "out" / "page.txt"), watch=lambda event: worked.add(event.step)
    )
    assert worked == {"free.facts", "free.page"}


async def test_what_may_come_out_otherwise_is_refused_unless_asked_for(
    service: Bottega, notes: Path, tmp_path: Path, muse: Promise
) -> None:
    muse("all is well", "all is otherwise", locality="remote", determinism="none")
    extra = (
        said("ask", "", path="ask.txt", engine="muse"),
        said("end", "so be it", "ask.text", path="end.txt"),
    )
    manifest = await deliver(service, notes, tmp_path / "out", *extra)
    size = service.shop.journal.size()
    with pytest.raises(InvalidValue, match=r"step 'free.ask': 'muse' is a remote engine.*--anyway"):
        await service.regenerate(manifest, "end.txt")
    assert service.shop.journal.size() == size
    assert (await service.regenerate(manifest, "page.txt")).finding == "identical"  # does not need it
    report = await service.regenerate(manifest, "end.txt", anyway=True)
    assert report.finding == "explained"
    assert "step 'free.ask': 'muse' is a remote engine" in report.steps[0].reasons[0].words


async def test_nothing_is_written_when_the_bytes_are_other(
    service: Bottega, notes: Path, tmp_path: Path, muse: Promise
) -> None:
    muse("all is well", "all is otherwise")
    manifest = await deliver(service, notes, tmp_path / "out", said("ask", "", path="ask.txt", engine="muse"))
    made = tmp_path / "made.txt"
    report = await service.regenerate(manifest, "ask.txt", out=made)
    assert (report.finding, made.exists()) == ("unexplained", False)
    await service.regenerate(manifest, "ask.txt", out=made, anyway=True)
    assert made.read_text() == "all is otherwise"


async def test_the_machine_in_the_manifest_explains_a_seeded_engine(
    service: Bottega, notes: Path, tmp_path: Path, muse: Promise
) -> None:
    muse("all is well", "all is otherwise", determinism="seeded")
    ask = FreeStep(id="ask", engine="muse", path="ask.txt")
    manifest = await deliver(service, notes, tmp_path / "out", ask)
    assert (await service.regenerate(manifest, "ask.txt")).finding == "unexplained"
    facts = json.loads(manifest.read_text())
    facts["made_on"]["free.ask"]["threads"] += 1
    manifest.write_text(json.dumps(facts))
    (told,) = (await service.regenerate(manifest, "ask.txt")).steps
    assert [reason.cause for reason in told.reasons] == ["threads"]
    del facts["made_on"]["free.ask"]
    manifest.write_text(json.dumps(facts))
    (told,) = (await service.regenerate(manifest, "ask.txt")).steps
    assert [reason.cause for reason in told.reasons] == ["machine"]


async def test_a_plan_that_is_not_the_one_of_the_manifest_is_refused(
    service: Bottega, notes: Path, tmp_path: Path
) -> None:
    manifest = await deliver(service, notes, tmp_path / "out")
    plan = tmp_path / "out" / "plan.json"
    plan.chmod(0o644)
    plan.write_text(plan.read_text().replace("A page", "A forgery"))
    with pytest.raises(Tampered, match="not the plan that the manifest names"):
        await service.regenerate(manifest)


async def test_what_is_not_there_is_named(service: Bottega, notes: Path, tmp_path: Path) -> None:
    manifest = await deliver(service, notes, tmp_path / "out")
    with pytest.raises(NotFound, match=r"no artifact 'cover.png'.*facts.txt, page.txt"):
        await service.regenerate(manifest, "cover.png")
    with pytest.raises(InvalidValue, match="--artifact"):
        await service.regenerate(manifest, out=tmp_path / "made.txt")
    with pytest.raises(InvalidValue, match="cannot be read"):
        await service.regenerate(tmp_path / "manifest.json")
    (tmp_path / "manifest.json").write_text('{"format": "bottega.delivery/1"}')
    with pytest.raises(InvalidValue, match="Field required"):
        await service.regenerate(tmp_path / "manifest.json")


async def test_a_plan_that_may_not_leave_is_not_sent_even_anyway(
    start: Callable[[], Bottega], service: Bottega, notes: Path, tmp_path: Path, muse: Promise
) -> None:
    muse("all is well")
    steps = (said("ask", "", path="ask.txt", engine="muse"),)
    brief = Brief.model_validate(
        {"goal": "Say it", "sources": [str(notes)], "steps": steps, "constraints": {"local_only": True}}
    )
    await service.make(await service.plan(brief), tmp_path / "out")
    muse("all is well", locality="remote")
    with pytest.raises(PolicyDenied, match="nothing may leave"):
        await start().regenerate(tmp_path / "out" / "manifest.json", anyway=True)
