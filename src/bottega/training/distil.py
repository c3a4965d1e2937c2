"""Distillation: the recipe of a student from a trained run."""

from pathlib import Path

from bottega.core.errors import InvalidValue
from bottega.storage.disk import digest_of
from bottega.training.recipe import Fit, Recipe
from bottega.training.runs import open_run


def student_of(path: Path, steps: int, fit_steps: int, seed: int) -> Recipe:
    """A recipe that teaches a few-step flow what a run's flow does in many.

    Args:
        path: the teacher's run folder.
        steps: of the student's sampler.
        fit_steps: steps of its training, each of 16 of the teacher's paths.
        seed: of its training.

    Raises:
        NotFound: no trained run.
        InvalidValue: not a flow, or one that goes in as few steps already.
    """
    run = open_run(path)
    recipe, teacher = run.config.recipe, run.family.config.document()
    if recipe.family != "flow":
        raise InvalidValue(
            f"a {recipe.family} has no steps to save", where=str(path), remedy="give the run of a flow"
        )
    if teacher["steps"] <= steps:
        raise InvalidValue(
            f"the teacher goes in {teacher['steps']} steps", where="steps", remedy="give the student fewer"
        )
    weights = run.folder.weights_file.resolve()
    return Recipe(
        id=f"{recipe.id}-{steps}-steps",
        summary=f"{recipe.id}, distilled to {steps} steps. {recipe.summary}",
        family="flow-student",
        data=recipe.data,
        depth=recipe.depth,
        seed=seed,
        fit=Fit(steps=fit_steps, batch=16, rate=1e-3, ema=0.98, save_every=50),
        model={
            "width": teacher["width"],
            "patch": teacher["patch"],
            "judged": teacher["judged"],
            "steps": steps,
            "teacher": {"weights": str(weights), "sha256": digest_of(weights), "config": teacher},
        },
    )
