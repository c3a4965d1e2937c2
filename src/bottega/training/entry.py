"""A run folder as an entry of the catalog."""

import json
import tomllib
from pathlib import Path

from bottega.catalog.model import Model
from bottega.storage.disk import digest_of
from bottega.training.families.adapted import trained_as
from bottega.training.recipe import checked
from bottega.training.runs import open_run

MODALITIES = {
    "lm": "text",
    "sft": "text",
    "dpo": "text",
    "grpo": "text",
    "checkpoint": "text",
    "checkpoint-dpo": "text",
    "checkpoint-grpo": "text",
    "captioner": "text",
    "embedder": "data",
    "seq2seq": "text",
    "encoder": "data",
}
FILES = ("config.json", "model.safetensors", "README.md")


def entry_of(path: Path, name: str) -> tuple[Model, str]:
    """The model, and its TOML. What is needed to sample and the card are its files.

    Raises:
        NotFound: no trained run.
        InvalidValue: ``name`` is none for a model.
    """
    run = open_run(path)
    recipe, data = run.config.recipe, run.config.data
    family, _ = trained_as(run.family, recipe.family)
    facts = {
        "id": name,
        "title": f"{recipe.id}, trained here",
        "modality": MODALITIES.get(family, "image"),
        "licence": data.licence,
        "attribution": f"trained on {data.name}: {data.attribution}",
    }
    lines = [f"{key} = {json.dumps(value)}" for key, value in facts.items()]
    for file in FILES:
        whole = (path / file).resolve()
        lines += ["", "[[files]]", f"path = {json.dumps(file)}", f"size = {whole.stat().st_size}"]
        lines += [f'sha256 = "{digest_of(whole)}"', f"local = {json.dumps(str(whole))}"]
    document = "\n".join(lines) + "\n"
    return checked(Model, tomllib.loads(document), "name"), document
