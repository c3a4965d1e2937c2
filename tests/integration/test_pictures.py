"""Pictures from the real engines, judged by the real checks."""

import io
import json
import re
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from bottega.checks.base import Subject
from bottega.checks.contrast import Contrast, ContrastOptions
from bottega.checks.decodes import Decodes, DecodesOptions
from bottega.checks.legible import Legible, LegibleOptions
from bottega.checks.not_blank import NotBlank, NotBlankOptions
from bottega.core.artifact import Artifact
from bottega.core.canonical import digest_bytes
from bottega.core.errors import Cancelled, EngineFailed, InvalidValue
from bottega.core.request import Finished, Part, Request
from bottega.engines.base import Bench, Engine
from bottega.engines.chart import Chart
from bottega.engines.icons import Icons, IconsParams
from bottega.engines.layout import STYLES, Layout
from bottega.engines.ocr import Ocr

pytestmark = [pytest.mark.weights(name) for name in ("inter-fonts", "display-fonts", "lucide-icons")]
COPY: dict[str, Any] = {
    "kicker": "New this spring",
    "title": "Light that follows you off the grid",
    "subtitle": "A solar lantern that stores two nights of light.",
    "icon": "camping lantern",
}
READER = Ocr()
POINTS = ["A full charge takes seven hours", "48 hours at reading brightness", "Every part can be replaced"]
TABLE = "Lantern,Runtime,Price\nLumen One,48,129\nHelio Mini,14,59.50\nTrailbeam Pro Rechargeable,31,149\n"


async def make(
    engine: Engine, bench: Bench, *parts: Part, seed: Any = 1, **params: Any
) -> dict[str, Finished]:
    request = Request(engine=engine.card.id, parts=parts, params=params, seed=seed)
    return {out.port: out async for out in engine.generate(request, bench) if isinstance(out, Finished)}


async def judge(made: Finished, bench: Bench, store_file: Any) -> list[tuple[str, str]]:
    assert made.data is not None
    artifact: Artifact = store_file(made.data, made.media_type)

    async def ask(request: Request) -> Sequence[Finished]:
        return [out async for out in READER.generate(request, bench) if isinstance(out, Finished)]

    subject = Subject(
        artifact=artifact, path=bench.locate(artifact), port=made.port, details=made.details, ask=ask
    )
    verdicts = [
        await Decodes().judge(subject, DecodesOptions()),
        await NotBlank().judge(subject, NotBlankOptions()),
        await Contrast().judge(subject, ContrastOptions()),
        await Legible().judge(subject, LegibleOptions()),
    ]
    return [(verdict.check, verdict.reason) for verdict in verdicts if verdict.outcome != "pass"]


@pytest.mark.parametrize("style", sorted(STYLES))
@pytest.mark.parametrize("kind", ["hero", "social", "slide", "title_card", "closing"])
async def test_every_composition_is_readable_and_inside(bench: Bench, style: str, kind: str) -> None:
    bullets = POINTS if kind == "slide" else []
    made = await make(Layout(), bench, kind=kind, style=style, bullets=bullets, brand="Lumen Works", **COPY)
    details = made["png"].details
    picture = Image.open(io.BytesIO(made["png"].data or b""))
    assert picture.size == (details["width"], details["height"])
    for text in details["texts"]:
        left, top, right, bottom = text["box"]
        assert 0 <= left < right <= picture.width and 0 <= top < bottom <= picture.height, text
        assert text["contrast"] >= 4.5, text
    said = [text["text"] for text in details["texts"]]
    assert {COPY["title"], *bullets} <= set(said)
    boxes = [text["box"] for text in details["texts"]]
    assert not [(a, b) for i, a in enumerate(boxes) for b in boxes[i + 1 :] if overlap(a, b)]


