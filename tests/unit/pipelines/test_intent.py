"""From what the model read to an intent: the rules around the model, and the brief set's own shape."""

import json
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

import pytest

from bottega.core.brief import Brand, Brief, Language, Wanted
from bottega.core.errors import InvalidBrief
from bottega.core.request import Finished, Request
from bottega.engines.chat import ChatParams
from bottega.pipelines.blueprints import blueprints
from bottega.pipelines.intent import KINDS, Ask, Intent, language_of, read_intent, request_for

BRIEFS = tomllib.loads((Path(__file__).parents[2] / "data" / "briefs.toml").read_text("utf-8"))["briefs"]


def reader(deliverables: Sequence[dict[str, Any]], **more: Any) -> tuple[Ask, list[Request]]:
    """A language engine that always reads this."""
    asked: list[Request] = []
    read = {
        "deliverables": [{"asked": "", **item} for item in deliverables],
        "languages": [],
        "subject": "Halo",
        "summary": "A lamp",
        "audience": "readers",
        "tone": "warm",
        **more,
    }

    async def ask(request: Request) -> Sequence[Finished]:
        asked.append(request)
        return [Finished(port="text", media_type="application/json", data=json.dumps(read).encode())]

    return ask, asked


async def read(goal: str, deliverables: Sequence[dict[str, Any]], **more: Any) -> Intent:
    return await read_intent(Brief(goal=goal), reader(deliverables, **more)[0])


async def test_kinds_come_once_and_in_order() -> None:
    intent = await read(
        "A FAQ, a chart and again a FAQ", [{"kind": kind} for kind in ("faq", "chart", "faq")]
    )
    assert [wanted.kind for wanted in intent.deliverables] == ["faq", "chart"]
    assert (intent.subject, intent.summary, intent.audience, intent.tone) == (
        "Halo",
        "A lamp",
        "readers",
        "warm",
    )


@pytest.mark.parametrize(
    ("goal", "read_as", "seconds"),
    [
        ("A voice-over of 20 to 30 seconds for our lamp", 30, 25),
        ("Ein Sprechertext von 20 bis 30 Sekunden für die Lampe", 20, 25),
        ("A 45-second spot for our lamp", 0, 45),
        ("A 2 minute spot for our lamp", 2, 120),
        ("A spot for our lamp, please", 40, None),
        ("Un spot de 30 secondes pour la lampe", 30, 30),
    ],
)
async def test_lengths_come_from_the_digits_of_the_brief(
    goal: str, read_as: int, seconds: int | None
) -> None:
    intent = await read(goal, [{"kind": "voice_over", "seconds": read_as}])
    assert intent.deliverables[0].seconds == seconds


async def test_each_length_goes_to_the_deliverable_that_the_model_gave_it() -> None:
    items = [{"kind": "voice_over", "seconds": 20}, {"kind": "narrated_video", "seconds": 60}]
    intent = await read("A voice-over of 20 s and a video of 1 minute about the lamp", items)
    assert [wanted.seconds for wanted in intent.deliverables] == [20, 60]
    unsaid = [{"kind": "voice_over", "seconds": 20}, {"kind": "narrated_video", "seconds": 0}]
    intent = await read("A voice-over of 20 s and a video about the lamp", unsaid)
    assert [wanted.seconds for wanted in intent.deliverables] == [20, None]


async def test_counts_in_digits_win_over_what_the_model_read() -> None:
    intent = await read("We need 6 small icons for the lamp", [{"kind": "icon_set", "count": 3}])
    assert intent.deliverables[0].count == 6
    intent = await read("We need three icons for the lamp", [{"kind": "icon_set", "count": 3}])
    assert intent.deliverables[0].count == 3
    intent = await read("We need icons for the lamp", [{"kind": "icon_set", "count": 0}])
    assert intent.deliverables[0].count is None


async def test_languages_count_only_when_the_brief_names_them() -> None:
    page = [{"kind": "product_page"}]
    named = await read("A product page in English and French for the lamp", page, languages=["en", "fr"])
    assert named.languages == ("en", "fr")
    invented = await read("A product page for the lamp, please", page, languages=["de"])
    assert invented.languages == ("en",)
    own = await read("Scrivi una pagina prodotto per la lampada", page)
    assert own.languages == ("it",)


async def test_what_the_brief_states_in_its_fields_wins() -> None:
    ask, _ = reader([{"kind": "faq"}], languages=["en"])
    brief = Brief(
        goal="Something about a lamp",
        deliverables=(Wanted(kind="chart", focus="price"),),
        languages=("fr", "en"),
        audience="shops",
        brand=Brand(tone="plain"),
    )
    intent = await read_intent(brief, ask)
    assert intent.deliverables == brief.deliverables
    assert intent.languages == ("fr", "en")
    assert (intent.audience, intent.tone) == ("shops", "plain")


async def test_a_brief_that_asks_for_nothing_is_refused_with_the_kinds() -> None:
    with pytest.raises(InvalidBrief, match=r"what to make.*product_page"):
        await read("Hello there, how are you today?", [])


@pytest.mark.parametrize(
    ("goal", "code"),
    [
        ("製品ページを作ってください", "ja"),
        ("أنشئ صفحة منتج للمصباح", "ar"),
        ("Przygotuj stronę produktu i trzy ikony dla roweru", "pl"),
    ],
)
async def test_an_unsupported_language_is_named_before_the_model_is_asked(goal: str, code: str) -> None:
    ask, asked = reader([{"kind": "faq"}])
    with pytest.raises(InvalidBrief, match=rf"'{code}'.*English.*French"):
        await read_intent(Brief(goal=goal), ask)
    assert asked == []


@pytest.mark.parametrize("goal", ["Flyer", "3 icons", "A launch kit for Halo", "hero picture, chart"])
def test_a_few_words_count_as_english(goal: str) -> None:
    assert language_of(goal) == "en"


def test_the_request_is_short_and_its_schema_closed() -> None:
    request = request_for(Brief(goal="A flyer for the lamp"), ["sheet.pdf"])
    assert len(request.params["prompt"]) < 1600  # about 350 tokens
    assert "sheet.pdf" in request.params["prompt"]
    ChatParams.model_validate(request.params)


def test_kinds_are_the_blueprints() -> None:
    shown = {name for name, blueprint in blueprints().items() if not blueprint.hidden}
    assert set(KINDS) == shown


def test_the_brief_set_covers_every_kind_and_five_languages() -> None:
    measured = [brief for brief in BRIEFS if brief["split"] == "test"]
    assert len(measured) == 20
    assert {kind for brief in measured for kind in brief["kinds"]} == set(KINDS)
    assert {language_of(brief["goal"]) for brief in measured} == {"en", "fr", "de", "es", "it"}
    assert all(set(brief["languages"]) <= set(get_args(Language)) for brief in BRIEFS)
    assert len({brief["id"] for brief in BRIEFS}) == len(BRIEFS)
