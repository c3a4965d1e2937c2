"""From an intent to a plan, over the real engines' declarations and real sources; no model runs."""

import asyncio
import shutil
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast, get_args

import pytest

from bottega.bootstrap import build
from bottega.core.brief import LANGUAGE_NAMES, Brief, Language, Wanted
from bottega.core.errors import BottegaError, InvalidBrief, InvalidPlan
from bottega.core.plan import Plan, SourceRef
from bottega.pipelines.blueprints import blueprint
from bottega.pipelines.build import Builder, TableFacts
from bottega.pipelines.intent import KINDS, Intent
from bottega.pipelines.sources import main_table, take_in
from bottega.pipelines.validate import validate
from bottega.pipelines.workshop import Workshop
from bottega.service import Bottega
from bottega.settings import Settings

ROOT = Path(__file__).parents[3]
SOURCES = ROOT / "examples" / "launch-kit" / "sources"
BRIEFS = tomllib.loads((ROOT / "tests" / "data" / "briefs.toml").read_text("utf-8"))["briefs"]
SPOKEN = ("en", "fr")  # languages that the speech engine speaks
VOICED = {"voice_over", "narrated_video"}


class Desk:
    """A workshop with the example's sources taken in; builds plans without asking a model."""

    def __init__(self, service: Bottega, sources: list[SourceRef], table: TableFacts | None) -> None:
        self.service = service
        self.shop: Workshop = service.shop
        self.sources = sources
        self.table = table

    def plan(
        self,
        *kinds: str,
        languages: tuple[str, ...] = ("en",),
        explicit: bool = False,
        table: bool = True,
        goal: str = "Something for Tarnwick",
        wanted: tuple[Wanted, ...] = (),
    ) -> Plan:
        wanted = wanted or tuple(Wanted(kind=kind) for kind in kinds)
        sources = [source for source in self.sources if table or source.media_type != "text/csv"]
        brief = Brief(goal=goal, sources=("sources",), deliverables=wanted if explicit else ())
        intent = Intent(
            subject="Tarnwick",
            summary="Electric kettles that heat water to the exact degree",
            languages=cast(tuple[Language, ...], languages),
            deliverables=wanted,
        )
        plan = Builder(brief, intent, sources, self.table if table else None, self.shop).build()
        validate(plan, self.shop)
        return plan


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    root = tmp_path_factory.mktemp("desk")
    folder = root / "sources"
    folder.mkdir()
    for name in ("prices-and-specs.csv", "product-sheet.md"):
        shutil.copy(SOURCES / name, folder)
    service = build(Settings(home=root / "home", state=root / "state"))
    brief = Brief(goal="A chart of the prices", sources=(str(folder),))
    sources = asyncio.run(take_in(brief, service.shop, lambda text: None))
    yield Desk(service, sources, main_table(sources, brief.goal, service.shop))
    service.close()


def made(plan: Plan) -> set[str]:
    return {item.kind for item in plan.deliverables}


def expected(kind: str) -> set[str]:
    """The kinds that stand in the output folder when this one is asked for."""
    plan = blueprint(kind)
    return {kind} if plan.deliver else {each for part in plan.parts for each in expected(part)}


def test_the_example_has_a_table_to_draw(desk: Desk) -> None:
    assert desk.table is not None
    assert (desk.table.name, desk.table.x) == ("prices_and_specs", "model")
    assert "price" in desk.table.y


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_alone_makes_a_valid_plan(desk: Desk, kind: str) -> None:
    plan = desk.plan(kind)
    assert made(plan) == expected(kind)
    assert plan.intent["notes"] == []
    for step in plan.steps:
        card = desk.shop.card(step.engine)
        assert step.version == card.version
        assert step.locality == "local"
        assert step.seconds > 0 and step.why
        assert (step.seed is None) == (card.determinism == "exact"), step.id
        assert bool(step.weights) == bool(card.models), step.id
    for item in plan.deliverables:
        assert item.title and "$" not in item.title + item.path


@pytest.mark.parametrize("languages", [("en", "fr"), ("en", "de"), ("fr",), ("de",), ("es",)])
def test_a_page_in_other_languages(desk: Desk, languages: tuple[str, ...]) -> None:
    plan = desk.plan("product_page", languages=languages)
    pages = [item for item in plan.deliverables if item.path.endswith(".md") or item.path.endswith(".html")]
    assert {item.language for item in pages} == set(languages)
    assert len({item.path for item in plan.deliverables}) == len(plan.deliverables)
    for item in pages:
        step = plan.step(item.output.rpartition(".")[0])
        assert step.language == item.language
        assert "language_is" in step.checks


def test_french_after_english_is_translated_and_german_is_written_by_the_language_model(desk: Desk) -> None:
    engines = {step.engine for step in desk.plan("product_page", languages=("en", "fr")).steps}
    assert "translate" in engines
    engines = {step.engine for step in desk.plan("product_page", languages=("en", "de")).steps}
    assert "translate" not in engines


@pytest.mark.parametrize("kind", ["voice_over", "narrated_video"])
@pytest.mark.parametrize("language", [code for code in get_args(Language) if code not in SPOKEN])
def test_a_language_that_is_not_spoken_is_one_clear_error(desk: Desk, kind: str, language: str) -> None:
    with pytest.raises(InvalidBrief):
        desk.plan(kind, languages=(language,))
    with pytest.raises(InvalidBrief) as caught:
        desk.plan("faq", kind, languages=(language,), explicit=True)
    assert LANGUAGE_NAMES[language] in str(caught.value)
    assert "English" in caught.value.remedy and "French" in caught.value.remedy


