"""Fine-tuning: a recipe that begins as a trained run of a language model, or of a flow."""

from pathlib import Path

from bottega.core.errors import InvalidValue
from bottega.storage.disk import digest_of
from bottega.training.recipe import Recipe
from bottega.training.runs import open_run

TUNED = ("sft", "dpo", "grpo")
SIZE = ("vocabulary", "width", "layers", "heads", "context")
PICTURES = ("width", "patch", "steps", "guidance", "drop")  # of a flow: its size, and how it is sampled
FLOWS = {"text-flow": "text-flow", "sketch": "flow"}  # what begins as a flow, and as which


def begun_from(recipe: Recipe, path: Path) -> Recipe:
    """The recipe with the run's weights, size and tokenizer for its own.

    Raises:
        NotFound: no trained run.
        InvalidValue: the recipe is no fine-tuning, or the run not what it begins as.
    """
    run = open_run(path)
    flow = FLOWS.get(recipe.family, "")
    if recipe.family not in TUNED and not flow:
        raise InvalidValue(f"a {recipe.family} begins from nothing", where="from", remedy="leave --from out")
    if run.config.recipe.family not in ((flow,) if flow else ("lm", *TUNED)):
        raise InvalidValue(
            f"a {run.config.recipe.family} is no {flow or 'language model'}",
            where=str(path),
            remedy="give the run of one",
        )
    weights = run.folder.weights_file.resolve()
    taken = (PICTURES if recipe.family == "sketch" else PICTURES[:2]) if flow else SIZE
    size = {name: value for name, value in run.family.config.document().items() if name in taken}
    base = {"weights": str(weights), "sha256": digest_of(weights)}
    return recipe.model_copy(update={"model": {**recipe.model, **size, "base": base}})
