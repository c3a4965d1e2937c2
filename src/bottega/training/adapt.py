"""Adaptation: the recipe that teaches a trained run, or a checkpoint of Transformers, new data by low-rank sums."""

from pathlib import Path

from bottega.core.errors import InvalidValue, NotFound
from bottega.core.value import JsonObject
from bottega.storage.disk import digest_of
from bottega.training.families.adapted import trained_as
from bottega.training.recipe import Fit, Recipe
from bottega.training.runs import open_run

ALONE = ("dpo", "grpo", "flow-student", "lm-student", "checkpoint")  # they hold on to a base of their own


def adapted_from(path: Path, data: str, rank: int, fit: Fit, seed: int) -> Recipe:
    """A recipe for the run, or the folder of a checkpoint, at ``path``.

    Args:
        path: a run folder; or a folder with ``config.json``, ``tokenizer.json`` and safetensors of Transformers.
        data: what it shall learn.
        rank: outer products that each matrix gets.
        fit: how the loop runs.
        seed: of the training.

    Raises:
        NotFound: neither a trained run nor a checkpoint.
        InvalidValue: a run of a family that cannot be adapted.
    """
    if (path / "tokenizer.json").is_file():
        return _checkpoint(path, data, rank, fit, seed)
    run = open_run(path)
    recipe = run.config.recipe
    if recipe.family in ALONE:
        raise InvalidValue(
            f"a {recipe.family} is made from a base of its own", where=str(path), remedy="adapt that base"
        )
    name, family = trained_as(run.family, recipe.family)
    weights = run.folder.weights_file.resolve()
    model: JsonObject = {
        "base": {"weights": str(weights), "sha256": digest_of(weights)},
        "family": name,
        "model": family.config.document(),
        "shape": family.shape,
        "labels": list(family.labels),
        "rank": rank,
    }
    return _recipe(f"{recipe.id}-adapted", recipe.summary, "adapted", data, fit, seed, model)


def _checkpoint(path: Path, data: str, rank: int, fit: Fit, seed: int) -> Recipe:
    files = sorted(path.glob("*.safetensors"))
    if not files:
        raise NotFound(
            "no safetensors in it", where=str(path), remedy="give a checkpoint as Transformers saves it"
        )
    model: JsonObject = {
        "folder": str(path.resolve()),
        "sha256": {file.name: digest_of(file) for file in files},
        "rank": rank,
    }
    name = "".join(letter if letter.isalnum() else "-" for letter in path.resolve().name.lower()).strip("-")
    return _recipe(f"{name[:50]}-adapted", f"{path.name}, adapted.", "checkpoint", data, fit, seed, model)


def _recipe(id: str, summary: str, family: str, data: str, fit: Fit, seed: int, model: JsonObject) -> Recipe:
    return Recipe(id=id, summary=summary, family=family, data=data, seed=seed, fit=fit, model=model)