@pytest.mark.parametrize("style", sorted(STYLES))
async def test_a_banner_is_art_without_words(bench: Bench, store_file: Any, style: str) -> None:
    made = await make(Layout(), bench, kind="banner", style=style, icon="coffee")
    assert made["png"].details["texts"] == [] and made["png"].details["icon"] == "coffee"
    assert Image.open(io.BytesIO(made["png"].data or b"")).size == (2100, 600)
    assert await judge(made["png"], bench, store_file) == []


@pytest.mark.parametrize("style", sorted(STYLES))
@pytest.mark.parametrize("kind", ["title_card", "slide", "closing"])
async def test_the_foot_stays_free_for_captions(bench: Bench, style: str, kind: str) -> None:
    params: dict[str, Any] = {**COPY, "kicker": "02", "kind": kind, "style": style, "brand": "Lumen Works"}
    texts = (await make(Layout(), bench, foot=0.22, **params))["png"].details["texts"]
    assert {text["role"] for text in texts} == {"kicker", "title", "subtitle", "brand"}
    assert all(text["box"][3] <= 720 * 0.78 and text["contrast"] >= 4.5 for text in texts)
    boxes = [text["box"] for text in texts]
    assert not [(a, b) for i, a in enumerate(boxes) for b in boxes[i + 1 :] if overlap(a, b)]


def overlap(a: list[int], b: list[int]) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


@pytest.mark.parametrize(
    ("style", "kind"), [("editorial", "slide"), ("geometric", "hero"), ("gradient", "social")]
)
async def test_pictures_pass_their_checks(bench: Bench, store_file: Any, style: str, kind: str) -> None:
    copy = {
        **COPY,
        "title": "Éclairez vos nuits, où que vous alliez",
        "subtitle": "Für lange Nächte. ¡Sin enchufe!",
    }
    made = await make(Layout(), bench, kind=kind, style=style, brand="Lumen Works", **copy)
    assert await judge(made["png"], bench, store_file) == []
    assert b"<text" not in (made["svg"].data or b"")  # glyphs are outlines: it looks the same everywhere


async def test_the_seed_decides_every_byte(bench: Bench) -> None:
    first, again, other = [
        await make(Layout(), bench, seed=seed, style="editorial", **COPY) for seed in (3, 3, 4)
    ]
    assert first["png"].data == again["png"].data and first["svg"].data == again["svg"].data
    assert first["png"].data != other["png"].data


async def test_long_words_shrink_and_too_much_is_refused(bench: Bench) -> None:
    title = "Donaudampfschifffahrtsgesellschaftskapitänsmützen für jede Gelegenheit und jedes Wetter"
    for style in STYLES:
        made = await make(Layout(), bench, style=style, kind="social", title=title)
        assert all(text["box"][2] <= 1080 for text in made["png"].details["texts"])
    with pytest.raises(InvalidValue, match="is too wide"):
        await make(Layout(), bench, width=200, height=120, title="X" * 200)


async def test_copy_comes_from_a_pointer_and_a_picture_fills_the_panel(bench: Bench, store_file: Any) -> None:
    board = {"scenes": [{"title": "First"}, {"title": "Second", "icon": "price", "bullets": ["One", "Two"]}]}
    copy = Part(port="copy", artifact=store_file(json.dumps(board), "application/json"))
    made = await make(
        Layout(), bench, copy, kind="slide", pointer="/scenes/1", title="Fallback", subtitle="Kept"
    )
    assert {"Second", "Kept", "One", "Two"} <= {text["text"] for text in made["png"].details["texts"]}
    assert made["png"].details["icon"] == "tag"
    with pytest.raises(EngineFailed, match="'7' does not exist"):
        await make(Layout(), bench, copy, pointer="/scenes/7")
    out = io.BytesIO()
    Image.new("RGB", (64, 64), "#ff00ff").save(out, "PNG")
    photo = Part(port="picture", artifact=store_file(out.getvalue(), "image/png"))
    made = await make(Layout(), bench, photo, style="editorial", title="With a photograph")
    corner = Image.open(io.BytesIO(made["png"].data or b"")).convert("RGB").crop((1480, 40, 1500, 60))
    red, green, _ = corner.resize((1, 1)).tobytes()
    assert red > 240 and green < 20


