"""The text-to-image engine on a tiny pipeline with random weights, built here."""

import io
import json
import struct
from pathlib import Path
from typing import Any

import diffusers
import pytest
import torch
import transformers
from PIL import Image as Pictures

from bottega.core.errors import Cancelled, EngineFailed
from bottega.core.request import Finished, Progress, Request
from bottega.engines.base import Bench
from bottega.engines.image import Image

PARAMS = {"prompt": "a lamp on a hill", "width": 64, "height": 64, "steps": 3}


def build(folder: Path) -> Path:
    """A Stable Diffusion pipeline of about a hundred thousand weights."""
    torch.manual_seed(0)
    made: Any = diffusers
    words: Any = transformers
    unet = made.UNet2DConditionModel(
        sample_size=8, in_channels=4, out_channels=4, layers_per_block=1, block_out_channels=(8, 16), norm_num_groups=4,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"), up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=16, attention_head_dim=4,
    )  # fmt: skip
    vae = made.AutoencoderKL(
        block_out_channels=(8, 8, 8, 8), latent_channels=4, norm_num_groups=4, sample_size=64,
        down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4,
    )  # fmt: skip
    config = words.CLIPTextConfig(
        hidden_size=16, intermediate_size=32, num_attention_heads=2, num_hidden_layers=2, vocab_size=64,
        max_position_embeddings=16, bos_token_id=0, eos_token_id=1, pad_token_id=1,
    )  # fmt: skip
    letters = [chr(code) for code in range(97, 123)]
    vocabulary = {"<|startoftext|>": 0, "<|endoftext|>": 1}
    for letter in letters:
        vocabulary[letter] = len(vocabulary)
        vocabulary[f"{letter}</w>"] = len(vocabulary)
    folder.mkdir(parents=True)
    (folder / "vocab.json").write_text(json.dumps(vocabulary))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    tokenizer = words.CLIPTokenizer(
        str(folder / "vocab.json"), str(folder / "merges.txt"), model_max_length=16
    )
    pipeline = made.StableDiffusionPipeline(
        vae=vae, text_encoder=words.CLIPTextModel(config), tokenizer=tokenizer, unet=unet,
        scheduler=made.DDIMScheduler(beta_schedule="scaled_linear", clip_sample=False, set_alpha_to_one=False, steps_offset=1),
        safety_checker=None, feature_extractor=None, requires_safety_checker=False,
    )  # fmt: skip
    pipeline.save_pretrained(str(folder), safe_serialization=True)
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("models") / "tiny")


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
    pickled = build(tmp_path / "pickled")
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
