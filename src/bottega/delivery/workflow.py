"""The plan as the page draws it: nodes, curves, colours of state."""

from collections.abc import Sequence
from dataclasses import dataclass

from bottega.core.plan import Plan
from bottega.core.run import Run, StepResult
from bottega.delivery.graph import HEIGHT, WIDTH, Point, layout
from bottega.delivery.words import StateWords, duration, step_words


@dataclass(frozen=True)
class Node:
    """A box: a source document or a step. Positions in pixels."""

    id: str
    title: str
    under: str
    note: str
    tone: str
    x: float
    y: float
    source: bool
    delivered: bool
    hint: str


@dataclass(frozen=True)
class Workflow:
    """Everything that the drawing needs."""

    nodes: tuple[Node, ...]
    paths: tuple[str, ...]  # SVG path data
    width: float
    height: float
    box: tuple[int, int] = (WIDTH, HEIGHT)


def workflow(plan: Plan, run: Run) -> Workflow:
    """Lay the plan's sources and steps out, left to right."""
    results = {result.step: result for result in run.results}
    steps = {step.id for step in plan.steps}
    delivered = {item.output.rpartition(".")[0] for item in plan.deliverables}
    edges: list[tuple[str, str]] = []
    for step in plan.steps:
        for reference in (ref for references in step.inputs.values() for ref in references):
            edges.append((_origin(reference, steps), step.id))
    used = {left for left, _ in edges}
    sources = [source for source in plan.sources if f"source:{source.name}" in used]
    names = [f"source:{source.name}" for source in sources] + [step.id for step in plan.steps]
    drawing = layout(names, edges)
    nodes = [
        Node(
            name,
            _short(source.name, 19),
            "source",
            "",
            "quiet",
            *drawing.nodes[name],
            True,
            False,
            source.name,
        )
        for source in sources
        if (name := f"source:{source.name}")
    ]
    for step in plan.steps:
        words, note = _state(results.get(step.id))
        x, y = drawing.nodes[step.id]
        hint = f"{step.id}: {step.engine} {step.model}".strip() + f", {words.title}"
        nodes.append(
            Node(
                step.id,
                _short(step.id, 19),
                _short(step.engine, 13),
                note,
                words.tone,
                x,
                y,
                False,
                step.id in delivered,
                hint,
            )
        )
    return Workflow(
        tuple(nodes),
        tuple(_curve(points) for points in drawing.edges.values()),
        drawing.width,
        drawing.height,
    )


def _origin(reference: str, steps: set[str]) -> str:
    """The node that a reference comes from; step names may hold dots, so the longest one wins."""
    if reference.startswith("source:"):
        return reference
    step = reference.rpartition(".")[0]
    return step if step in steps else reference.partition(".")[0]


def _state(result: StepResult | None) -> tuple[StateWords, str]:
    words = step_words(result.state if result else "waiting")
    if result is None or result.state in ("waiting", "skipped", "reused"):
        return words, words.title
    return words, duration(result.seconds)


def _curve(points: Sequence[Point]) -> str:
    """A smooth line: straight inside a layer, an S between two."""
    (x, y), *rest = points
    out = f"M{x:g} {y:g}"
    for next_x, next_y in rest:
        if abs(next_y - y) < 0.05:
            out += f"H{next_x:g}"
        else:
            middle = (x + next_x) / 2
            out += f"C{middle:g} {y:g} {middle:g} {next_y:g} {next_x:g} {next_y:g}"
        x, y = next_x, next_y
    return out


def _short(text: str, count: int) -> str:
    return text if len(text) <= count else f"{text[: count - 1]}…"
