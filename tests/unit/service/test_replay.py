"""A run is made again from the record, and every difference has a reason or is the finding."""

import threading
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import pytest
from tests.unit.pipelines.conftest import echo, plan_of
from tests.unit.service.conftest import Promise

from bottega.catalog.pull import pull
from bottega.core.canonical import digest_bytes
from bottega.core.entry import Act
from bottega.core.errors import Cancelled, InvalidValue, NotFound, SetupError
from bottega.core.plan import Plan
from bottega.core.request import Delta, Output
from bottega.engines.echo import Echo
from bottega.pipelines.comparison import Replayed
from bottega.pipelines.machine import build, cpu
from bottega.service import Bottega

Start = Callable[[], Bottega]


def causes(report: Replayed) -> dict[str, list[str]]:
    return {each.step: [reason.cause for reason in each.reasons] for each in report.steps if each.reasons}


def musing(*, seed: int | None = None) -> Plan:
    """A step of the muse between two echoes."""
    middle = echo("b", "", ("a",), engine="muse", version="1", seed=seed)
    return plan_of(echo("a", "one two"), middle, echo("c", "and so on", ("b",)))


async def test_a_run_of_exact_engines_comes_out_the_same(service: Bottega, tmp_path: Path) -> None:
    plan = plan_of(echo("a", "one two"), echo("b", "three", ("a",)))
    made = await service.make(plan, tmp_path / "out", run_id="mine")
    before = (tmp_path / "out" / "manifest.json").read_bytes()
    report = await service.replay("mine")
    assert (report.finding, report.first, report.run) == ("identical", "", "mine")
    assert [each.outcome for each in report.steps] == ["same", "same"]
    assert report.steps[1].now == {"text": made.run.results[1].outputs[0].artifact.sha256}
    assert (tmp_path / "out" / "manifest.json").read_bytes() == before  # nothing is delivered
    assert [run.id for run in service.runs()] == ["mine"]


async def test_nothing_is_taken_over_and_nothing_is_left_for_others(service: Bottega) -> None:
    await service.make(plan_of(echo("a", "one two")), None, run_id="mine")
    worked: list[str] = []
    report = await service.replay("mine", watch=lambda event: worked.append(event.what))
    assert "output" in worked  # the engine spoke again
    told = service.shop.journal.about(f"run/{report.replay}")
    assert [entry.act for entry in told] == [Act.STEP_LEASED, Act.STEP_FINISHED, Act.RUN_EXPIRED]
    (told,) = [entry for entry in service.shop.journal.about("run/mine") if entry.act is Act.RUN_REPLAYED]
    assert told.detail["finding"] == "identical" and told.detail["replay"] == report.replay
    rows = service.state.database.rows("SELECT run_id FROM steps UNION ALL SELECT run_id FROM refs "
                                       "UNION ALL SELECT run_id FROM results")  # fmt: skip
    assert {run for (run,) in rows} == {"mine"}
    service.state.fold_again()
    assert [run.state for run in service.runs()] == ["released"]


@pytest.mark.parametrize(("promise", "seed"), [("exact", None), ("seeded", 7)])
async def test_an_engine_that_breaks_its_promise_is_the_finding(
    service: Bottega, muse: Promise, promise: str, seed: int | None
) -> None:
    muse("all is well", "all is otherwise", determinism=promise)
    await service.make(musing(seed=seed), None, run_id="mine")
    report = await service.replay("mine")
    assert (report.finding, report.first) == ("unexplained", "b")
    assert [each.outcome for each in report.steps] == ["same", "differs", "differs"]
    assert causes(report) == {"b": ["unexplained"], "c": ["input"]}
    assert "b.text" in report.steps[2].reasons[0].words


@pytest.mark.parametrize(
    ("card", "seed", "cause"),
    [
        ({"determinism": "none"}, None, "chance"),
        ({"determinism": "seeded"}, None, "chance"),
        ({"locality": "remote", "determinism": "none"}, 7, "remote"),
    ],
)
async def test_an_engine_that_promised_nothing_explains_its_difference(
    service: Bottega, muse: Promise, card: dict[str, str], seed: int | None, cause: str
) -> None:
    muse("all is well", "all is otherwise", **card)
    await service.make(musing(seed=seed), None, run_id="mine")
    said: list[str] = []
    report = await service.replay("mine", note=said.append)
    assert (report.finding, report.first) == ("explained", "b")
    assert causes(report) == {"b": [cause], "c": ["input"]}
    assert len(said) == 1 and "step 'b'" in said[0]  # said before anything ran


