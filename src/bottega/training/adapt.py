"""Adaptation: the recipe that teaches a trained run, or a checkpoint of Transformers or Diffusers, new data by low-rank sums."""

from pathlib import Path

from bottega.core.errors import InvalidValue, NotFound
from bottega.core.value import JsonObject, Value
from bottega.evaluation.rewards import Reward
from bottega.storage.disk import digest_of
from bottega.training.data.base import load
from bottega.training.families.adapted import trained_as
from bottega.training.recipe import Fit, Recipe
from bottega.training.runs import open_run

ALONE = ("dpo", "grpo", "flow-student", "lm-student")  # they hold on to a base of their own


class Ways(Value, frozen=True):
    """How a checkpoint is adapted; what is not given is as the family has it."""

    modules: tuple[str, ...] = ()
    reward: Reward | None = None
    length: int | None = None
    group: int | None = None
    beta: float | None = None


def adapted_from(
    path: Path,
    data: str,
    rank: int,
    fit: Fit,
    seed: int,
    home: Path,
    ways: Ways = Ways(),  # noqa: B008 - frozen
) -> Recipe:
    """A recipe for the run, or the folder of a checkpoint, at ``path``.

    Args:
        path: a run folder; or a folder with ``config.json``, ``tokenizer.json`` and safetensors of Transformers, or a pipeline of Diffusers.
        data: what it shall learn.
        rank: outer products that each matrix gets.
        fit: how the loop runs.
        seed: of the training.
        home: where data sets are kept.
        ways: of a checkpoint.

    Raises:
        NotFound: neither a trained run nor a checkpoint.
        InvalidValue: a run of a family that cannot be adapted, or ``ways`` that it does not have.
    """
    if (path / "model_index.json").is_file() or (path / "tokenizer.json").is_file():
        return _checkpoint(path, data, rank, fit, seed, home, ways)
    run = open_run(path)
    if given := ways.model_dump(exclude_defaults=True):
        raise InvalidValue(
            f"only a checkpoint has {' and '.join(sorted(given))}", where=str(path), remedy="leave it out"
        )
    recipe = run.config.recipe
    if recipe.family in ALONE or recipe.family.startswith("checkpoint"):
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


def _checkpoint(path: Path, data: str, rank: int, fit: Fit, seed: int, home: Path, ways: Ways) -> Recipe:
    """A pipeline of Diffusers learns pictures; a language model by rewards, from pairs, or what is said."""
    pictures = (path / "model_index.json").is_file()
    files = sorted(path.rglob("*.safetensors") if pictures else path.glob("*.safetensors"))
    if not files:
        raise NotFound(
            "no safetensors in it",
            where=str(path),
            remedy="give a checkpoint as Transformers or Diffusers saves it",
        )
    if pictures:
        family = "checkpoint-pictures"
    elif ways.reward:
        family = "checkpoint-grpo"
    else:
        family = "checkpoint-dpo" if "rejected" in load(data, home).train else "checkpoint"
    model: JsonObject = {
        "folder": str(path.resolve()),
        "sha256": {str(file.relative_to(path)): digest_of(file) for file in files},
        "rank": rank,
        **ways.model_dump(mode="json", exclude_defaults=True),
    }
    name = "".join(letter if letter.isalnum() else "-" for letter in path.resolve().name.lower()).strip("-")
    return _recipe(f"{name[:50]}-adapted", f"{path.name}, adapted.", family, data, fit, seed, model)


def _recipe(id: str, summary: str, family: str, data: str, fit: Fit, seed: int, model: JsonObject) -> Recipe:
    return Recipe(id=id, summary=summary, family=family, data=data, seed=seed, fit=fit, model=model)