async def test_a_missing_title_and_a_wrong_colour_are_named(bench: Bench) -> None:
    with pytest.raises(InvalidValue, match="no title"):
        await make(Layout(), bench)
    with pytest.raises(InvalidValue, match="'teal' is not a colour"):
        await make(Layout(), bench, title="x", palette=["teal"])
    bench.cancelled.set()
    with pytest.raises(Cancelled):
        await make(Layout(), bench, title="x")


async def test_icons_fit_their_words_and_differ(bench: Bench, store_file: Any) -> None:
    words = ["charging", "two year warranty", "price", "bicycle", "repairable parts", "xyzzy"]
    made = await make(Icons(), bench, words=words, source="designed")
    assert list(made) == ["icon1", "icon2", "icon3", "icon4", "icon5", "icon6", "sheet", "variations"]
    facts = made["sheet"].details["icons"]
    assert [fact["icon"] for fact in facts] == [
        "battery-charging",
        "shield-check",
        "tag",
        "bike",
        "wrench",
        "",
    ]
    assert facts[5]["score"] == 0 and all(fact["contrast"] >= 4.5 for fact in facts)
    for port in list(made)[:-2]:
        assert (made[port].data or b"").startswith(b"<svg")
    assert await judge(made["sheet"], bench, store_file) == []
    same = await make(Icons(), bench, words=["price", "price tag"], source="designed")
    assert len({fact["icon"] for fact in same["sheet"].details["icons"]}) == 2
    ports = [port.name for port in Icons().outputs_for(IconsParams(words=("a", "b")))]
    assert ports == ["icon1", "icon2", "sheet", "variations"]


@pytest.mark.weights("text-icon")
@pytest.mark.weights("icon-svg")
@pytest.mark.weights("icon-pair")
async def test_icons_are_drawn_where_the_check_sees_what_they_shall_be(bench: Bench) -> None:
    made = await make(Icons(), bench, words=["cloud", "xyzzy"])
    cloud, letter = made["sheet"].details["icons"]
    assert cloud["drawn_by"] in ("text-icon", "icon-svg") and not cloud["near_copy"]
    assert 0 <= cloud["named_before_it"] < 3 and cloud["nearest"]["licence"]
    assert letter["drawn_by"] == "" and "nothing is known" in letter["why"]
    drawn, designed = (
        made["icon1"].data,
        (await make(Icons(), bench, words=["cloud"], source="designed"))["icon1"].data,
    )
    assert drawn != designed
    shown = Image.open(io.BytesIO(made["variations"].data or b""))
    assert shown.size == (made["variations"].details["width"], made["variations"].details["height"])


async def test_icons_need_enough_words(bench: Bench, store_file: Any) -> None:
    copy = Part(
        port="copy", artifact=store_file('{"items": [{"icon": "sun", "title": "Sonne"}]}', "application/json")
    )
    made = await make(Icons(), bench, copy, pointer="/items", count=1, source="designed")
    assert made["sheet"].details["icons"][0]["label"] == "Sonne"
    with pytest.raises(EngineFailed, match="3 icons are asked for, and there are words for 1"):
        await make(Icons(), bench, copy, pointer="/items")


@pytest.mark.parametrize("mark", ["bar", "line", "area", "point"])
async def test_charts_show_the_table_and_pass_their_checks(bench: Bench, store_file: Any, mark: str) -> None:
    table = Part(port="table", artifact=store_file(TABLE, "text/csv"))
    x = "Price" if mark == "point" else "Lantern"
    params: dict[str, Any] = {
        "mark": mark,
        "x": x,
        "y": ["Runtime"],
        "unit": "h",
        "title": "How long each lantern shines",
    }
    made = await make(Chart(), bench, table, **params)
    assert sorted(row["y"] for row in made["png"].details["data"]) == [14, 31, 48]
    assert await judge(made["png"], bench, store_file) == []
    assert b"<text" not in (made["svg"].data or b"")
    assert made["png"].data == (await make(Chart(), bench, table, **params))["png"].data


