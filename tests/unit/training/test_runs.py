"""Train, sample, evaluate and export at a tiny size, for every family; and what must be refused."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import cast

import numpy as np
import pytest
import torch
from PIL import Image

from bottega.core.errors import BottegaError, EngineFailed, InvalidValue, NotFound, StorageFailed
from bottega.evaluation.table import CLASSICAL, FLOOR, MODEL, TRIVIAL
from bottega.networks.noise import key
from bottega.networks.transformer import Decoder
from bottega.service.training import Training
from bottega.training import checkpoint
from bottega.training.data import base as data_sets
from bottega.training.data.base import load
from bottega.training.export import export
from bottega.training.families.tuned import Tuned
from bottega.training.family import FAMILIES, Wish, family_for
from bottega.training.loop import build_nets
from bottega.training.recipe import Recipe, names, read_recipe
from bottega.training.runs import evaluate, open_run, sample, train
from bottega.training.tune import begun_from

ANY = Wish(count=3, length=40)
LINES = Wish(prompt="1 plus 2\n3 minus 1\n2 plus 2")
ONE = ("encoder", "embedder", "captioner", "pair")  # one file, however many are wished for
WISHES = {"encoder": LINES, "embedder": LINES, "drawing": Wish(count=3, prompt="disc")} | dict.fromkeys(
    ("sft", "dpo", "grpo", "seq2seq", "checkpoint", "checkpoint-dpo"),
    Wish(count=3, prompt="1+2=", length=8),
)
WISHES["checkpoint-grpo"] = Wish(count=3, prompt="1+2=", length=8, temperature=10)  # it says y or n
BEGUN = {
    "flow-student",
    "lm-student",
    "adapted",
    "checkpoint",
    "checkpoint-dpo",
    "checkpoint-grpo",
    "checkpoint-pictures",
}  # from a run or a folder, not from a recipe that ships


@pytest.mark.parametrize("family", FAMILIES)
def test_a_run_is_trained_sampled_evaluated_and_exported(
    family: str, recipe: Callable[..., Recipe], tmp_path: Path
) -> None:
    run = tmp_path / "run"
    report = train(recipe(family), run, tmp_path, f"train tiny-{family}")
    assert report.table is not None and report.estimate.parameters > 0
    assert {row.kind for row in report.table.rows} == {FLOOR, TRIVIAL, CLASSICAL, MODEL}
    assert all(np.isfinite(list(row.values.values())).all() for row in report.table.rows)
    assert evaluate(run, tmp_path).table == report.table
    card = (run / "README.md").read_text()
    assert "real against real" in card and f"bottega train tiny-{family}" in card
    assert list((run / "samples").iterdir()) and "polyline" in (run / "live.html").read_text()
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [10, 20]
    wish = WISHES.get(family, ANY)
    if family == "captioner":
        wish = Wish(prompt="values\ncount", picture=(run / "samples" / "0.png").read_bytes())
    if family == "sketch":
        wish = Wish(count=3, picture=(run / "samples" / "sketches.png").read_bytes())
    first, again = (sample(open_run(run), wish) for _ in range(2))
    assert first == again and len({made.data for made in first}) == (1 if family in ONE else 3)
    said: list[str] = []
    files = export(run, said.append)
    assert len(files) == 2 * len(said) and all(file.is_file() for file in files)
    assert not list(run.rglob(".*")), "drafts are left over"


def test_every_shipped_recipe_is_valid() -> None:
    assert {read_recipe(name).family for name in names()} == set(FAMILIES) - BEGUN


def test_depth_sets_the_size(recipe: Callable[..., Recipe]) -> None:
    from bottega.training.family import family_type

    for name in set(FAMILIES) - BEGUN:
        kind = family_type(name)
        shown = {"shown": ("1+2=",)} if name in ("sft", "dpo", "grpo") else {}
        small, large = (kind.config_type.model_validate({**kind.dial(depth), **shown}) for depth in (1, 3))
        assert small != large


def test_depth_sets_how_it_is_trained() -> None:
    own, deeper = read_recipe("text-lm"), read_recipe("text-lm", depth=8)
    assert (deeper.depth, deeper.fit.batch, deeper.fit.steps) == (8, 2 * own.fit.batch, 4 * own.fit.steps)
    assert deeper.fit.rate == pytest.approx(own.fit.rate / 2**0.5)
    assert read_recipe("text-lm", depth=own.depth) == own
    assert read_recipe("text-lm", depth=1, fit__steps=7).fit.steps == 7
    refused(InvalidValue, "depth", lambda: read_recipe("text-lm", depth=0))


def refused(error: type[BottegaError], match: str, act: Callable[[], object]) -> None:
    """One clear error that says what to do."""
    with pytest.raises(error, match=match) as raised:
        act()
    assert raised.value.where and raised.value.remedy


def test_wrong_recipes_are_refused(recipe: Callable[..., Recipe], tmp_path: Path) -> None:
    good = recipe("flow")
    file = tmp_path / "wrong.toml"
    file.write_text('id = "x"\nfamily = "flow"\ndata = "d"\nwidht = 3\n[fit]\nsteps = 1\n')
    refused(InvalidValue, "unknown key 'widht'", lambda: read_recipe(str(file)))
    wrong = good.model_copy(update={"model": {"wdith": 8}})
    refused(InvalidValue, "unknown key 'wdith'", lambda: train(wrong, tmp_path / "a", tmp_path))
    stranger = good.model_copy(update={"family": "oracle"})
    refused(NotFound, "unknown family", lambda: train(stranger, tmp_path / "a", tmp_path))
    refused(NotFound, "unknown recipe", lambda: read_recipe("fashion-flwo"))
    assert not (tmp_path / "a").exists()


def test_a_sketch_needs_a_flow_and_lines(recipe: Callable[..., Recipe], tmp_path: Path) -> None:
    alone = recipe("sketch")
    model = {name: value for name, value in alone.model.items() if name != "base"}
    bare = alone.model_copy(update={"model": model})
    refused(InvalidValue, "steers a trained flow", lambda: train(bare, tmp_path / "a", tmp_path))
    assert not (tmp_path / "a").exists()
    train(alone, tmp_path / "run", tmp_path, evaluates=False)
    run = open_run(tmp_path / "run")
    refused(InvalidValue, "no sketch", lambda: sample(run, ANY))
    refused(InvalidValue, "does not decode", lambda: sample(run, Wish(picture=b"no picture")))


def test_wrong_data_is_refused(pictures: Path, text: Path, tmp_path: Path) -> None:
    one = tmp_path / "one"
    shutil.copytree(pictures / "dark", one / "dark")
    for file in (pictures / "bright").iterdir():
        shutil.copy(file, one / "dark" / f"bright-{file.name}")
    refused(InvalidValue, "one class only", lambda: data_sets.several(load(str(one), tmp_path)))
    tiny = tmp_path / "tiny"
    for label in ("bright", "dark"):
        (tiny / label).mkdir(parents=True)
        shutil.copy(pictures / label / "00.png", tiny / label)
    refused(InvalidValue, "too few", lambda: load(str(tiny), tmp_path))
    flat = tmp_path / "flat"
    shutil.copytree(pictures / "dark", flat)
    refused(InvalidValue, "no pictures in folders", lambda: load(str(flat), tmp_path))
    torn = tmp_path / "torn"
    shutil.copytree(pictures, torn)
    (torn / "dark" / "03.png").write_bytes((pictures / "dark" / "03.png").read_bytes()[:60])
    refused(InvalidValue, "not a readable picture", lambda: load(str(torn), tmp_path))
    (torn / "dark" / "03.png").unlink()
    Image.fromarray(np.zeros((12, 8), np.uint8)).save(torn / "dark" / "03.png")
    refused(InvalidValue, "1x12x8", lambda: load(str(torn), tmp_path))
    broken = load(str(pictures), tmp_path)
    broken.train["images"] = torch.full((108, 1, 8, 8), torch.nan)
    refused(InvalidValue, "NaN", lambda: data_sets.checked(broken))
    refused(NotFound, "unknown data set", lambda: load("fashion", tmp_path))


def test_another_familys_checkpoint_is_refused(recipe: Callable[..., Recipe], tmp_path: Path) -> None:
    for name in ("vae", "gan"):
        train(recipe(name, steps=5), tmp_path / name, tmp_path, evaluates=False)
    for file in ("train.safetensors", "model.safetensors"):
        shutil.copy(tmp_path / "gan" / file, tmp_path / "vae" / file)
    refused(InvalidValue, "another model", lambda: open_run(tmp_path / "vae"))
    again = recipe("vae", steps=5)
    refused(InvalidValue, "another model", lambda: train(again, tmp_path / "vae", tmp_path, resume=True))
    other = recipe("gan", steps=4)
    refused(InvalidValue, "begun with recipe", lambda: train(other, tmp_path / "gan", tmp_path, resume=True))
    longer = train(recipe("gan", steps=9), tmp_path / "gan", tmp_path, resume=True, evaluates=False)
    assert longer.step == 9 and open_run(tmp_path / "gan").config.recipe.fit.steps == 9
    (tmp_path / "vae" / "model.safetensors").write_bytes(b"short")
    refused(InvalidValue, "not a readable checkpoint", lambda: open_run(tmp_path / "vae"))
    config = tmp_path / "vae" / "config.json"
    config.write_text(config.read_text().replace("bottega.run/1", "bottega.run/9"))
    refused(InvalidValue, "another version", lambda: open_run(tmp_path / "vae"))
    refused(NotFound, "not a run folder", lambda: open_run(tmp_path))


def test_divergence_keeps_the_last_good_checkpoint(recipe: Callable[..., Recipe], tmp_path: Path) -> None:
    wild = recipe("lm", fit__rate=1.0, fit__clip=1e30, fit__warmup=0, fit__save_every=1)
    hot = wild.model_copy(update={"fit": wild.fit.model_copy(update={"rate": 1e30})})
    refused(EngineFailed, "diverged", lambda: train(hot, tmp_path / "run", tmp_path))
    state = checkpoint.read(tmp_path / "run" / "train.safetensors")
    assert int(state.pop("loop")[0]) >= 1 and all(tensor.isfinite().all() for tensor in state.values())
    assert not (tmp_path / "run" / "model.safetensors").exists()


def test_a_full_disk_keeps_the_checkpoint_of_before(tmp_path: Path) -> None:
    file = tmp_path / "train.safetensors"
    checkpoint.write(file, {"a": torch.zeros(3)})
    import resource

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
    import signal

    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        refused(StorageFailed, "storage failed", lambda: checkpoint.write(file, {"a": torch.zeros(9999)}))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert checkpoint.read(file)["a"].tolist() == [0, 0, 0]
    assert [each.name for each in tmp_path.iterdir()] == ["train.safetensors"]


def test_fine_tuning_begins_as_its_base(
    recipe: Callable[..., Recipe], base: Path, answered: Path, text: Path, tmp_path: Path
) -> None:
    begun = begun_from(recipe("sft"), base)
    family = family_for(begun, base_data := load(str(answered), tmp_path))
    nets, reference = build_nets(family, 0), open_run(base).nets
    family.start(nets)
    for mine, its in zip(nets["decoder"].parameters(), reference["decoder"].parameters(), strict=True):
        assert torch.equal(mine, its)
    assert family.codec == open_run(base).config.codec
    alone = recipe("grpo").model_copy(update={"model": {"shown": ["1+2="]}})
    refused(InvalidValue, "trained language model", lambda: train(alone, tmp_path / "a", tmp_path))
    refused(InvalidValue, "begins from nothing", lambda: begun_from(recipe("vae"), base))
    plain = recipe("dpo").model_copy(update={"data": str(text)})
    refused(
        InvalidValue, "no answers and prompts and rejected", lambda: train(plain, tmp_path / "a", tmp_path)
    )
    plain = recipe("sft").model_copy(update={"data": str(text)})
    refused(InvalidValue, "no answers and prompts", lambda: train(plain, tmp_path / "a", tmp_path))
    plain = recipe("encoder").model_copy(update={"data": str(text)})
    refused(InvalidValue, "no classes and texts", lambda: train(plain, tmp_path / "a", tmp_path))
    assert not (tmp_path / "a").exists()
    given = Training(tmp_path, 1).train(
        str(tmp_path / "tiny-sft.toml"), tmp_path / "run", steps=2, begin=base
    )
    assert given.table is not None and f"--from {base}" in given.command
    assert given.table.rows[-2].what == "before, the base"
    copied = shutil.copytree(base, tmp_path / "base")
    wanted = begun_from(recipe("sft"), copied)
    (copied / "model.safetensors").write_bytes(b"other")
    refused(InvalidValue, "gone or has changed", lambda: family_for(wanted, base_data).start(nets))


def test_an_encoder_tells_the_label_of_every_line(recipe: Callable[..., Recipe], tmp_path: Path) -> None:
    sure = recipe("encoder", steps=200, fit__batch=16, fit__rate=2e-2)
    report = train(sure, tmp_path / "run", tmp_path)
    assert report.table is not None and report.table.of(MODEL)["accuracy"] == 1
    run = open_run(tmp_path / "run")
    (made,) = sample(run, Wish(prompt="3 plus 4\n\n8 minus 1"))
    told = json.loads(made.data)
    assert [each["label"] for each in told] == ["sum", "less"]
    assert [sum(each["shares"].values()) for each in told] == pytest.approx([1, 1], abs=1e-3)
    refused(InvalidValue, "no text to classify", lambda: sample(run, Wish()))


def test_wrong_records_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "wrong.jsonl"
    for line, match in (
        ("{", "not JSON"),
        ('{"text": 3}', "not all texts"),
        ('{"text": "a", "label": "b"}\n{"prompt": "a", "answer": "b"}', "answer, prompt"),
        ('{"words": "a"}', "fields words"),
    ):
        file.write_text(line + "\n")
        refused(InvalidValue, match, lambda: load(str(file), tmp_path))


def test_answers_end_where_the_line_ends_and_are_checked(
    recipe: Callable[..., Recipe], answered: Path
) -> None:
    family = family_for(recipe("sft"), load(str(answered), answered.parent))
    assert isinstance(family, Tuned)
    said = [family.answer(family.encode(text)) for text in (b"3\n", b"3", b"4\n")]
    assert said == [b"3", None, b"4"]
    assert family.rewards(said, [b"3", b"3", b"3"]) == [1, 0, 0]  # no end, no answer
    tokens, mask = family.lines([b"1+2=", b"10+11="], [b"3", b"21"])
    for line, kept, said in zip(tokens, mask.bool(), (b"3\n", b"21\n"), strict=True):
        assert family.text(line[1:][kept]) == said
    asked = [family.tokenizer.encode(prompt) for prompt in (b"1+2=", b"10+11=", b"3+4=")]
    net = cast(Decoder, build_nets(family, 0)["decoder"])
    for said in family.attempts(net, asked, key(0)):
        ends = family.ends[said]
        assert not ends[:-1].any() and (bool(ends[-1]) or len(said) == 4)
