"""How an output came to be, put together from its plan, its run and the cards of its engines."""

from collections.abc import Callable, Mapping, Sequence

from bottega.core.artifact import Ingredient, Provenance
from bottega.core.plan import Plan
from bottega.core.run import Run, StepResult
from bottega.engines.base import ALGORITHMIC, COMPOSITE, GENERATED, Card
from bottega.pipelines.graph import ancestors, is_source, split

CardOf = Callable[[str], Card]


def provenance(plan: Plan, run: Run, output: str, card_of: CardOf) -> Provenance:
    """What is signed into the file of ``output``, a `step.port` that the run has made."""
    results = {result.step: result for result in run.results}
    step_id, port = split(output)
    step, result = plan.step(step_id), results[step_id]
    card, made = card_of(step.engine), result.output(port)
    return Provenance(
        artifact=made.artifact,
        run_id=run.id,
        plan=run.plan,
        step=step_id,
        step_key=result.key,
        engine=step.engine,
        engine_version=step.version or card.version,
        model=step.model,
        weights=step.weights,
        locality=card.locality,
        destination=card.destination,
        params=step.params,
        seed=step.seed,
        ingredients=tuple(_ingredients(plan, results, step_id)),
        verdicts=made.verdicts,
        attempts=result.attempts,
        approved_by=result.approved_by,
        made_at=run.finished_at,
        seconds=result.seconds,
        cost=result.cost,
        source_type=_source_type(plan, step_id, card_of),
    )


def _source_type(plan: Plan, step_id: str, card_of: CardOf) -> str:
    """IPTC digital source type: what holds the words or sounds of a model is a composite, whoever set it."""
    own = card_of(plan.step(step_id).engine).source_type
    before = {card_of(plan.step(each).engine).source_type for each in ancestors(plan, plan.step(step_id))}
    return COMPOSITE if own == ALGORITHMIC and before & {GENERATED, COMPOSITE} else own


def _ingredients(plan: Plan, results: Mapping[str, StepResult], step_id: str) -> Sequence[Ingredient]:
    """What a step was made from: sources and outputs of other steps."""
    found: dict[str, Ingredient] = {}
    sources = {source.name: source for source in plan.sources}
    leaving = {item.output: item.path for item in plan.deliverables}
    for references in plan.step(step_id).inputs.values():
        for reference in references:
            if is_source(reference):
                source = sources[reference.partition(":")[2]]
                name, artifact = source.name, source
            else:
                before, port = split(reference)
                name, artifact = leaving.get(reference, reference), results[before].output(port).artifact
            found[reference] = Ingredient(name=name, sha256=artifact.sha256, media_type=artifact.media_type)
    return list(found.values())
