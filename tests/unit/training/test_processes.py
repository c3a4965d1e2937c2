"""Two processes share a run and end where one does."""

from collections.abc import Callable
from pathlib import Path

import pytest

from bottega.core.errors import InvalidValue
from bottega.training.recipe import Recipe
from bottega.training.runs import train


def test_two_processes_end_in_the_bytes_of_one(recipe: Callable[..., Recipe], tmp_path: Path) -> None:
    wanted = recipe("flow", steps=4, fit__shards=2, fit__save_every=2)
    one, two = tmp_path / "one", tmp_path / "two"
    train(wanted, one, tmp_path, evaluates=False)
    train(wanted, two, tmp_path, processes=2, evaluates=False)
    for name in ("train.safetensors", "model.safetensors", "metrics.jsonl"):
        assert (one / name).read_bytes() == (two / name).read_bytes(), name
    whole = tmp_path / "whole"
    train(recipe("flow", steps=4), whole, tmp_path, evaluates=False)
    assert (whole / "model.safetensors").read_bytes() != (one / "model.safetensors").read_bytes()


def test_shards_must_divide_the_batch_and_suffice_for_the_processes(
    recipe: Callable[..., Recipe], tmp_path: Path
) -> None:
    with pytest.raises(InvalidValue, match="in 3 shards"):
        train(recipe("lm", fit__shards=3), tmp_path / "three", tmp_path)
    with pytest.raises(InvalidValue, match="in 2 shards"):
        train(recipe("vq", fit__shards=2), tmp_path / "vq", tmp_path)
    with pytest.raises(InvalidValue, match="1 shards for 2 processes"):
        train(recipe("lm"), tmp_path / "one", tmp_path, processes=2)
