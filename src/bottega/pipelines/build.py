"""From an intent and blueprints to a plan."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from bottega.core.brief import LANGUAGE_NAMES, Brief, FreeStep, Wanted
from bottega.core.errors import InvalidBrief, InvalidPlan
from bottega.core.plan import Deliverable, Plan, SourceRef, Step
from bottega.core.value import JsonObject
from bottega.engines.markdown_table import title_of
from bottega.engines.plain_things import drawer
from bottega.pipelines.blueprints import Blueprint, StepBlueprint, blueprint, fill
from bottega.pipelines.graph import is_source, split
from bottega.pipelines.intent import Intent
from bottega.pipelines.validate import first_fault
from bottega.pipelines.workshop import Workshop

TABULAR = ("text/csv", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet")
WORDS_A_SECOND = 2.4  # spoken
REST = "À-ſ°²³½×–—‘’“”„…€£«»"
SHAPES = {  # pieces of patterns that hold a small model to Latin script, whole words and whole sentences
    "cap": "[A-ZÀ-Þ0-9]",
    "word": rf"[#-,\-/->@-\[\]-~{REST}]",
    "inner": rf"([ #-,\-/->@-\[\]-~{REST}]|[0-9]\.[0-9])",
}


@dataclass(frozen=True)
class TableFacts:
    """What a chart of the brief's main table would show."""

    name: str
    x: str
    y: str
    mark: str = "bar"


@dataclass
class Instance:
    """One blueprint put into a plan for one language."""

    prefix: str
    language: str
    steps: dict[str, list[str]] = field(default_factory=dict[str, list[str]])


