"""Tiny data of one's own, and a recipe over it for every family."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from bottega.training.adapt import Ways, adapted_from
from bottega.training.distil import student_of
from bottega.training.recipe import Fit, Recipe, read_recipe
from bottega.training.runs import train
from bottega.training.tune import begun_from

FIT = "[fit]\nsteps = {steps}\nbatch = 4\nsave_every = 4\nvalidate_every = 10\n"
_TUNED = "length = 4\njudged = 8\nshown = ['1+2=']\n"
_LM = "vocabulary = 270\nwidth = 16\nlayers = 1\nheads = 2\ncontext = 16\n"
MODELS = {
    "flow": "width = 8\nsteps = 2\njudged = 8\n",
    "text-flow": "width = 8\nsteps = 2\njudged = 8\n",
    "pair": "width = 8\nsize = 8\njudged = 8\n",
    "sketch": "steps = 2\njudged = 8\n",
    "gan": "width = 8\nlatent = 4\njudged = 8\n",
    "vae": "width = 8\nlatent = 4\njudged = 8\n",
    "vq": "width = 8\ncodes = 8\nsize = 4\nprior_width = 8\nprior_layers = 1\njudged = 8\n",
    "lm": _LM + "judged = 200\n",
    "drawing": "width = 16\nlayers = 1\nheads = 2\njudged = 8\n",
    "encoder": _LM + "glance = 32\npairs = 64\n",
    "embedder": _LM + "buckets = 64\npretraining = 0.4\n",
    "captioner": "width = 16\nlayers = 1\nheads = 2\nlength = 6\njudged = 16\n",
    "seq2seq": _LM + "length = 6\njudged = 8\nshown = ['1+2=']\n",
    "sft": _LM + _TUNED,
    "dpo": _TUNED,
    "grpo": _TUNED + "group = 8\n",
}

ADAPTED = {  # the base, the data, how
    "adapted": ("teacher", "pictures", Ways()),
    "checkpoint": ("saved", "text", Ways()),
    "checkpoint-dpo": ("saved", "answered", Ways()),
    "checkpoint-pictures": ("pipeline", "larger", Ways()),
    "checkpoint-grpo": ("taught", "agreed", Ways(reward="answer", length=3, group=4)),
}


def squares(folder: Path, side: int = 8) -> Path:
    """Bright and dark squares on 8 by 8 pixels, or so, 60 of each, free for all."""
    draw = np.random.default_rng(0)
    for label, level in (("bright", 200), ("dark", 50)):
        (folder / label).mkdir(parents=True)
        for i in range(60):
            pixels = np.zeros((side, side), np.uint8)
            pixels[2:6, 2:6] = level + draw.integers(-20, 20, (4, 4))
            Image.fromarray(pixels).save(folder / label / f"{i:02d}.png")
    (folder / "LICENCE").write_text("CC0-1.0\n")
    return folder


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return squares(tmp_path_factory.mktemp("data") / "squares")


@pytest.fixture(scope="session")
def icons(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Outlined and filled boxes and lines at many places, named by what they are."""
    folder = tmp_path_factory.mktemp("icons")
    lines = 'fill="none" stroke="#000" stroke-width="2"'
    for i in range(120):
        x, y = 2 + i % 10, 2 + i // 10
        name, style, shape = (
            ("box", lines, f'<rect x="{x}" y="{y}" width="8" height="6" rx="1"/>'),
            ("line", lines, f'<path d="M{x} {y}h9l2 3"/>'),
            ("disc-filled", 'fill="#000"', f'<circle cx="{x + 5}" cy="{y + 5}" r="5"/>'),
        )[i % 3]
        file = folder / f"{name}-{'big' if i % 2 else 'low'}-n{i}x.svg"
        file.write_text(f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24 24" {style}>{shape}</svg>')
    (folder / "LICENCE").write_text("CC0-1.0\n")
    return folder


@pytest.fixture(scope="session")
def text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sums of one digit, again and again."""
    file = tmp_path_factory.mktemp("text") / "sums.txt"
    draw = np.random.default_rng(0)
    pairs = draw.integers(0, 5, (600, 2)).tolist()
    file.write_text("".join(f"{a}+{b}={a + b}\n" for a, b in pairs))
    return file


@pytest.fixture(scope="session")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sums and differences of one digit, labelled as what they are."""
    file = tmp_path_factory.mktemp("labelled") / "sums.jsonl"
    draw = np.random.default_rng(0)
    rows = [
        {"text": f"{a} plus {b}", "label": "sum"}
        if draw.integers(2)
        else {"text": f"{a} minus {b}", "label": "less"}
        for a, b in draw.integers(0, 9, (200, 2)).tolist()
    ]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


@pytest.fixture(scope="session")
def answered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sums of one digit with their answers and wrong ones."""
    file = tmp_path_factory.mktemp("answered") / "sums.jsonl"
    pairs = [(a, b) for a in range(10) for b in range(10)]
    rows = [{"prompt": f"{a}+{b}=", "answer": str(a + b), "rejected": str(a + b + 1)} for a, b in pairs]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


@pytest.fixture(scope="session")
def base(text: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of a language model that has learnt to end a line, so that some of its answers hold."""
    folder = tmp_path_factory.mktemp("base")
    model = {"vocabulary": 270, "width": 16, "layers": 1, "heads": 2, "context": 16}
    wanted = Recipe(
        id="base", family="lm", data=str(text), depth=2, fit=Fit(steps=150, batch=16, rate=1e-2), model=model
    )
    train(wanted, folder / "run", folder, evaluates=False)
    return folder / "run"


@pytest.fixture(scope="session")
def teacher(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of a flow, hardly trained."""
    folder = tmp_path_factory.mktemp("teacher")
    model = {"width": 8, "steps": 4, "judged": 8}
    wanted = Recipe(id="teacher", family="flow", data=str(pictures), fit=Fit(steps=2, batch=4), model=model)
    train(wanted, folder / "run", folder, evaluates=False)
    return folder / "run"


@pytest.fixture(scope="session")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint whose embedding is its last layer."""
    return llama(tmp_path_factory.mktemp("saved") / "tiny-llama", tied=True)


def llama(folder: Path, *, tied: bool) -> Path:
    """A checkpoint as Transformers saves it: a tiny Llama with random weights, and a tokenizer of bytes."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE(vocab={letter: i for i, letter in enumerate(letters)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    size: dict[str, Any] = {
        "hidden_size": 16,
        "intermediate_size": 32,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
    }
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = LlamaForCausalLM(
            LlamaConfig(
                vocab_size=256, eos_token_id=None, tie_word_embeddings=tied, initializer_range=0.4, **size
            )
        )
    model.save_pretrained(folder)
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


@pytest.fixture(scope="session")
def agreed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sums of one digit whose answer is y."""
    file = tmp_path_factory.mktemp("agreed") / "yes.jsonl"
    rows = [{"prompt": f"{a}+{b}=", "answer": "y"} for a in range(10) for b in range(10)]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


@pytest.fixture(scope="session")
def taught(agreed: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint after it has learnt to answer sums with y or n."""
    folder = tmp_path_factory.mktemp("taught")
    begun = llama(folder / "begun", tied=False)
    lines = agreed.read_text().replace('"y"', '"n"').splitlines()
    (folder / "both.jsonl").write_text(agreed.read_text() + "\n".join(lines) + "\n")
    fit = Fit(steps=100, batch=16, rate=2e-2, ema=0.9)
    wanted = adapted_from(begun, str(folder / "both.jsonl"), 16, fit, 0, folder)
    train(wanted, folder / "run", folder, evaluates=False)
    return folder / "run" / "merged"


@pytest.fixture(scope="session")
def larger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The squares on 16 by 16 pixels."""
    return squares(tmp_path_factory.mktemp("larger") / "squares", 16)


@pytest.fixture(scope="session")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint as Diffusers saves it."""
    from tests.text_to_image import stable_diffusion

    with torch.random.fork_rng():
        return stable_diffusion(tmp_path_factory.mktemp("pipeline") / "tiny", halvings=1)


@pytest.fixture
def recipe(
    pictures: Path,
    icons: Path,
    text: Path,
    labelled: Path,
    answered: Path,
    request: pytest.FixtureRequest,
    tmp_path: Path,
) -> Callable[..., Recipe]:
    """A tiny recipe of a family; keywords replace its fields."""
    sources = {"lm": text, "captioner": "charts", "encoder": labelled, "drawing": icons} | dict.fromkeys(
        ("sft", "dpo", "grpo", "seq2seq", "embedder"), answered
    )

    def write(family: str, steps: int = 20, **given: object) -> Recipe:
        if family in ADAPTED:
            fit = Fit(steps=steps, batch=4, save_every=4, validate_every=10)
            begun, data, ways = ADAPTED[family]
            learnt = str(request.getfixturevalue(data))
            found = adapted_from(request.getfixturevalue(begun), learnt, 2, fit, 0, tmp_path, ways)
            return found.model_copy(update={**given, "id": f"tiny-{family}"})
        if family in ("flow-student", "lm-student"):
            begun = request.getfixturevalue("teacher" if family == "flow-student" else "base")
            found = student_of(begun, 2, 0, steps, 0).document()
            found["fit"] |= {"save_every": 4, "validate_every": 10, "batch": 4}
            return Recipe.model_validate({**found, **given, "id": f"tiny-{family}"})
        file = tmp_path / f"tiny-{family}.toml"
        fit = FIT + ('optimiser = "muon32"\n' if family in sources else "")
        head = f'id = "tiny-{family}"\nfamily = "{family}"\ndata = "{sources.get(family, pictures)}"\n'
        file.write_text(head + fit.format(steps=steps) + "[model]\n" + MODELS[family])
        found = read_recipe(str(file), **given)
        begun = {"dpo": "base", "grpo": "base", "sketch": "teacher"}.get(family)
        return begun_from(found, request.getfixturevalue(begun)) if begun else found

    return write
