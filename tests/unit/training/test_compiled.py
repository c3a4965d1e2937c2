"""Networks that torch.compile has turned into kernels learn what they learn without it."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from bottega.core.errors import InvalidValue
from bottega.training.checkpoint import read
from bottega.training.recipe import Recipe
from bottega.training.runs import train


@pytest.mark.filterwarnings("ignore")  # torch warns while it compiles
@pytest.mark.parametrize("family", ("flow", "lm"))
def test_compiled_networks_learn_the_same(family: str, recipe: Callable[..., Recipe], tmp_path: Path) -> None:
    plain = recipe(family, steps=3)
    compiled = plain.model_copy(update={"fit": plain.fit.model_copy(update={"compiled": True})})
    for name, wanted in (("plain", plain), ("compiled", compiled)):
        train(wanted, tmp_path / name, tmp_path, evaluates=False)
    first, second = (read(tmp_path / name / "model.safetensors") for name in ("plain", "compiled"))
    assert first.keys() == second.keys()
    assert all(torch.allclose(first[key], second[key], atol=1e-3) for key in first)


def test_a_family_that_cannot_be_compiled_is_refused(recipe: Callable[..., Recipe], tmp_path: Path) -> None:
    with pytest.raises(InvalidValue, match="gradients of gradients"):
        train(recipe("gan", steps=3, fit__compiled=True), tmp_path / "run", tmp_path, evaluates=False)
    assert not (tmp_path / "run").exists()
