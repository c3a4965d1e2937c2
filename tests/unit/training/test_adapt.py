"""Low-rank adaptation of runs and of checkpoints of Transformers: what is learnt, what is kept, what is refused."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.unit.training.conftest import squares

from bottega.core.errors import InvalidValue, NotFound
from bottega.service.training import Training
from bottega.training import checkpoint
from bottega.training.adapt import adapted_from
from bottega.training.data.base import load
from bottega.training.families.adapted import Adapted
from bottega.training.family import Wish
from bottega.training.recipe import Fit, Recipe
from bottega.training.runs import evaluate, open_run, sample, train

SHORT = Fit(steps=4, batch=4)


def test_a_run_learns_a_class_that_it_did_not_know(pictures: Path, tmp_path: Path) -> None:
    grey = tmp_path / "grey"
    shutil.copytree(pictures, grey)
    for label in ("bright", "dark"):
        for file in (pictures / label).iterdir():
            (grey / "grey").mkdir(exist_ok=True)
            shutil.copy(file, grey / "grey" / f"{label}-{file.name}")
    data = load(f"{grey}:-grey", tmp_path)
    assert data.labels == ("bright", "dark") and data.sizes == {"train": 108, "test": 12}
    model = {"width": 8, "steps": 2, "judged": 8}
    first = Recipe(id="first", family="flow", data=f"{grey}:-grey", fit=SHORT, model=model)
    train(first, tmp_path / "first", tmp_path, evaluates=False)
    wanted = adapted_from(tmp_path / "first", f"{grey}:grey@20", 2, SHORT, 0)
    report = train(wanted, tmp_path / "second", tmp_path)
    assert report.table is not None and [row.what[:5] for row in report.table.rows[-2:]] == ["befor", "after"]
    assert evaluate(tmp_path / "second", tmp_path).table == report.table
    run = open_run(tmp_path / "second")
    assert run.config.data.labels == ("bright", "dark", "grey") and run.config.data.sizes["train"] == 20
    assert [made.name for made in sample(run, Wish(count=1, prompt="grey"))] == ["000-grey.png"]
    kept = checkpoint.read(tmp_path / "second" / "train.safetensors")
    assert not [name for name in kept if name.endswith(".original")], "the frozen base is in the checkpoint"
    old, new = (checkpoint.read(tmp_path / name / "model.safetensors") for name in ("first", "second"))
    assert old.keys() == new.keys() and new["net.velocity.word.weight"].shape[0] == 4
    again = adapted_from(
        tmp_path / "second", f"{grey}:grey@20", 2, SHORT, 0
    )  # an adapted run is a run like others
    assert again.model["family"] == "flow" and again.model["labels"] == ["bright", "dark", "grey"]
    (tmp_path / "first" / "model.safetensors").unlink()
    assert sample(open_run(tmp_path / "second"), Wish(count=1))  # it needs its base no longer
    with pytest.raises(InvalidValue, match="gone or has changed"):
        evaluate(tmp_path / "second", tmp_path)


def test_what_cannot_be_adapted_is_refused(
    teacher: Path, base: Path, text: Path, pictures: Path, recipe: Callable[..., Recipe], tmp_path: Path
) -> None:
    for begun, data, match in ((teacher, text, "no bags and images"), (base, pictures, "no tokens")):
        with pytest.raises(InvalidValue, match=match):
            train(adapted_from(begun, str(data), 2, SHORT, 0), tmp_path / "a", tmp_path)
    larger = tmp_path / "larger"
    squares(larger, 12)
    with pytest.raises(InvalidValue, match="side = 8, these data have 12"):
        train(adapted_from(teacher, str(larger), 2, SHORT, 0), tmp_path / "a", tmp_path)
    with pytest.raises(InvalidValue, match="no label 'black'"):
        load(f"{pictures}:black", tmp_path)
    with pytest.raises(InvalidValue, match="no part"):
        load(f"{pictures}:dark@many", tmp_path)
    with pytest.raises(NotFound, match="not a run folder"):
        adapted_from(tmp_path, str(text), 2, SHORT, 0)
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(NotFound, match="no safetensors"):
        adapted_from(tmp_path, str(text), 2, SHORT, 0)
    train(recipe("grpo", steps=1), tmp_path / "grpo", tmp_path, evaluates=False)
    with pytest.raises(InvalidValue, match="base of its own"):
        adapted_from(tmp_path / "grpo", str(text), 2, SHORT, 0)
    assert not (tmp_path / "a").exists()


def test_a_checkpoint_learns_and_comes_out_merged(saved: Path, answered: Path, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    out = tmp_path / "run"
    report = Training(tmp_path, 1).adapt(saved, out, data=str(answered), rank=4, steps=60, batch=8, rate=2e-2)
    assert report.table is not None
    before, after = (row.values["bits"] for row in report.table.rows[-2:])
    assert after < before - 1
    family = open_run(out).family
    assert not isinstance(family, Adapted)
    model: Any = AutoModelForCausalLM
    read, first = (model.from_pretrained(folder, local_files_only=True) for folder in (out / "merged", saved))
    tokens = torch.tensor([[5, 6, 7]])
    ours = open_run(out).nets["model"](input_ids=tokens).logits
    assert torch.allclose(read(input_ids=tokens).logits, ours, atol=1e-5)
    assert not torch.allclose(first(input_ids=tokens).logits, ours, atol=1e-2)
    assert (out / "merged" / "tokenizer.json").read_bytes() == (saved / "tokenizer.json").read_bytes()
    assert read.get_input_embeddings().weight.equal(first.get_input_embeddings().weight)
    moved = shutil.copytree(saved, tmp_path / "moved")
    wanted = adapted_from(moved, str(answered), 4, SHORT, 0)
    shutil.copy(out / "model.safetensors", moved / "model.safetensors")
    with pytest.raises(InvalidValue, match="gone or has changed"):
        train(wanted, tmp_path / "b", tmp_path, evaluates=False)
