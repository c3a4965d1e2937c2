"""A run that was killed ends in the same bytes as one that was not: for every family."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from bottega.core.errors import InvalidValue
from bottega.training.family import FAMILIES
from bottega.training.folder import RunFolder
from bottega.training.recipe import Recipe
from bottega.training.runs import train

KILLED = """
import os, signal, sys
from pathlib import Path
from bottega.training.folder import RunFolder
from bottega.training.recipe import Recipe
from bottega.training.runs import Watch, train

def dies(progress):
    if progress.step == 10:  # two steps and a line of the metrics after the last checkpoint
        os.kill(os.getpid(), signal.SIGKILL)

train(Recipe.model_validate_json(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), watch=Watch(moves=dies))
"""


@pytest.mark.parametrize("family", FAMILIES)
def test_kill_and_resume_is_byte_identical(
    family: str, recipe: Callable[..., Recipe], tmp_path: Path
) -> None:
    wanted = recipe(family, steps=12)
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    train(wanted, whole, tmp_path, evaluates=False)
    words = [sys.executable, "-c", KILLED, wanted.model_dump_json(), str(broken), str(tmp_path)]
    assert subprocess.run(words, check=False).returncode == -9
    assert not (broken / "model.safetensors").exists()
    with pytest.raises(InvalidValue, match="not empty"):
        train(wanted, broken, tmp_path)
    before = RunFolder(broken).spent
    report = train(wanted, broken, tmp_path, resume=True, evaluates=False)
    assert report.cpu_seconds > before > 0
    for name in ("train.safetensors", "model.safetensors", "metrics.jsonl"):
        assert (whole / name).read_bytes() == (broken / name).read_bytes(), name
    other = tmp_path / "other"
    train(recipe(family, steps=2, seed=1), other, tmp_path, evaluates=False)
    assert (other / "model.safetensors").read_bytes() != (whole / "model.safetensors").read_bytes()


def test_it_stops_early_and_a_resumption_does_not_go_on(
    recipe: Callable[..., Recipe], tmp_path: Path
) -> None:
    wild = recipe("lm", steps=200, fit__rate=0.5, fit__validate_every=2, fit__patience=2)
    report = train(wild, tmp_path / "run", tmp_path, evaluates=False)
    assert report.step < 200 and report.ended == "no better validation in 2 tries"
    before = (tmp_path / "run" / "train.safetensors").read_bytes()
    again = train(wild, tmp_path / "run", tmp_path, resume=True, evaluates=False)
    assert again.ended == report.ended and (tmp_path / "run" / "train.safetensors").read_bytes() == before
