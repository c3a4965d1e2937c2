"""Every plan passes here before it runs, whoever wrote it."""

from collections.abc import Iterable, Sequence
from typing import cast

from pydantic import BaseModel, ValidationError

from bottega.core.errors import BottegaError, BudgetExceeded, InvalidPlan, PolicyDenied, WeightsMissing
from bottega.core.plan import Plan, SourceRef, Step
from bottega.engines.base import Port
from bottega.pipelines.graph import is_source, ordered, split
from bottega.pipelines.step import applies
from bottega.pipelines.workshop import Workshop
from bottega.retrieval.document import MEDIA_TYPE


def validate(plan: Plan, shop: Workshop) -> None:
    """Say no to a plan that cannot or may not run.

    Raises:
        InvalidPlan: naming the step and the field.
        PolicyDenied: the constraints or the policy forbid it.
        BudgetExceeded: its estimate is above the brief's limits.
    """
    _check_deliverables(plan, shop, sound(plan, shop))
    _check_limits(plan)


def sound(plan: Plan, shop: Workshop) -> dict[str, dict[str, Port]]:
    """Say no to steps that cannot run; gives the output ports of each. Release is judged by `validate`, not here.

    Raises:
        InvalidPlan: naming the step and the field.
        PolicyDenied: an engine is remote and nothing may leave the machine.
    """
    outputs: dict[str, dict[str, Port]] = {}
    sources = {source.name: source for source in plan.sources}
    for step in ordered(plan):
        outputs[step.id] = _check_engine(step, shop, plan)
        _check_inputs(step, shop, outputs, sources)
        _check_checks(step, shop, outputs[step.id].values())
    return outputs


def ready(steps: Iterable[Step], shop: Workshop) -> None:
    """Say before the first step what would stop a later one.

    Raises:
        WeightsMissing: naming every model that these steps need and that is not here.
    """
    missing: dict[str, str] = {}
    for step in steps:
        for name in models_of(step, shop):
            if not shop.catalog.pulled(shop.catalog.get(name)):
                missing.setdefault(shop.catalog.get(name).id, step.id)
    if missing:
        names = ", ".join(f"'{name}'" for name in missing)
        raise WeightsMissing(
            f"the weights of {names} are not on this machine",
            where=f"step '{next(iter(missing.values()))}'",
            remedy=f"bottega pull {' '.join(missing)}",
        )


def models_of(step: Step, shop: Workshop) -> Sequence[str]:
    """The catalog models that a step's engine will open.

    Raises:
        NotFound: for an unknown engine or model.
    """
    card = shop.card(step.engine)
    model, _ = shop.weights(card, step.model)
    return ([model] if model else card.models) if card.models else ()


def fault(step: Step, field: str, message: str, remedy: str = "") -> InvalidPlan:
    """The one clear error about a step's field."""
    return InvalidPlan(message, where=f"step '{step.id}', field '{field}'", remedy=remedy)


def first_fault(error: ValidationError) -> tuple[str, str]:
    """The place and the words of a validation's first error."""
    detail = error.errors(include_url=False, include_context=False)[0]
    return ".".join(str(part) for part in detail["loc"]), detail["msg"]


def _check_engine(step: Step, shop: Workshop, plan: Plan) -> dict[str, Port]:
    try:
        engine = shop.engine(step.engine)
    except BottegaError as error:
        raise fault(step, "engine", error.message, error.remedy) from error
    card = engine.card
    if step.version and step.version != card.version:
        raise fault(
            step, "version", f"asks for version {step.version}, installed is {card.version}", "plan again"
        )
    if card.locality == "remote" and plan.brief.constraints.local_only:
        raise PolicyDenied(
            f"engine '{card.id}' sends the request to {card.destination or 'another machine'}, and nothing may leave",
            where=f"step '{step.id}', field 'engine'",
            remedy="choose a local engine, or allow it in the brief's constraints",
        )
    try:
        params = engine.params.model_validate(step.params)
    except ValidationError as error:
        place, words = first_fault(error)
        raise fault(step, f"params.{place}" if place else "params", words) from error
    if step.model and card.models:
        try:
            shop.catalog.get(step.model)
        except BottegaError as error:
            raise fault(step, "model", error.message, error.remedy) from error
    if step.weights and step.weights != shop.weights(card, step.model)[1]:
        raise fault(step, "weights", "asks for other weights than those of the catalog here", "plan again")
    return {port.name: port for port in engine.outputs_for(params)}


