"""What was made, where it lies, what waits for a person: lines for a terminal."""

from pathlib import Path

from bottega.core.plan import Deliverable, Plan
from bottega.core.run import Run, StepResult
from bottega.delivery.manifest import PAGE
from bottega.delivery.words import amount, duration, outside, state_words


def summary(plan: Plan, run: Run, out: Path | None) -> list[str]:
    """Plain lines, most important first; no colours, no cursor movement.

    Args:
        plan: what was asked of the workshop.
        run: how it ended.
        out: the delivered folder, or None when nothing was delivered.
    """
    results = {result.step: result for result in run.results}
    words = state_words(run.state)
    lines = [f"{words.title}: {words.sentence}"]
    if run.reason:
        lines.append(f"  {_line(run.reason)}")
    width = max((len(item.path) for item in plan.deliverables), default=0)
    for item in plan.deliverables:
        result = results.get(item.output.rpartition(".")[0])
        delivered = out is not None and (out / item.path).is_file()
        state = _flags(item, result) if delivered else _missing(result)
        lines.append(f"  {item.path.ljust(width)}  {_line(item.title)}{state}")
    waiting = [result.step for result in run.results if result.state == "awaiting_review"]
    if waiting:
        lines.append(f"{amount(len(waiting), 'step')} waiting for a person: bottega review list")
    seconds = sum(result.seconds for result in run.results)
    cost = sum(result.cost for result in run.results)
    places = outside(plan, run)
    left = f"sent to {', '.join(places)}" if places else "nothing left this machine"
    lines.append(f"{duration(seconds)} of work, {f'${cost:.2f}' if cost else 'no cost'}, {left}")
    if out is not None:
        lines.append(f"Open {out / PAGE}")
    return lines


def _missing(result: StepResult | None) -> str:
    if result is not None and result.state == "awaiting_review":
        return "  [waits for a person]"
    return f"  [not made: {_line(result.error)}]" if result and result.error else "  [not made]"


def _flags(item: Deliverable, result: StepResult | None) -> str:
    found = [
        verdict.check
        for made in (result.outputs if result else ())
        if f"{result.step if result else ''}.{made.port}" == item.output
        for verdict in made.verdicts
        if verdict.outcome != "pass"
    ]
    return f"  [flagged: {', '.join(found)}]" if found else ""


def _line(text: str) -> str:
    """One printable line of at most 160 characters."""
    flat = " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
    return flat if len(flat) <= 160 else f"{flat[:159]}…"
