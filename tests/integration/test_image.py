"""The text-to-image engine on a tiny pipeline with random weights, built here."""

import io
import struct
from pathlib import Path
from typing import Any

import pytest
from PIL import Image as Pictures
from tests.text_to_image import stable_diffusion

from bottega.core.errors import Cancelled, EngineFailed
from bottega.core.request import Finished, Progress, Request
from bottega.engines.base import Bench
from bottega.engines.image import Image

PARAMS = {"prompt": "a lamp on a hill", "width": 64, "height": 64, "steps": 3}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return stable_diffusion(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture
def local(bench: Bench, folder: Path) -> Bench:
    return Bench(scratch=bench.scratch, locate=bench.locate, weights=lambda _: folder)


async def draw(engine: Image, bench: Bench, seed: int, **more: Any) -> bytes:
    request = Request(engine="image", model="tiny", params={**PARAMS, **more}, seed=seed)
    made = [out async for out in engine.generate(request, bench) if isinstance(out, Finished)]
    assert made[0].details["width"] == 64
    return made[0].data or b""


async def test_the_seed_and_the_words_decide_the_picture(local: Bench) -> None:
    engine = Image()
    first = await draw(engine, local, 1)
    assert Pictures.open(io.BytesIO(first)).size == (64, 64)
    assert await draw(engine, local, 1) == first
    assert await draw(Image(), local, 1) == first
    assert await draw(engine, local, 2) != first
    assert await draw(engine, local, 1, prompt="quiet sea") != first
    assert await draw(engine, local, 1, negative_prompt="hill") != first


async def test_every_step_reports_and_a_stop_is_heard_within_one(local: Bench) -> None:
    request = Request(engine="image", model="tiny", params={**PARAMS, "steps": 30}, seed=1)
    seen: list[float] = []
    with pytest.raises(Cancelled):
        async for out in Image().generate(request, local):
            if isinstance(out, Progress):
                seen.append(out.fraction)
                local.cancelled.set()
    assert 1 <= len(seen) < 30 and seen[0] == pytest.approx(1 / 30)


async def test_weights_that_are_no_safetensors_are_refused(
    bench: Bench, folder: Path, tmp_path: Path
) -> None:
    pickled = stable_diffusion(tmp_path / "pickled")
    for weights in pickled.rglob("*.safetensors"):
        weights.write_bytes(struct.pack("<Q", 3) + b"bad")
    local = Bench(scratch=bench.scratch, locate=bench.locate, weights=lambda _: pickled)
    with pytest.raises(EngineFailed, match="does not load"):
        await draw(Image(), local, 1)
    for weights in pickled.rglob("*.safetensors"):
        weights.rename(weights.with_suffix(".bin"))
    with pytest.raises(EngineFailed, match="does not load"):
        await draw(Image(), local, 1)


async def test_a_model_must_be_named_and_be_a_pipeline(bench: Bench, tmp_path: Path) -> None:
    with pytest.raises(EngineFailed, match="no model is named"):
        await anext(Image().generate(Request(engine="image", params=PARAMS), bench))
    local = Bench(scratch=bench.scratch, locate=bench.locate, weights=lambda _: tmp_path)
    with pytest.raises(EngineFailed, match="not a diffusers folder"):
        await draw(Image(), local, 1)
