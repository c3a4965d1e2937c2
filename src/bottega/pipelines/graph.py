"""References between steps, and the order they give."""

from collections.abc import Iterable, Mapping
from graphlib import CycleError, TopologicalSorter

from bottega.core.errors import InvalidPlan, NotFound
from bottega.core.plan import Plan, Step

SOURCE_KINDS = ("source", "document")


def is_source(reference: str) -> bool:
    """Whether a reference names a source (``source:NAME``) or its converted text (``document:NAME``)."""
    return reference.partition(":")[0] in SOURCE_KINDS and ":" in reference


def split(reference: str) -> tuple[str, str]:
    """``step.port`` as its two names."""
    step, _, port = reference.rpartition(".")
    return step, port


def needs(step: Step) -> tuple[str, ...]:
    """Ids of the steps whose outputs this step takes, each once."""
    found = [
        split(reference)[0]
        for references in step.inputs.values()
        for reference in references
        if not is_source(reference)
    ]
    return tuple(dict.fromkeys(found))


def ordered(plan: Plan) -> list[Step]:
    """The steps so that each comes after those it needs.

    Raises:
        InvalidPlan: for a duplicate id, a reference to nothing, or a circle; names the step.
    """
    graph, order = schedule(plan), list[Step]()
    while free := graph.get_ready():
        order += [plan.step(step_id) for step_id in free]
        graph.done(*free)
    return order


def schedule(plan: Plan) -> "TopologicalSorter[str]":
    """A sorter that gives the ids of steps as soon as what they need is done.

    Raises:
        InvalidPlan: as `ordered` does.
    """
    steps: dict[str, tuple[str, ...]] = {}
    for step in plan.steps:
        if step.id in steps:
            raise InvalidPlan("two steps have this id", where=f"step '{step.id}'", remedy="rename one")
        steps[step.id] = needs(step)
    for step in plan.steps:
        for need in steps[step.id]:
            if need not in steps:
                raise InvalidPlan(
                    f"it takes an output of '{need}', which is not in the plan",
                    where=f"step '{step.id}', field 'inputs'",
                    remedy=f"steps are: {', '.join(steps)}",
                )
    graph = TopologicalSorter(steps)
    try:
        graph.prepare()
    except CycleError as error:
        circle = " -> ".join(error.args[1])
        raise InvalidPlan(
            f"the steps wait for each other: {circle}", where="field 'inputs'", remedy="break the circle"
        ) from error
    return graph


def ancestors(plan: Plan, step: Step) -> set[str]:
    """Ids of all steps that this one depends on, directly or not."""
    by_id: Mapping[str, Step] = {each.id: each for each in plan.steps}
    found: set[str] = set()
    stack = list(needs(step))
    while stack:
        step_id = stack.pop()
        if step_id not in found:
            found.add(step_id)
            stack.extend(needs(by_id[step_id]))
    return found


def needed(plan: Plan, steps: Iterable[str]) -> set[str]:
    """Ids of these steps and of all that they need.

    Raises:
        NotFound: a step is not in the plan.
    """
    found: set[str] = set()
    for step_id in steps:
        try:
            found |= {step_id, *ancestors(plan, plan.step(step_id))}
        except KeyError as error:
            known = ", ".join(step.id for step in plan.steps)
            raise NotFound(f"there is no step '{step_id}'", remedy=f"steps are: {known}") from error
    return found


def only(plan: Plan, steps: set[str]) -> Plan:
    """The part of a plan that holds these steps and what is delivered of them."""
    return plan.model_copy(
        update={
            "steps": tuple(step for step in plan.steps if step.id in steps),
            "deliverables": tuple(item for item in plan.deliverables if split(item.output)[0] in steps),
        }
    )