@dataclass
class Builder:
    """Puts blueprints into one plan; a blueprint used twice for the same purpose stands there once."""

    brief: Brief
    intent: Intent
    sources: Sequence[SourceRef]
    table: TableFacts | None
    shop: Workshop
    _steps: dict[str, Step] = field(default_factory=dict[str, Step])
    _deliverables: dict[str, Deliverable] = field(default_factory=dict[str, Deliverable])
    _instances: dict[tuple[str, str, str], Instance] = field(
        default_factory=dict[tuple[str, str, str], Instance]
    )
    _notes: list[str] = field(default_factory=list[str])

    def build(self) -> Plan:
        """The plan for everything the intent wants.

        Raises:
            InvalidBrief: when nothing can be made, with the reason.
        """
        explicit = bool(self.brief.deliverables)
        for wanted in sorted(self.intent.deliverables, key=lambda wanted: _place_on_page(wanted.kind)):
            self._want(wanted, explicit=explicit)
        for step in self.brief.steps:
            self._free(step)
        if not self._deliverables:
            raise InvalidBrief("; ".join(self._notes) or "nothing to make", remedy="name a deliverable")
        intent: JsonObject = {**self.intent.document(), "notes": self._notes}
        return Plan(
            brief=self.brief.model_copy(update={"sources": tuple(source.name for source in self.sources)}),
            intent=intent,
            sources=tuple(self.sources),
            steps=tuple(self._steps.values()),
            deliverables=tuple(self._deliverables.values()),
            policy=self.shop.policy.digest,
        )

    def _free(self, free: FreeStep) -> None:
        """A step of the brief's own; the validator judges it like any other."""
        known = {step.id: [f"free.{step.id}"] for step in self.brief.steps}
        instance = Instance("free", free.language or self.primary, known)
        fields = free.model_dump(include={"id", "engine", "model", "inputs"})
        step, params = StepBlueprint(**fields, why="asked for in the brief"), free.params
        if free.engine == "image" and not free.model:
            step, params = self._drawn_or_composed(step, free.params)
        inputs = self._inputs(step, instance, Wanted(kind="free"))
        self._put(f"free.{free.id}", step, params, inputs, free.checks, free.language or "")
        if free.path:
            title = free.title or free.id.replace("-", " ").capitalize()
            output = f"free.{free.id}.{free.port}"
            self._policy(
                Deliverable(
                    output=output, path=free.path, title=title, kind="free", language=free.language or ""
                )
            )

    def _drawn_or_composed(self, step: StepBlueprint, params: JsonObject) -> tuple[StepBlueprint, JsonObject]:
        """`image` without a model: a house model draws the one plain thing that the prompt names, else words are composed."""
        prompt = str(params.get("prompt", ""))
        rest = {name: value for name, value in params.items() if name != "prompt"}
        if found := drawer(prompt, self.shop.catalog.path):
            why = f"'{prompt}' names a plain thing that a house model draws"
            step = step.model_copy(update={"engine": found.engine, "why": why})
            return step, {**rest, "prompt": found.words}
        why = "the prompt names no plain thing that a house model knows, and no text-to-image model is named: its words are composed"
        return step.model_copy(update={"engine": "layout", "why": why}), {**rest, "title": prompt}

    def _want(self, wanted: Wanted, *, explicit: bool) -> None:
        plan = blueprint(wanted.kind)
        if plan.needs == "table" and self.table is None:
            reason = f"'{plan.title}' needs a table (CSV or XLSX) among the sources, and there is none"
            if explicit:
                raise InvalidBrief(reason, where="deliverables", remedy="add a table or leave it out")
            self._notes.append(reason)
            return
        silent = [language for language in self._languages(plan, wanted) if not plan.speaks(language)]
        if silent:
            names = " or ".join(LANGUAGE_NAMES[language] for language in plan.languages)
            reason = f"'{plan.title}' cannot be made in {LANGUAGE_NAMES[silent[0]]}: no voice speaks it"
            if explicit:
                raise InvalidBrief(
                    reason, where="deliverables", remedy=f"ask for it in {names}, or leave it out"
                )
            self._notes.append(reason)
            return
        for part in plan.parts:
            self._want(wanted.model_copy(update={"kind": part}), explicit=False)
        if not plan.steps:
            return
        for language in self._languages(plan, wanted):
            instance = self._place(plan, language, wanted)
            self._deliver(plan, instance, wanted)

    def _languages(self, plan: Blueprint, wanted: Wanted) -> Sequence[str]:
        if wanted.language and plan.per_language:
            return (wanted.language,)
        return self.intent.languages if plan.all_languages else (self.primary,)

    @property
    def primary(self) -> str:
        """The language that texts are written in; the others are translated from it."""
        return self.intent.languages[0]

    def _place(self, plan: Blueprint, language: str, wanted: Wanted) -> Instance:
        """The instance of a blueprint, with its steps in the plan."""
        if not plan.per_language:
            language = self.primary
        told_apart = bool(self.brief.deliverables) and not plan.hidden
        purpose = (plan.id, language, wanted.focus if told_apart else "")
        if purpose in self._instances:
            return self._instances[purpose]
        prefix = plan.id.replace("_", "-") + ("" if language == self.primary else f"-{language}")
        taken = {instance.prefix for instance in self._instances.values()}
        while prefix in taken:
            prefix += "-2"
        instance = self._instances[purpose] = Instance(prefix, language)
        variables = self._variables(plan, language, wanted)
        for step in plan.steps:
            times = range(int(variables[step.for_each])) if step.for_each else [None]
            for index in times:
                self._add(plan, step, instance, variables, wanted, index)
        return instance

    def _add(
        self,
        plan: Blueprint,
        step: StepBlueprint,
        instance: Instance,
        variables: Mapping[str, Any],
        wanted: Wanted,
        index: int | None,
    ) -> None:
        values = dict(variables) if index is None else {**variables, "index": index, "number": index + 1}
        step_id = f"{instance.prefix}.{step.id}" + ("" if index is None else f"-{values['number']}")
        instance.steps.setdefault(step.id, []).append(step_id)
        where = f"blueprint '{plan.id}', step '{step.id}'"
        params: JsonObject = fill(step.params, values, where)
        engine, inputs, why = step.engine, self._inputs(step, instance, wanted), step.why
        if step.translatable and instance.language != self.primary:
            engine, params, inputs, why = self._translation(plan, step, instance.language, params, wanted)
        language = instance.language if plan.per_language or step.translatable else ""
        checks = fill(step.checks, values, where)
        self._put(
            step_id, step.model_copy(update={"engine": engine, "why": why}), params, inputs, checks, language
        )

    def _put(
        self,
        step_id: str,
        step: StepBlueprint,
        params: JsonObject,
        inputs: dict[str, tuple[str, ...]],
        checks: dict[str, JsonObject],
        language: str,
    ) -> None:
        """Put a step into the plan, with all that its engine decides."""
        card = self.shop.card(step.engine)
        model, weights = self.shop.weights(card, step.model)
        self._steps[step_id] = self._estimated(
            Step(
                id=step_id,
                engine=card.id,
                version=card.version,
                model=model,
                weights=weights,
                params=params,
                inputs=inputs,
                checks=checks,
                seed=None if card.determinism == "exact" else self.brief.seed,
                language=language,
                locality=card.locality,
                why=step.why or f"{card.summary}; {card.locality}, {card.licence}",
            )
        )

    def _inputs(self, step: StepBlueprint, instance: Instance, wanted: Wanted) -> dict[str, tuple[str, ...]]:
        found: dict[str, tuple[str, ...]] = {}
        for port, references in step.inputs.items():
            resolved = [
                each for reference in references for each in self._resolve(reference, instance, wanted)
            ]
            if resolved:
                found[port] = tuple(resolved)
        return found

    def _resolve(self, reference: str, instance: Instance, wanted: Wanted) -> list[str]:
        match reference:
            case "sources:*":
                return [f"source:{source.name}" for source in self.sources]
            case "documents:*":
                return [f"document:{source.name}" for source in self.sources]
            case "tables:*":
                return [f"source:{source.name}" for source in self.sources if source.media_type in TABULAR]
            case _:
                pass
        if reference.startswith("@"):
            kind, _, rest = reference[1:].partition(".")
            other = blueprint(kind)
            if other.needs == "table" and self.table is None:
                return []
            instance, reference = self._place(other, instance.language, wanted), rest
        elif is_source(reference):
            return [reference]
        step, port = split(reference)
        if step not in instance.steps:
            raise InvalidPlan(
                f"'{reference}' names no step",
                where="inputs",
                remedy=f"steps are: {', '.join(instance.steps)}",
            )
        return [f"{step_id}.{port}" for step_id in instance.steps[step]]

    def _translation(
        self, plan: Blueprint, step: StepBlueprint, language: str, params: JsonObject, wanted: Wanted
    ) -> tuple[str, JsonObject, dict[str, tuple[str, ...]], str]:
        """A draft in a further language is the first language's draft, translated."""
        original = self._place(plan, self.primary, wanted)
        inputs = {"text": (f"{original.steps[step.id][0]}.text",)}
        if (self.primary, language) == ("en", "fr"):
            why = "an encoder-decoder made for this pair: exact structure, quick, local"
            return "translate", {"source": "en", "target": "fr"}, inputs, why
        why = f"no translation model for {self.primary}-{language} is at hand: the language model translates"
        name = LANGUAGE_NAMES[language]
        prompt = f"Translate every value into {name}. Keep the keys, the numbers, the units and the names."
        return "language", {**params, "prompt": prompt}, inputs, why

    def _variables(self, plan: Blueprint, language: str, wanted: Wanted) -> dict[str, Any]:
        """Everything that ``$name`` may stand for in a blueprint."""
        brand = self.brief.brand
        values: dict[str, Any] = {
            "count": 3,
            "seconds": 25,
            **plan.defaults,
            "subject": self.intent.subject,
            "summary": self.intent.summary,
            "goal": self.brief.goal,
            "audience": self.intent.audience or "its future customers",
            "tone": brand.tone or self.intent.tone or "clear and friendly",
            "focus": wanted.focus or self.intent.subject,
            "language": language,
            "language_name": LANGUAGE_NAMES[language],
            "brand": brand.name or self.intent.subject,
            "palette": list(brand.colors),
            "font": brand.font,
            "seed": self.brief.seed,
            **SHAPES,
        }
        if wanted.count:
            values["count"] = wanted.count
        if wanted.seconds:
            values["seconds"] = wanted.seconds
        values["words"] = int(values["seconds"] * WORDS_A_SECOND)
        if self.table is not None:
            values |= {
                "table": self.table.name,
                "x": self.table.x,
                "y": self.table.y,
                "mark": self.table.mark,
                "unit": title_of(self.table.y).partition("(")[2].rstrip(")"),
                "chart_title": f"{self.intent.subject}: {title_of(self.table.y)}",
                "source_note": self.table.name.replace("_", " "),
            }
        strings = plan.strings.get(language) or plan.strings.get("en", {})
        return values | {f"t_{key}": text for key, text in strings.items()}

    def _deliver(self, plan: Blueprint, instance: Instance, wanted: Wanted) -> None:
        variables = self._variables(plan, instance.language, wanted)
        for item in plan.deliver:
            times = range(int(variables[item.for_each])) if item.for_each else [None]
            for index in times:
                values = variables if index is None else {**variables, "number": index + 1}
                name, port = split(fill(item.output, values, f"blueprint '{plan.id}'"))
                several = len(instance.prefix) > len(plan.id.replace("_", "-"))
                path: str = fill(item.path, values, f"blueprint '{plan.id}'")
                if several:
                    stem, dot, suffix = path.rpartition(".")
                    path = f"{stem}{instance.prefix.removeprefix(plan.id.replace('_', '-'))}{dot}{suffix}"
                self._policy(
                    Deliverable(
                        output=f"{instance.steps[name][0]}.{port}",
                        path=path,
                        title=fill(item.title, values, f"blueprint '{plan.id}'"),
                        kind=plan.id,
                        language=instance.language if plan.per_language else "",
                    )
                )

    def _policy(self, item: Deliverable) -> None:
        """Put a deliverable into the plan, with the checks that the policy asks for."""
        step = self._steps[split(item.output)[0]]
        engine = self.shop.engine(step.engine)
        ports = {port.name: port for port in engine.outputs_for(engine.params.model_validate(step.params))}
        if split(item.output)[1] not in ports:
            raise InvalidPlan(
                f"there is no output '{item.output}'",
                where=f"deliverable '{item.path}'",
                remedy=", ".join(ports),
            )
        checks = dict(step.checks)
        for media_type in ports[split(item.output)[1]].media_types:
            for check, options in self.shop.policy.checks_for(
                media_type, item.kind, step.engine, item.language
            ).items():
                checks[check] = {**checks.get(check, {}), **options}
        language = item.language or step.language
        self._steps[step.id] = step.model_copy(update={"checks": checks, "language": language})
        self._deliverables[item.path] = item

    def _estimated(self, step: Step) -> Step:
        engine = self.shop.engine(step.engine)
        try:
            params = engine.params.model_validate(step.params)
        except ValidationError as error:
            place, words = first_fault(error)
            raise InvalidPlan(words, where=f"step '{step.id}', field 'params.{place}'") from error
        size = sum(source.size for source in self.sources) if "sources" in step.inputs else 4000
        estimate = engine.estimate(params, size)
        return step.model_copy(update={"seconds": estimate.seconds, "cost": estimate.cost})


def _place_on_page(kind: str) -> int:
    """Deliverables stand in the order of a launch kit, pictures first; other kinds follow."""
    order = blueprint("launch_kit").parts
    return order.index(kind) if kind in order else len(order)