def _check_inputs(
    step: Step, shop: Workshop, outputs: dict[str, dict[str, Port]], sources: dict[str, SourceRef]
) -> None:
    ports = {port.name: port for port in shop.card(step.engine).inputs}
    for name, references in step.inputs.items():
        if name not in ports:
            raise fault(
                step, f"inputs.{name}", "the engine has no such input", f"inputs are: {', '.join(ports)}"
            )
        port = ports[name]
        if len(references) > 1 and not port.many:
            raise fault(step, f"inputs.{name}", f"takes one input, {len(references)} were given")
        for reference in references:
            types = _types(step, name, reference, outputs, sources)
            if not any(_fits(port, media_type) for media_type in types):
                raise fault(
                    step,
                    f"inputs.{name}",
                    f"'{reference}' is {' or '.join(types)}",
                    f"it takes {' or '.join(port.media_types)}",
                )
    for port in ports.values():
        if port.required and not step.inputs.get(port.name):
            raise fault(
                step, f"inputs.{port.name}", "is required", f"give it {' or '.join(port.media_types)}"
            )


def _fits(port: Port, media_type: str) -> bool:
    """A file type, or a pattern of an output that may become several, may arrive here."""
    return port.accepts(media_type) or ("*" in media_type and applies((media_type,), port.media_types[0]))


def _types(
    step: Step,
    field: str,
    reference: str,
    outputs: dict[str, dict[str, Port]],
    sources: dict[str, SourceRef],
) -> tuple[str, ...]:
    if is_source(reference):
        kind, _, name = reference.partition(":")
        if name not in sources:
            raise fault(
                step, f"inputs.{field}", f"no source is called '{name}'", f"one of: {', '.join(sources)}"
            )
        return (MEDIA_TYPE,) if kind == "document" else (sources[name].media_type,)
    before, port = split(reference)
    if port not in outputs[before]:
        known = ", ".join(outputs[before])
        raise fault(
            step, f"inputs.{field}", f"step '{before}' has no output '{port}'", f"outputs are: {known}"
        )
    return outputs[before][port].media_types


def _check_checks(step: Step, shop: Workshop, ports: Iterable[Port]) -> None:
    types = [media_type for port in ports for media_type in port.media_types]
    for check_id, options in step.checks.items():
        field = f"checks.{check_id}"
        try:
            check = shop.check(check_id)
        except BottegaError as error:
            raise fault(step, field, error.message, error.remedy) from error
        try:
            cast(type[BaseModel], check.options).model_validate(options)
        except ValidationError as error:
            place, words = first_fault(error)
            raise fault(step, f"{field}.{place}", words) from error
        if not any(applies(check.media_types, media_type) for media_type in types):
            raise fault(
                step, field, f"judges {' or '.join(check.media_types)}, the step makes {' or '.join(types)}"
            )


def _check_deliverables(plan: Plan, shop: Workshop, outputs: dict[str, dict[str, Port]]) -> None:
    if not plan.deliverables:
        raise InvalidPlan("nothing leaves the workshop", where="field 'deliverables'", remedy="add one")
    paths: set[str] = set()
    for item in plan.deliverables:
        where = f"deliverable '{item.path}'"
        step_id, port = split(item.output)
        if step_id not in outputs or port not in outputs[step_id]:
            raise InvalidPlan(f"there is no output '{item.output}'", where=f"{where}, field 'output'")
        parts = item.path.split("/")
        if item.path.startswith("/") or ".." in parts or "\\" in item.path or "" in parts:
            raise InvalidPlan("must be a file name inside the output folder", where=f"{where}, field 'path'")
        if item.path in paths:
            raise InvalidPlan("two deliverables have this file name", where=f"{where}, field 'path'")
        paths.add(item.path)
        step = plan.step(step_id)
        for media_type in outputs[step_id][port].media_types:
            owed = shop.policy.checks_for(media_type, item.kind, step.engine, item.language)
            for check, options in owed.items():
                if check not in step.checks or not options.items() <= step.checks[check].items():
                    raise PolicyDenied(
                        f"the policy asks for '{check}' with {options or 'any options'} on {media_type}",
                        where=f"step '{step_id}', field 'checks.{check}'",
                        remedy="put the check back: without it nothing is released",
                    )


def _check_limits(plan: Plan) -> None:
    limits = plan.brief.constraints
    seconds, cost = sum(step.seconds for step in plan.steps), sum(step.cost for step in plan.steps)
    if limits.max_cost is not None and cost > limits.max_cost:
        raise BudgetExceeded(
            f"the plan costs about ${cost:.4f}, the limit is ${limits.max_cost:.4f}",
            where="field 'constraints.max_cost'",
            remedy="raise the limit or ask for less",
        )
    if limits.max_seconds is not None and seconds > limits.max_seconds:
        raise BudgetExceeded(
            f"the plan takes about {seconds:.0f} s, the limit is {limits.max_seconds:.0f} s",
            where="field 'constraints.max_seconds'",
            remedy="raise the limit or ask for less",
        )
