"""`bottega review`."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from bottega.cli.brief import release_options

if TYPE_CHECKING:
    from bottega.pipelines.review import Waiting


@click.group()
def command() -> None:
    """Look at what waits for a person, approve or reject it."""


def _facts(waiting: "Waiting") -> dict[str, object]:
    decision = waiting.decision.document() if waiting.decision else None
    return {"id": waiting.id, "ticket": waiting.ticket.document(), "decision": decision}


@command.command("list")
@click.option("--all", "everything", is_flag=True, help="Decided ones too.")
@click.option("--json", "machine", is_flag=True, help="Print as JSON.")
def list_(everything: bool, machine: bool) -> None:
    """List open reviews."""
    from bottega.bootstrap import build
    from bottega.cli.show import as_json, table

    found = [each for each in build().reviews().all() if everything or each.decision is None]
    if machine:
        as_json([_facts(each) for each in found])
        return
    rows = [
        (
            each.id[:12],
            each.run_id,
            each.ticket.step,
            each.ticket.reason,
            f"{each.decision.outcome} by {each.decision.who}" if each.decision else "open",
        )
        for each in found
    ]
    table("Reviews", ("review", "run", "step", "why a person is asked", "state"), rows)


@command.command()
@click.argument("review")
@click.option("--copy", type=click.Path(path_type=Path), help="Write the file to look at here.")
@click.option("--json", "machine", is_flag=True, help="Print as JSON.")
def show(review: str, copy: Path | None, machine: bool) -> None:
    """Show one review: the file to look at and what the checks said."""
    from bottega.bootstrap import build
    from bottega.cli.show import as_json
    from bottega.core.artifact import Artifact

    service = build()
    waiting = service.reviews().get(review)
    if machine:
        as_json(_facts(waiting))
        return
    ticket = waiting.ticket
    run, _ = service.shop.runs.get(ticket.run)
    file = service.shop_of(run.holder).artifacts.locate(
        Artifact(sha256=ticket.artifact, media_type="", size=0)
    )
    if copy is not None:
        copy.write_bytes(file.read_bytes())
    if copy is not None or run.holder:  # an opened copy of what is sealed ends with this process
        file = copy or "sealed: write it into a file of yours with --copy"
    click.echo(
        f"review  {waiting.id}\nrun     {ticket.run}\noutput  {ticket.step}.{ticket.port}\nfile    {file}"
    )
    for verdict in ticket.verdicts:
        click.echo(f"{verdict.outcome:7} {verdict.check}: {verdict.reason}")
        for key, value in verdict.evidence.items():
            click.echo(f"          {key}: {value}")
    if waiting.decision is not None:
        click.echo(f"decided {waiting.decision.outcome} by {waiting.decision.who}: {waiting.decision.why}")


def _decide(
    review: str,
    outcome: Literal["approve", "reject"],
    who: str,
    why: str,
    resume: bool,
    release: dict[str, Path | None],
) -> None:
    from bottega.bootstrap import build
    from bottega.cli.files import warn
    from bottega.cli.progress import Watcher

    service = build(
        signing_key=release["signing_key"], certificate=release["certificate"], policy=release["policy"]
    )
    waiting, decision = service.reviews().decide(review, outcome, who, why)
    warn(service.audit.attest())
    done = "approved" if outcome == "approve" else "rejected"
    click.echo(f"{done} by {decision.who}: {waiting.ticket.step}.{waiting.ticket.port}")
    still_open = [each for each in service.reviews().all(waiting.run_id) if each.decision is None]
    if still_open:
        click.echo(f"{len(still_open)} more wait in this run")
    elif resume:
        _, plan = service.shop.runs.get(waiting.run_id)
        with Watcher(plan) as watcher:
            made = asyncio.run(service.resume(waiting.run_id, watch=watcher))
        click.echo(f"run {made.run.id}: {made.run.state.replace('_', ' ')} {made.run.reason}")
        if made.out:
            click.echo(f"see {made.out / 'index.html'}")
        if outcome == "approve" and made.run.state == "failed":
            raise click.exceptions.Exit(6)


@command.command()
@click.argument("review")
@click.option("--who", prompt="Your name", help="Who approves.")
@click.option("--why", default="", help="A reason for the record.")
@click.option("--resume/--no-resume", default=True, show_default=True, help="Go on with the run.")
@release_options
def approve(review: str, who: str, why: str, resume: bool, **release: Path | None) -> None:
    """Let exactly these bytes leave."""
    _decide(review, "approve", who, why, resume, release)


@command.command()
@click.argument("review")
@click.option("--who", prompt="Your name", help="Who rejects.")
@click.option("--why", prompt="Reason", help="What is wrong.")
@click.option("--resume/--no-resume", default=True, show_default=True, help="Go on with the run.")
@release_options
def reject(review: str, who: str, why: str, resume: bool, **release: Path | None) -> None:
    """Keep it from leaving; the step fails with your reason."""
    _decide(review, "reject", who, why, resume, release)
