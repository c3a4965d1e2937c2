"""Distillation: the recipe of a student from a trained run."""

from pathlib import Path

from bottega.core.errors import InvalidValue
from bottega.core.value import JsonObject
from bottega.storage.disk import digest_of
from bottega.training.recipe import Fit, Recipe
from bottega.training.runs import Run, open_run


def student_of(path: Path, steps: int, depth: int, fit_steps: int, seed: int) -> Recipe:
    """A recipe that teaches a smaller or faster network what a run's network does.

    A flow's student goes in few steps, without guidance; a language model's is smaller and learns the odds of every token.

    Args:
        path: the teacher's run folder.
        steps: of the sampler of a flow's student; a language model has none.
        depth: of a language model's student; 0 takes half of its teacher's.
        fit_steps: steps of its training; 0 takes 150 for a flow, each of 16 of the teacher's paths, and as many as the teacher had
            for a language model.
        seed: of its training.

    Raises:
        NotFound: no trained run.
        InvalidValue: neither a flow nor a language model, or a student that would save nothing.
    """
    run = open_run(path)
    made = {"flow": _faster, "lm": _smaller}.get(run.config.recipe.family)
    if made is None:
        raise InvalidValue(
            f"a {run.config.recipe.family} has no student",
            where=str(path),
            remedy="give the run of a flow or lm",
        )
    return made(run, steps, depth, fit_steps, seed)


def _faster(run: Run, steps: int, depth: int, fit_steps: int, seed: int) -> Recipe:
    recipe, teacher = run.config.recipe, run.family.config.document()
    if depth:
        raise InvalidValue(
            "a flow's student is as large as its teacher", where="depth", remedy="leave it out"
        )
    if teacher["steps"] <= steps:
        raise InvalidValue(
            f"the teacher goes in {teacher['steps']} steps", where="steps", remedy="give the student fewer"
        )
    size = {name: teacher[name] for name in ("width", "patch", "judged")}
    return Recipe(
        id=f"{recipe.id}-{steps}-steps",
        summary=f"{recipe.id}, distilled to {steps} steps. {recipe.summary}",
        family="flow-student",
        data=recipe.data,
        depth=recipe.depth,
        seed=seed,
        fit=Fit(steps=fit_steps or 150, batch=16, rate=1e-3, ema=0.98, save_every=50),
        model={**size, "steps": steps, "teacher": _teacher(run)},
    )


def _smaller(run: Run, _: int, depth: int, fit_steps: int, seed: int) -> Recipe:
    recipe = run.config.recipe
    depth = depth or recipe.depth // 2
    if not 0 < depth < recipe.depth:
        raise InvalidValue(
            f"the teacher has depth {recipe.depth}", where="depth", remedy="give the student a smaller one"
        )
    teacher = run.family.config.document()
    same = {name: teacher[name] for name in ("vocabulary", "context", "judged")}
    return Recipe(
        id=f"{recipe.id}-depth-{depth}",
        summary=f"{recipe.id}, distilled to depth {depth}. {recipe.summary}",
        family="lm-student",
        data=recipe.data,
        depth=depth,
        seed=seed,
        fit=recipe.fit.model_copy(update={"steps": fit_steps or recipe.fit.steps}),
        model={**same, "teacher": _teacher(run)},
    )


def _teacher(run: Run) -> JsonObject:
    weights = run.folder.weights_file.resolve()
    return {"weights": str(weights), "sha256": digest_of(weights), "config": run.family.config.document()}
