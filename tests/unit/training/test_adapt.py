"""Low-rank adaptation of runs and of checkpoints of Transformers: what is learnt, what is kept, what is refused."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.unit.training.conftest import llama, squares
from transformers import GPT2Config, GPT2LMHeadModel

from bottega.core.errors import InvalidValue, NotFound
from bottega.service.training import Training
from bottega.training import adapters, checkpoint
from bottega.training.adapt import adapted_from
from bottega.training.data.base import load
from bottega.training.families.adapted import Adapted
from bottega.training.families.checkpoint_answers import CheckpointDpo
from bottega.training.family import Wish, family_for
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
    wanted = adapted_from(tmp_path / "first", f"{grey}:grey@20", 2, SHORT, 0, tmp_path)
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
        tmp_path / "second", f"{grey}:grey@20", 2, SHORT, 0, tmp_path
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
            train(adapted_from(begun, str(data), 2, SHORT, 0, tmp_path), tmp_path / "a", tmp_path)
    larger = tmp_path / "larger"
    squares(larger, 12)
    with pytest.raises(InvalidValue, match="side = 8, these data have 12"):
        train(adapted_from(teacher, str(larger), 2, SHORT, 0, tmp_path), tmp_path / "a", tmp_path)
    with pytest.raises(InvalidValue, match="no label 'black'"):
        load(f"{pictures}:black", tmp_path)
    with pytest.raises(InvalidValue, match="no part"):
        load(f"{pictures}:dark@many", tmp_path)
    with pytest.raises(NotFound, match="not a run folder"):
        adapted_from(tmp_path, str(text), 2, SHORT, 0, tmp_path)
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(NotFound, match="no safetensors"):
        adapted_from(tmp_path, str(text), 2, SHORT, 0, tmp_path)
    train(recipe("grpo", steps=1), tmp_path / "grpo", tmp_path, evaluates=False)
    with pytest.raises(InvalidValue, match="base of its own"):
        adapted_from(tmp_path / "grpo", str(text), 2, SHORT, 0, tmp_path)
    assert not (tmp_path / "a").exists()


def records(file: Path, rows: list[tuple[str, ...]]) -> str:
    """JSON lines of prompts, answers and, where there are, unwanted ones."""
    names = ("prompt", "answer", "rejected")
    file.write_text("".join(json.dumps(dict(zip(names, row, strict=False))) + "\n" for row in rows))
    return str(file)


SUMS = [(f"{a}+{b}=", str(a + b)) for a in range(10) for b in range(10)]


def test_a_checkpoint_learns_and_comes_out_merged(saved: Path, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    answered = records(tmp_path / "sums.jsonl", SUMS)
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
    wanted = adapted_from(moved, str(answered), 4, SHORT, 0, tmp_path)
    shutil.copy(out / "model.safetensors", moved / "model.safetensors")
    with pytest.raises(InvalidValue, match="gone or has changed"):
        train(wanted, tmp_path / "b", tmp_path, evaluates=False)


def test_a_checkpoint_prefers_what_the_pairs_prefer(saved: Path, tmp_path: Path) -> None:
    pairs = records(tmp_path / "pairs.jsonl", [(prompt, "yes", "no") for prompt, _ in SUMS])
    out = tmp_path / "run"
    report = Training(tmp_path, 1).adapt(
        saved, out, data=pairs, rank=4, steps=20, batch=8, rate=2e-2, beta=0.2
    )
    run = open_run(out)
    assert run.config.recipe.family == "checkpoint-dpo" and run.config.recipe.model["beta"] == 0.2
    assert report.table is not None
    before, after = (row.values["preferred"] for row in report.table.rows[-2:])
    assert before < 0.9 and after == 1
    first = run.folder.metrics()[0]["preference"]
    assert run.folder.metrics()[-1]["preference"] < first / 2
    assert (out / "samples" / "answers.txt").read_bytes().startswith(b"0+9=")


def test_the_reference_is_the_network_without_what_it_has_learnt(saved: Path, tmp_path: Path) -> None:
    pairs = records(tmp_path / "pairs.jsonl", [(prompt, "yes", "no") for prompt, _ in SUMS])
    wanted = adapted_from(saved, pairs, 2, SHORT, 0, tmp_path)
    family = family_for(wanted, load(pairs, tmp_path))
    assert isinstance(family, CheckpointDpo)
    nets, tokens = family.nets(), torch.randint(256, (2, 7))
    family.start(nets)
    for name, parameter in nets["model"].named_parameters():
        if name.endswith(".up"):
            torch.nn.init.ones_(parameter)
    with torch.no_grad():
        base, now = family.logps(family.base_net(), tokens), family.logps(nets["model"], tokens)
    assert torch.allclose(family.known(nets, tokens), base, atol=1e-5)
    assert not torch.allclose(now, base, atol=1e-2)


def test_a_checkpoint_says_more_often_what_is_rewarded(taught: Path, agreed: Path, tmp_path: Path) -> None:
    how: dict[str, Any] = {"data": str(agreed), "rank": 4, "steps": 30, "batch": 8, "rate": 2e-2}
    out = tmp_path / "run"
    report = Training(tmp_path, 1).adapt(taught, out, **how, reward="answer", group=8, length=3)
    assert report.table is not None
    before, after = (row.values["sampled"] for row in report.table.rows[-2:])
    assert 0.1 < before < 0.9 and after == 1
    card = (out / "README.md").read_text()
    assert "--reward answer --group 8 --length 3" in card and "| real against real |" in card


def layers_learnt(run: Path) -> set[str]:
    """The layers that a run of a checkpoint has sums over."""
    return set(adapters.learnt(checkpoint.read(run / "train.safetensors"), "model"))


def test_the_layers_that_are_named_are_adapted_and_no_others(
    saved: Path, agreed: Path, tmp_path: Path
) -> None:
    untied, training = llama(tmp_path / "untied", tied=False), Training(tmp_path, 1)
    attention = {f"model.layers.0.self_attn.{each}_proj" for each in "qkvo"}
    mlp = {f"model.layers.0.mlp.{each}_proj" for each in ("gate", "up", "down")}
    for number, (folder, modules, wanted) in enumerate(
        (
            (saved, (), attention | mlp),
            (saved, ("attention",), attention),
            (untied, ("linear",), attention | mlp | {"lm_head"}),
            (untied, ("*.v_proj", "embeddings"), {"model.layers.0.self_attn.v_proj", "model.embed_tokens"}),
        )
    ):
        out = tmp_path / f"run{number}"
        training.adapt(folder, out, data=str(agreed), rank=2, steps=2, batch=4, modules=modules)
        assert layers_learnt(out) == wanted
    for modules in (("embeddings",), ("attention", "*.w_proj")):  # tied to the last layer; no such layer
        with pytest.raises(InvalidValue, match=f"'{modules[-1]}' is none of the layers".replace("*", r"\*")):
            training.adapt(saved, tmp_path / "no", data=str(agreed), modules=modules)
    assert not (tmp_path / "no").exists()


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")  # of PEFT itself
@pytest.mark.parametrize("kind", ["llama", "gpt2"])
def test_peft_reads_the_adapter_and_says_the_same(kind: str, agreed: Path, tmp_path: Path) -> None:
    peft: Any = pytest.importorskip("peft", reason="pip install peft")
    from transformers import AutoModelForCausalLM

    folder = llama(tmp_path / "base", tied=False)
    if kind == "gpt2":  # its linear layers lie the other way round
        GPT2LMHeadModel(
            GPT2Config(vocab_size=256, n_embd=16, n_layer=1, n_head=2, bos_token_id=0, eos_token_id=1)
        ).save_pretrained(folder)
    out, modules = tmp_path / "run", ("attention", "embeddings", "*mlp*")
    Training(tmp_path, 1).adapt(
        folder,
        out,
        data=str(agreed),
        rank=20,
        steps=20,
        batch=4,
        rate=2e-2,
        modules=modules if kind == "llama" else (),
    )
    model: Any = AutoModelForCausalLM
    base, merged = (model.from_pretrained(each, local_files_only=True) for each in (folder, out / "merged"))
    tokens = torch.randint(256, (2, 9))
    with torch.no_grad():
        before = base(input_ids=tokens).logits
        after = peft.PeftModel.from_pretrained(base, str(out / "adapter"))(input_ids=tokens).logits
        assert torch.allclose(after, merged(input_ids=tokens).logits, atol=1e-4)
    assert not torch.allclose(after, before, atol=1e-1)
