"""The pictogram engine with the weights that ship."""

import io
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from bottega.catalog.sources import WEIGHTS
from bottega.core.errors import EngineFailed
from bottega.core.request import Finished, Request
from bottega.engines.base import Bench
from bottega.engines.pictogram.copies import NEAR
from bottega.engines.pictogram.engine import MODEL, Pictogram
from bottega.engines.pictogram.model import Pictures


@pytest.fixture(scope="module")
def engine() -> Pictogram:
    return Pictogram()


async def made(engine: Pictogram, bench: Bench, seed: int = 1, **params: Any) -> dict[str, Finished]:
    place = replace(bench, weights=lambda model: WEIGHTS / model)
    request = Request(engine="pictogram", params=params, seed=seed)
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
    with pytest.raises(EngineFailed, match="nothing that this model can draw"):
        await made(engine, bench, prompt="a quiet zeppelin")


def test_the_tower_of_likeness_tells_things_apart() -> None:
    model = Pictures(WEIGHTS / MODEL, 1)
    things = ("home", "umbrella", "lock", "clock")
    bags = [model.bag(thing, "") for thing in things]
    drawn = [model.drawn(bag, [(n, i) for i in range(4)], 8, 3.0) for n, bag in enumerate(bags)]
    best = [max(range(4), key=lambda n, inks=inks: model.likeness(inks, bags[n]).mean()) for inks in drawn]
    assert np.mean([n == found for n, found in enumerate(best)]) >= 0.75