async def test_values_and_long_labels_can_be_read_in_a_bar_chart(bench: Bench, store_file: Any) -> None:
    table = Part(port="table", artifact=store_file(TABLE, "text/csv"))
    made = await make(Chart(), bench, table, x="Lantern", y=["Price"], unit="€", highlight="Lumen One")
    picture = Part(port="image", artifact=store_file(made["png"].data, "image/png"))
    read = json.loads((await make(READER, bench, picture))["text"].data or b"")["text"]
    for words in ("Trailbeam Pro Rechargeable", "59.50", "129", "149"):
        assert words in read


async def test_a_chart_names_the_column_that_is_wrong(bench: Bench, store_file: Any) -> None:
    table = Part(port="table", artifact=store_file(TABLE, "text/csv"))
    with pytest.raises(EngineFailed, match=r"no column 'Cost'; the table has 'Lantern', 'Runtime', 'Price'"):
        await make(Chart(), bench, table, x="Lantern", y=["Cost"])
    with pytest.raises(EngineFailed, match="'Lantern' is not numeric"):
        await make(Chart(), bench, table, x="Runtime", y=["Lantern"])
    with pytest.raises(EngineFailed, match="'Nova' is not in column 'Lantern'"):
        await make(Chart(), bench, table, x="Lantern", y=["Price"], highlight="Nova")


async def test_ocr_gives_places_in_pixels(bench: Bench, store_file: Any) -> None:
    made = await make(Layout(), bench, style="geometric", title="Two nights of light", kind="title_card")
    picture = Part(port="image", artifact=store_file(made["png"].data, "image/png"))
    first, again = [(await make(READER, bench, picture))["text"].data or b"" for _ in range(2)]
    assert first == again
    line = next(line for line in json.loads(first)["lines"] if "nights" in line["text"])
    box = next(text["box"] for text in made["png"].details["texts"] if text["role"] == "title")
    assert abs(line["box"][0][0] - box[0]) < 25 and line["confidence"] > 0.9
    broken = Part(port="image", artifact=store_file(b"no picture", "image/png"))
    with pytest.raises(EngineFailed, match="cannot be decoded"):
        await make(READER, bench, broken)


def test_the_catalog_pins_what_lies_in_the_cache(weights: Any) -> None:
    for model in ("inter-fonts", "display-fonts", "lucide-icons"):
        catalog = Path(__file__).parents[2] / "src/bottega/catalog/models" / f"{model}.toml"
        for file in tomllib.loads(catalog.read_text())["files"]:
            data = (weights(model) / file["path"]).read_bytes()
            assert (len(data), digest_bytes(data)) == (file["size"], file["sha256"])


async def test_a_repeated_idea_takes_its_icon_from_the_rest_of_the_copy(
    bench: Bench, store_file: Any
) -> None:
    features = [
        {"icon": "house", "title": "For every kitchen", "text": "It fits on a shelf."},
        {"icon": "house", "title": "Long warranty", "text": "Parts are kept for years."},
        {"icon": "house", "title": "Xyzzy", "text": "It runs quiet at night."},
    ]
    copy = Part(port="copy", artifact=store_file(json.dumps(features), "application/json"))
    made = await make(Icons(), bench, copy, count=3, source="designed")
    assert [fact["icon"] for fact in made["sheet"].details["icons"]] == [
        "house",
        "shield-check",
        "volume-off",
    ]


async def test_two_charts_of_one_process_have_the_same_bytes(bench: Bench, store_file: Any) -> None:
    table = Part(port="table", artifact=store_file(TABLE, "text/csv"))
    first, again = [
        (await make(Chart(), bench, table, x="Lantern", y=["Runtime"]))["svg"].data or b"" for _ in range(2)
    ]
    assert first == again
    used = set(re.findall(rb"url\(#([^)]+)\)", first))
    assert used and used <= set(re.findall(rb'\bid="([^"]+)"', first))