def test_a_plan_for_other_weights_is_refused(desk: Desk) -> None:
    plan = desk.plan("hero_image")
    step = next(step for step in plan.steps if step.weights)
    steps = tuple(
        each.model_copy(update={"weights": "0" * 64}) if each is step else each for each in plan.steps
    )
    with pytest.raises(InvalidPlan, match="other weights") as caught:
        validate(plan.model_copy(update={"steps": steps}), desk.shop)
    assert caught.value.where == f"step '{step.id}', field 'weights'"


def test_french_is_spoken(desk: Desk) -> None:
    plan = desk.plan("voice_over", languages=("fr",))
    assert next(step for step in plan.steps if step.engine == "speech").params["language"] == "fr"


def test_a_chart_without_a_table(desk: Desk) -> None:
    with pytest.raises(InvalidBrief, match="needs a table") as caught:
        desk.plan("chart", explicit=True, table=False)
    assert caught.value.remedy
    with pytest.raises(InvalidBrief, match="needs a table"):
        desk.plan("chart", table=False)  # there is nothing else to make
    plan = desk.plan("launch_kit", table=False)
    assert "chart" not in made(plan)
    assert made(plan) == expected("launch_kit") - {"chart"}
    (note,) = plan.intent["notes"]
    assert "needs a table" in note


def test_the_same_brief_gives_the_same_plan(desk: Desk) -> None:
    first, second = desk.plan("launch_kit"), desk.plan("launch_kit")
    assert first.identity == second.identity
    assert first.canonical() == second.canonical()
    assert desk.plan("launch_kit", goal="Something else").identity != first.identity


def test_shared_work_stands_in_the_plan_once(desk: Desk) -> None:
    plan = desk.plan("launch_kit")
    assert len({step.id for step in plan.steps}) == len(plan.steps)
    drafts = [step.id for step in plan.steps if step.id.startswith("storyboard.")]
    assert len(drafts) == len(set(drafts)) > 0
    alone = desk.plan("voice_over")
    assert {step.id for step in alone.steps if step.id.startswith("storyboard.")} == set(drafts)


def test_counts_and_lengths_reach_the_steps(desk: Desk) -> None:
    plan = desk.plan(wanted=(Wanted(kind="icon_set", count=5),))
    assert len([item for item in plan.deliverables if item.path.endswith(".svg")]) == 5
    short = desk.plan(wanted=(Wanted(kind="voice_over", seconds=10),))
    assert short.identity != desk.plan("voice_over").identity


@pytest.mark.parametrize("entry", BRIEFS, ids=lambda entry: cast(str, entry["id"]))
def test_what_the_measured_briefs_ask_for_can_be_planned(desk: Desk, entry: dict[str, Any]) -> None:
    kinds, languages = cast(list[str], entry["kinds"]), tuple(cast(list[str], entry["languages"]))
    plan = desk.plan(*kinds, languages=languages, goal=entry["goal"])
    wanted = {each for kind in kinds for each in expected(kind)}
    silent = wanted & VOICED if languages[0] not in SPOKEN else set[str]()
    assert made(plan) == wanted - silent
    assert len(plan.intent["notes"]) == len(silent)
    assert all(LANGUAGE_NAMES[languages[0]] in note for note in plan.intent["notes"])


def free_brief(**change: Any) -> Brief:
    step = {
        "id": "cheapest",
        "engine": "table",
        "inputs": {"tables": ["tables:*"]},
        "params": {"sql": "SELECT model, price_eur FROM t1 ORDER BY price_eur LIMIT 1"},
        "port": "table",
        "path": "cheapest.csv",
    }
    note = {
        "id": "note",
        "engine": "compose",
        "inputs": {"data": ["cheapest.rows"]},
        "params": {"template": "{{ cheapest.rows }}", "media_type": "text/plain"},
    }
    return Brief.model_validate(
        {"goal": "The cheapest kettle", "sources": [str(SOURCES)], "steps": [step | change, note]}
    )


async def test_a_brief_may_hold_steps_of_its_own(desk: Desk) -> None:
    plan = await desk.service.plan(free_brief())
    assert [step.id for step in plan.steps] == ["free.cheapest", "free.note"]
    assert plan.step("free.note").inputs == {"data": ("free.cheapest.rows",)}
    assert plan.deliverables[0].path == "cheapest.csv"
    assert "numbers_grounded" in plan.step("free.cheapest").checks  # by policy, like any other table


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"engine": "tabel"}, "unknown engine 'tabel'"),
        ({"params": {"sqll": ""}}, "sqll"),
        ({"inputs": {"tables": ["ghost.rows"]}}, "names no step"),
        ({"port": "tables"}, "no output"),
    ],
)
async def test_a_wrong_step_in_a_brief_is_said(desk: Desk, change: dict[str, Any], words: str) -> None:
    with pytest.raises(BottegaError, match=words):
        await desk.service.plan(free_brief(**change))


async def test_a_picture_without_a_model_is_composed_of_its_words(desk: Desk) -> None:
    picture = {
        "engine": "image",
        "inputs": {},
        "params": {"prompt": "Spring sale"},
        "port": "png",
        "path": "a.png",
    }
    brief = free_brief(**picture)
    plan = await desk.service.plan(brief.model_copy(update={"steps": brief.steps[:1]}))
    composed = plan.step("free.cheapest")
    assert (composed.engine, composed.params) == ("layout", {"title": "Spring sale"})
    assert "names no plain thing" in composed.why
