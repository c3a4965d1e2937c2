"""The engines that draw, with the weights that ship."""

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from bottega.catalog.sources import WEIGHTS
from bottega.core.errors import InvalidValue, NotFound
from bottega.core.request import Finished, Request
from bottega.drawing.copies import NEAR
from bottega.drawing.words import asked
from bottega.engines.base import Bench
from bottega.engines.drawing.engine import DrawingEngine
from bottega.engines.likeness import Likeness
from bottega.engines.pictogram.engine import MODEL, Pictogram
from bottega.engines.pictogram.model import Pictures
from bottega.engines.plain_things import drawer
from bottega.engines.variations import PAIR, VariationsEngine


@pytest.fixture(scope="module")
def engine() -> Pictogram:
    return Pictogram()


async def made(engine: VariationsEngine, bench: Bench, seed: int = 1, **params: Any) -> dict[str, Finished]:
    def shipped(model: str) -> Path:
        return WEIGHTS / model

    place = replace(bench, weights=shipped)
    request = Request(engine=engine.card.id, params=params, seed=seed)
    outputs = [each async for each in engine.generate(request, place) if isinstance(each, Finished)]
    return {each.port: each for each in outputs}


async def test_a_sheet_of_variations_of_the_asked_size_and_colours(engine: Pictogram, bench: Bench) -> None:
    found = await made(
        engine,
        bench,
        prompt="a solid umbrella",
        count=4,
        width=400,
        height=200,
        ink="#103050",
        paper="#fff4e0",
    )
    assert set(found) == {"png", "svg1", "svg2", "svg3", "svg4"}
    details = found["png"].details
    assert details["style"] == "solid" and details["understood"] == ["umbrella"]
    fits = [each["likeness"] for each in details["pictures"] if not each["near_copy"]]
    assert fits == sorted(fits, reverse=True)
    for each in details["pictures"]:
        assert each["near_copy"] == (each["nearest"]["overlap"] >= NEAR) and each["nearest"]["licence"]
    assert found["png"].data is not None
    picture = Image.open(io.BytesIO(found["png"].data)).convert("RGB")
    assert picture.size == (400, 200)
    colours = {colour for _, colour in picture.getcolors(100_000) or []}
    assert {(0x10, 0x30, 0x50), (0xFF, 0xF4, 0xE0)} <= colours


async def test_other_seeds_draw_other_pictures(engine: Pictogram, bench: Bench) -> None:
    one, again, other = [await made(engine, bench, seed, prompt="home", tries=1) for seed in (1, 1, 2)]
    assert one["svg1"].data == again["svg1"].data != other["svg1"].data


async def test_what_it_cannot_draw_is_refused_with_what_it_can(engine: Pictogram, bench: Bench) -> None:
    for each in (engine, DrawingEngine()):
        with pytest.raises(InvalidValue, match="no word of 'a quiet zeppelin' is known"):
            await made(each, bench, prompt="a quiet zeppelin")


async def test_drawings_are_plain_shapes_in_the_colour_around_them(bench: Bench) -> None:
    found = await made(DrawingEngine(), bench, prompt="a filled cloud, please", count=2, tries=2)
    assert set(found) == {"png", "svg1", "svg2"}
    details = found["png"].details
    assert (details["style"], details["understood"]) == ("filled", ["cloud"])
    assert details["passed_over"] == ["a", "please"]
    svg = (found["svg1"].data or b"").decode()
    assert "currentColor" in svg and "<script" not in svg and "<image" not in svg


def test_a_plain_thing_goes_to_the_model_that_knows_it_and_nothing_else_does() -> None:
    def shipped(model: str) -> Path:
        return WEIGHTS / model

    def nothing(model: str) -> Path:
        raise NotFound(f"no {model}")

    assert drawer("a solid umbrella", shipped) == ("pictogram", "solid umbrella")
    assert drawer("filled briefcase", shipped) == ("drawing", "filled briefcase")
    for words in ("Spring sale, 20 % off", "a quiet zeppelin", "a cat under an umbrella"):
        assert drawer(words, shipped) is None
    assert drawer("a solid umbrella", nothing) is None


def test_the_tower_of_likeness_tells_things_apart() -> None:
    model, pair = Pictures(WEIGHTS / MODEL, 1), Likeness(WEIGHTS / PAIR, 1)
    things = ("home", "umbrella", "lock", "clock")
    bags = [asked(thing, model.labels).prompt for thing in things]
    drawn = [model.drawn(bag, [(n, i) for i in range(4)], 8, 3.0) for n, bag in enumerate(bags)]
    best = [max(range(4), key=lambda n, inks=inks: pair.of(inks, [things[n]]).mean()) for inks in drawn]
    places = [
        min(pair.place(ink, [thing]) for ink in inks) for inks, thing in zip(drawn, things, strict=True)
    ]
    assert sum(place < 10 for place in places) >= 3
    assert pair.place(np.zeros((32, 32), np.float32), ["xyzzy"]) == -1
    assert np.mean([n == found for n, found in enumerate(best)]) >= 0.75
