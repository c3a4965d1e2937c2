"""Weights in fewer bytes: close to what they were, in the bytes that were promised; and a run that uses them."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bottega.core.errors import NotFound
from bottega.networks.compress import fill, prune, quantise, restore
from bottega.networks.noise import key
from bottega.training.compress import FILES, WAYS, compress, open_compressed
from bottega.training.family import FAMILIES, Wish, family_type
from bottega.training.recipe import Recipe
from bottega.training.runs import open_run, sample, train


@given(st.sampled_from([8, 4, 2]), st.sampled_from([0, 16]), st.integers(1, 70), st.integers(0, 99))
def test_a_weight_comes_back_within_half_a_step(bits: int, group: int, wide: int, seed: int) -> None:
    weight = torch.randn(3, wide, generator=key(seed))
    packed, scales = quantise(weight, bits, group)
    again = restore(packed, scales, bits, (3, wide))
    step = weight.abs().amax() / (2 ** (bits - 1) - 1)
    assert float((again - weight).abs().max()) <= float(step) * 0.51 + 1e-6
    assert packed.shape[1] * 8 >= wide * bits and packed.dtype == torch.uint8


def test_a_convolution_keeps_its_shape_and_sign() -> None:
    weight = torch.randn(4, 3, 3, 3, generator=key(0))
    packed, scales = quantise(weight, 4, 16)
    again = restore(packed, scales, 4, tuple(weight.shape))
    large = weight.abs() > 0.5
    assert again.shape == weight.shape and bool((again.sign() == weight.sign())[large].all())


def test_two_of_four_keeps_the_largest_and_nothing_else() -> None:
    weight = torch.randn(8, 10, generator=key(1))
    again = fill(*prune(weight, 2, 4), 4, (8, 10))
    before, after = weight[:, :8].reshape(-1, 4), again[:, :8].reshape(-1, 4)
    kept = after != 0
    assert bool((kept.sum(1) == 2).all()) and torch.allclose(after[kept], before[kept], atol=2e-3)
    assert bool((before.abs()[kept].view(-1, 2).amin(1) >= before.abs()[~kept].view(-1, 2).amax(1)).all())


def test_a_run_is_compressed_measured_and_sampled(recipe: Callable[..., Recipe], tmp_path: Path) -> None:
    run = tmp_path / "run"
    train(recipe("lm", steps=30), run, tmp_path)
    with pytest.raises(NotFound, match="int4"):
        open_compressed(run, "int4")
    table = compress(run, tmp_path, 1, lambda text: None)
    assert [row.kind for row in table.rows] == ["original", *WAYS, *FILES]
    assert all(row.values["ms"] > 0 for row in table.rows)
    bits = {row.kind: row.values["bits"] for row in table.rows}
    assert abs(bits["int8"] - bits["original"]) < 0.01 < abs(bits["int2"] - bits["original"])
    assert (
        bits["onnx"] == pytest.approx(bits["original"], abs=1e-4)
        and abs(bits["onnx-int8"] - bits["onnx"]) < 0.3
    )
    assert "int4" in (run / "compressed" / "README.md").read_text()
    sizes = [(run / "compressed" / f"{name}.safetensors").stat().st_size for name in ("int8", "int4", "int2")]
    assert sizes == sorted(sizes, reverse=True) and sizes[0] < (run / "model.safetensors").stat().st_size / 2
    wish = Wish(count=1, length=40)
    assert sample(open_compressed(run, "int4"), wish) != sample(open_run(run), wish)


@pytest.mark.parametrize("family", [name for name in FAMILIES if family_type(name).exported])
def test_a_family_is_measured_by_what_its_onnx_files_say(
    family: str, recipe: Callable[..., Recipe], tmp_path: Path
) -> None:
    run = tmp_path / "run"
    train(recipe(family, steps=8), run, tmp_path, evaluates=False)
    rows = {row.kind: row for row in compress(run, tmp_path, 1, lambda text: None).rows}
    exact, same, rough = (
        {name: value for name, value in rows[kind].values.items() if name not in ("kB", "ms")}
        for kind in ("original", "onnx", "onnx-int8")
    )
    assert same == pytest.approx(exact, rel=1e-2, abs=1e-2)
    assert exact.keys() == rough.keys() and rough != exact