async def test_another_engine_version_is_said_before_and_explains(
    start: Start, service: Bottega, muse: Promise
) -> None:
    muse("all is well")
    await service.make(musing(), None, run_id="mine")
    muse("all is otherwise", version="2")
    said: list[str] = []
    report = await start().replay("mine", note=said.append)
    assert causes(report) == {"b": ["version"], "c": ["input"]}
    assert said == ["step 'b': other engine version: 1 then, 2 now"]


async def test_another_version_with_the_same_bytes_is_the_same(
    start: Start, service: Bottega, muse: Promise
) -> None:
    muse("all is well")
    await service.make(musing(), None, run_id="mine")
    muse("all is well", version="2")
    assert (await start().replay("mine")).finding == "identical"


async def test_threads_explain_a_seeded_engine_and_never_an_exact_one(
    service: Bottega, muse: Promise
) -> None:
    muse("all is well", "all is otherwise", determinism="seeded")
    await service.make(musing(seed=1), None, run_id="seeded")
    service.shop = replace(service.shop, threads=service.shop.threads + 1)
    assert causes(await service.replay("seeded")) == {"b": ["threads"], "c": ["input"]}
    muse("all is well", "all is otherwise", determinism="exact")
    service.shop = replace(service.shop, _engines={})
    await service.make(musing(), None, run_id="exact")
    service.shop = replace(service.shop, threads=service.shop.threads + 1)
    assert (await service.replay("exact")).finding == "unexplained"


async def test_other_packages_and_another_processor_explain(
    service: Bottega, muse: Promise, monkeypatch: pytest.MonkeyPatch
) -> None:
    muse("all is well", "all is otherwise", determinism="seeded")
    await service.make(musing(seed=1), None, run_id="mine")
    for name in ("build", "cpu"):
        monkeypatch.setattr(f"bottega.pipelines.machine.{name}", lambda: "another")
    assert causes(await service.replay("mine"))["b"] == ["build", "cpu"]


async def test_a_result_taken_over_is_traced_to_where_it_was_made(service: Bottega, muse: Promise) -> None:
    muse("all is well", "all is otherwise", determinism="seeded")
    await service.make(musing(seed=1), None, run_id="first")
    service.shop = replace(service.shop, threads=service.shop.threads + 1)
    made = await service.make(musing(seed=1), None, run_id="second")
    assert [result.state for result in made.run.results] == ["reused"] * 3
    assert causes(await service.replay("second"))["b"] == ["threads"]


async def test_another_number_of_repairs_is_told(service: Bottega, muse: Promise) -> None:
    muse("short", "long enough", "long enough at once", determinism="seeded")
    await service.make(musing(seed=1), None, run_id="mine")
    report = await service.replay("mine")
    assert causes(report)["b"] == ["attempts"]
    assert "attempt 2 was kept then, attempt 1 now" in report.steps[1].reasons[0].words


async def test_what_a_person_decided_is_not_asked_again(service: Bottega) -> None:
    await service.make(plan_of(echo("a", "word"), echo("b", "more words", ("a",))), None, run_id="mine")
    (waiting,) = service.reviews().all()
    service.reviews().decide(waiting.id, "approve", "Ada")
    assert (await service.resume("mine")).run.state == "released"
    report = await service.replay("mine")
    assert (report.finding, len(report.steps)) == ("identical", 2)
    assert len(service.reviews().all()) == 1


async def test_only_the_steps_asked_for_and_what_they_need(service: Bottega) -> None:
    plan = plan_of(echo("a", "one two"), echo("free", "not needed"), echo("b", "three", ("a",)))
    await service.make(plan, None, run_id="mine")
    assert [each.step for each in (await service.replay("mine", ["b"])).steps] == ["a", "b"]
    with pytest.raises(NotFound, match="no step 'x'"):
        await service.replay("mine", ["x"])


