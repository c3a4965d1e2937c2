"""Low-rank adaptation of text-to-image checkpoints of Diffusers: what is learnt, what runs it, what is refused."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image as Pictures
from tests.text_to_image import stable_diffusion, stable_diffusion_3
from tests.unit.training.conftest import squares

from bottega.core.errors import InvalidValue
from bottega.core.request import Finished, Request
from bottega.engines.base import Bench
from bottega.engines.image import Image
from bottega.networks.noise import key
from bottega.service.training import Training
from bottega.training import adapters, checkpoint
from bottega.training.data.base import load
from bottega.training.families.checkpoint_pictures import CheckpointPictures
from bottega.training.runs import open_run

PREDICTIONS = ("epsilon", "v_prediction", "sample", "flow")


@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_the_target_is_the_checkpoints_own(prediction: str, larger: Path, tmp_path: Path) -> None:
    """With it the scheduler's own arithmetic finds the latents again."""
    folder = (
        stable_diffusion_3(tmp_path / "tiny")
        if prediction == "flow"
        else stable_diffusion(tmp_path / "tiny", prediction, 1)
    )
    out = tmp_path / "run"
    Training(tmp_path, 1).adapt(folder, out, data=str(larger), rank=4, steps=40, batch=8, rate=1e-2)
    run = open_run(out)
    family = run.family
    assert isinstance(family, CheckpointPictures)
    latents = torch.randn(6, 4, 8, 8)
    mixed, times, target = family.noised(latents, key(0))
    scheduler = family.pipeline.scheduler
    if prediction == "flow":
        found = mixed - (times / 1000).view(-1, 1, 1, 1) * target
        assert torch.allclose(found, latents, atol=1e-5)
    else:
        scheduler.set_timesteps(1000)
        for one, time, wanted, latent in zip(mixed, times, target, latents, strict=True):
            found = scheduler.step(wanted[None], int(time), one[None]).pred_original_sample
            assert torch.allclose(found[0], latent, atol=1e-2)
    data, base = load(str(larger), tmp_path), family.nets()
    family.before(base)
    with torch.no_grad():
        before, after = (family.validate(nets, data, key(1)) for nets in (base, run.nets))
    assert before is not None and after is not None and after < 0.95 * before
    learnt = adapters.learnt(checkpoint.read(out / "train.safetensors"), "denoiser")
    assert learnt and all(".attn" in name for name in learnt)


@pytest.mark.parametrize("straight", [False, True])
async def test_the_engine_runs_what_comes_out(
    straight: bool, pipeline: Path, larger: Path, bench: Bench, tmp_path: Path
) -> None:
    pipeline = stable_diffusion_3(tmp_path / "straight") if straight else pipeline
    out = tmp_path / "run"
    report = Training(tmp_path, 1).adapt(
        pipeline, out, data=str(larger), rank=4, steps=20, batch=8, rate=1e-2
    )
    assert report.table is not None
    assert [row.what.partition(":")[0] for row in report.table.rows[-2:]] == ["before", "after, rank 4"]
    drawn: list[bytes] = []
    for folder in (pipeline, out / "merged"):
        local = Bench(scratch=bench.scratch, locate=bench.locate, weights=lambda _, it=folder: it)
        params = {"prompt": "dark", "width": 16, "height": 16, "steps": 3}
        request = Request(engine="image", model="tiny", params=params, seed=1)
        made = [each async for each in Image().generate(request, local) if isinstance(each, Finished)]
        drawn.append(made[0].data or b"")
    assert drawn[0] != drawn[1]
    with Pictures.open(out / "samples" / "grid.png") as grid:
        assert grid.size == (36, 36)


def test_diffusers_reads_the_adapter_and_draws_the_same(pipeline: Path, larger: Path, tmp_path: Path) -> None:
    pytest.importorskip("peft", reason="pip install peft")
    import diffusers

    made: Any = diffusers
    out = tmp_path / "run"
    Training(tmp_path, 1).adapt(pipeline, out, data=str(larger), rank=4, steps=20, batch=8, rate=1e-2)
    base, merged = (made.DiffusionPipeline.from_pretrained(str(each)) for each in (pipeline, out / "merged"))
    inputs = (torch.randn(2, 4, 8, 8), torch.tensor([3, 700]), torch.randn(2, 16, 16))
    with torch.no_grad():
        before = base.unet(*inputs).sample
        base.load_lora_weights(str(out / "adapter"))
        assert torch.allclose(base.unet(*inputs).sample, merged.unet(*inputs).sample, atol=1e-4)
    assert not torch.allclose(before, merged.unet(*inputs).sample, atol=1e-3)


def test_what_cannot_be_adapted_is_refused(pipeline: Path, larger: Path, text: Path, tmp_path: Path) -> None:
    training, out = Training(tmp_path, 1), tmp_path / "run"
    odd = squares(tmp_path / "odd", 12)
    eighth = stable_diffusion(tmp_path / "eighth", halvings=3)
    cut, other = (shutil.copytree(pipeline, tmp_path / name) for name in ("cut", "other"))
    (cut / "unet" / "config.json").unlink()
    index = json.loads((other / "model_index.json").read_text())
    (other / "model_index.json").write_text(json.dumps({**index, "_class_name": "AudioLDMPipeline"}))
    cases: tuple[tuple[Path, Path, dict[str, Any], str], ...] = (
        (pipeline, text, {}, "no bags and images"),
        (eighth, odd, {}, "pictures of 12 pixels"),
        (cut, larger, {}, "not a text-to-image checkpoint"),
        (other, larger, {}, "a AudioLDMPipeline is none of"),
        (pipeline, larger, {"modules": ("*.to_w",)}, "none of the layers"),
        (pipeline, larger, {"reward": "answer"}, "reward"),
    )
    for folder, data, ways, match in cases:
        with pytest.raises(InvalidValue, match=match):
            training.adapt(folder, out, data=str(data), **ways)
    assert not out.exists()
