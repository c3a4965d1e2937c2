"""`bottega plan`."""

import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bottega.cli.brief import brief_options, charge_option, read_brief

if TYPE_CHECKING:
    from bottega.core.plan import Plan


@click.command()
@brief_options
@charge_option
@click.option("--out", type=click.Path(path_type=Path), default=Path("plan.json"), show_default=True)
@click.option("--json", "machine", is_flag=True, help="Print the plan as JSON.")
def command(out: Path, charge: tuple[str, ...], machine: bool, data_subject: str, **wanted: Any) -> None:
    """Show what `make` would do, and write it to a file that can be edited and run."""
    from bottega.bootstrap import build
    from bottega.cli.progress import Watcher
    from bottega.cli.show import as_json

    service = build()
    with Watcher(quiet=machine) as watcher:
        planning = service.plan(read_brief(**wanted), watcher.note, charge=charge, data_subject=data_subject)
        plan = asyncio.run(planning)
    service.close()
    _write(out, json.dumps(plan.document(), ensure_ascii=False, indent=2) + "\n")
    if machine:
        as_json(plan.document())
        return
    show_plan(plan)
    click.echo(f"Written to {out}. Edit it and run:  bottega make --plan {out}")


def _write(out: Path, text: str) -> None:
    """The whole file or nothing."""
    from bottega.core.errors import StorageFailed

    fresh = out.with_name(f".{out.name}.part")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        fresh.write_text(text, encoding="utf-8")
        fresh.replace(out)
    except OSError as error:
        if fresh.is_file():
            fresh.unlink()
        raise StorageFailed(
            f"the plan cannot be written: {error.strerror or error}",
            where=str(out),
            remedy="free some space or choose another --out",
        ) from error


def show_plan(plan: "Plan") -> None:
    """The plan as a table for people."""
    from bottega.cli.show import duration, table

    rows = [
        (
            step.id,
            step.engine,
            step.model or "-",
            step.why,
            ", ".join(reference for references in step.inputs.values() for reference in references) or "-",
            ", ".join(step.checks) or "-",
            f"{step.seconds:.0f}",
            f"{step.cost:.4f}" if step.cost else "-",
        )
        for step in plan.steps
    ]
    table("Plan", ("step", "engine", "model", "why", "inputs", "checks", "s", "$"), rows)
    files = [(item.path, item.title, item.output) for item in plan.deliverables]
    table("Deliverables", ("file", "title", "made by"), files)
    for note in plan.intent.get("notes", []):
        click.echo(f"note: {note}")
    seconds, cost = sum(step.seconds for step in plan.steps), sum(step.cost for step in plan.steps)
    away = sorted({step.engine for step in plan.steps if step.locality == "remote"})
    leaves = f"leaves this machine: what {', '.join(away)} gets" if away else "nothing leaves this machine"
    click.echo(f"{len(plan.steps)} steps, about {duration(seconds)}, about ${cost:.2f}; {leaves}.")
