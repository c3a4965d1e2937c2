"""Fine-tuning: a recipe that begins as a trained run of a language model, or of a flow of its own kind."""

from pathlib import Path

from bottega.core.errors import InvalidValue
from bottega.storage.disk import digest_of
from bottega.training.recipe import Recipe
from bottega.training.runs import open_run

TUNED = ("sft", "dpo", "grpo")
SIZE = ("vocabulary", "width", "layers", "heads", "context")
PICTURES = ("width", "patch")  # the size of a flow


def begun_from(recipe: Recipe, path: Path) -> Recipe:
    """The recipe with the run's weights, size and tokenizer for its own.

    Raises:
        NotFound: no trained run.
        InvalidValue: the recipe is no fine-tuning, or the run no language model.
    """
    run = open_run(path)
    if recipe.family not in (*TUNED, "text-flow"):
        raise InvalidValue(f"a {recipe.family} begins from nothing", where="from", remedy="leave --from out")
    flows = recipe.family == "text-flow"
    if run.config.recipe.family not in (("text-flow",) if flows else ("lm", *TUNED)):
        raise InvalidValue(
            f"a {run.config.recipe.family} is no {'text-flow' if flows else 'language model'}",
            where=str(path),
            remedy="give the run of one",
        )
    weights = run.folder.weights_file.resolve()
    size = {
        name: value
        for name, value in run.family.config.document().items()
        if name in (PICTURES if flows else SIZE)
    }
    base = {"weights": str(weights), "sha256": digest_of(weights)}
    return recipe.model_copy(update={"model": {**recipe.model, **size, "base": base}})