async def test_a_step_that_had_failed_is_not_compared(service: Bottega) -> None:
    plan = plan_of(echo("bad", params={"fail": "no paper"}), echo("after", after=("bad",)), echo("free"))
    await service.make(plan, None, run_id="mine")
    report = await service.replay("mine")
    assert report.finding == "identical"
    assert {each.step: each.outcome for each in report.steps} == {
        "bad": "not recorded", "after": "not recorded", "free": "same",
    }  # fmt: skip
    assert "no paper" in report.steps[0].error
    with pytest.raises(InvalidValue, match="no output to compare"):
        await service.replay("mine", ["after"])


async def test_a_step_that_cannot_be_made_now_is_incomplete(
    service: Bottega, monkeypatch: pytest.MonkeyPatch
) -> None:
    await service.make(plan_of(echo("a", "one two"), echo("b", "three", ("a",))), None, run_id="mine")

    async def broken(*asked: object) -> AsyncIterator[Output]:
        yield Delta(text="and no more")

    monkeypatch.setattr(Echo, "generate", broken)
    report = await service.replay("mine")
    assert (report.finding, report.first) == ("incomplete", "a")
    assert [each.outcome for each in report.steps] == ["not made", "not made"]


async def test_what_is_missing_is_said_for_every_step_before_anything_runs(
    start: Start, service: Bottega, muse: Promise, monkeypatch: pytest.MonkeyPatch
) -> None:
    muse("all is well")
    twice = plan_of(echo("a"), echo("b", engine="muse"), echo("c", engine="muse"))
    await service.make(twice, None, run_id="mine")
    monkeypatch.undo()
    later = start()
    size = later.shop.journal.size()
    with pytest.raises(SetupError, match="step 'b': unknown engine 'muse'; step 'c'"):
        await later.replay("mine")
    assert later.shop.journal.size() == size


async def test_missing_weights_are_named_with_the_command(
    start: Start, service: Bottega, muse: Promise
) -> None:
    muse("all is well")
    await service.make(musing(), None, run_id="mine")
    muse("all is well", models=["kokoro-82m"])
    with pytest.raises(SetupError, match=r"step 'b': the weights of 'kokoro-82m'.*bottega pull kokoro-82m"):
        await start().replay("mine")


async def test_weights_that_were_changed_on_disk_are_found_before_the_engine_is_blamed(
    start: Start, service: Bottega, muse: Promise, tmp_path: Path
) -> None:
    catalog = service.shop.catalog
    weights = b"the weights as they were released"
    (tmp_path / "tiny.bin").write_bytes(weights)
    (catalog.home / "models.d").mkdir(parents=True)
    (catalog.home / "models.d" / "tiny.toml").write_text(f"""
        id = "tiny"
        title = "Tiny"
        modality = "text"
        licence = "MIT"
        attribution = "nobody"
        [[files]]
        path = "model.gguf"
        size = {len(weights)}
        sha256 = "{digest_bytes(weights)}"
        local = "{tmp_path / "tiny.bin"}"
        """)
    folder = pull(catalog, catalog.get("tiny"))
    muse("all is well", "all is otherwise", models=["tiny"])
    await service.make(musing(), None, run_id="mine")
    (folder / "model.gguf").chmod(0o644)
    (folder / "model.gguf").write_bytes(weights.upper())
    report = await start().replay("mine")
    assert causes(report) == {"b": ["weights"], "c": ["input"]}
    assert "damaged" in report.steps[1].reasons[0].words


async def test_a_replay_that_is_stopped_says_so_and_leaves_nothing(service: Bottega) -> None:
    await service.make(plan_of(echo("a"), echo("b", after=("a",))), None, run_id="mine")
    stop = threading.Event()
    with pytest.raises(Cancelled):
        await service.replay("mine", watch=lambda event: stop.set(), cancelled=stop)
    assert {run for (run,) in service.state.database.rows("SELECT run_id FROM steps")} == {"mine"}
    assert Act.RUN_REPLAYED not in {entry.act for entry in service.shop.journal.about("run/mine")}


async def test_an_unknown_run(service: Bottega) -> None:
    with pytest.raises(NotFound, match="no run 'gone'"):
        await service.replay("gone")


async def test_the_lease_tells_where_the_step_is_made(service: Bottega) -> None:
    await service.make(plan_of(echo("a")), None, run_id="mine")
    (leased,) = [e for e in service.shop.journal.about("run/mine/step/a") if e.act is Act.STEP_LEASED]
    facts = {name: leased.detail[name] for name in ("threads", "cpu", "build")}
    assert facts == {"threads": service.shop.threads, "cpu": cpu(), "build": build()}
