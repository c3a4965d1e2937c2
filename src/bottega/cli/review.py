"""`bottega review`."""

import asyncio
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from bottega.cli.brief import release_options

if TYPE_CHECKING:
    from bottega.governance.review import Decision
    from bottega.pipelines.review import Waiting

policy_option = click.option(
    "--policy",
    type=click.Path(path_type=Path),
    help="TOML policy of the run, when it is not the one that ships.",
)


@click.group()
def command() -> None:
    """Look at what waits for a person, take it on, approve or reject it."""


def _facts(waiting: "Waiting", now: str) -> dict[str, object]:
    return {
        "id": waiting.id,
        "state": waiting.state,
        "owner": waiting.owner,
        "opened_at": waiting.opened_at,
        "due_at": waiting.due_at,
        "expires_at": waiting.expires_at,
        "overdue": waiting.overdue(now),
        "ticket": waiting.ticket.document(),
        "standing": [
            {
                "rule": each.asked.rule,
                "approvals": each.approvals,
                "of": each.asked.approvals,
                "missing_roles": list(each.missing_roles),
            }
            for each in waiting.standing
        ],
        "decisions": [decision.document() for decision in waiting.decisions],
    }


def _so_far(waiting: "Waiting") -> str:
    """For example `1 of 2, legal is missing`."""
    if waiting.state in ("rejected", "expired"):
        return waiting.state
    words = [
        f"{each.approvals} of {each.asked.approvals}"
        + (f", {' and '.join(each.missing_roles)} missing" if each.missing_roles else "")
        for each in waiting.standing
    ]
    return "; ".join(dict.fromkeys(words))


def _span(start: str, end: str) -> str:
    """Time between two moments, in the unit that people would use."""
    minutes = round((datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds() / 60)
    if minutes < 120:
        return f"{minutes} min"
    return f"{minutes // 60} h" if minutes < 48 * 60 else f"{minutes // 1440} days"


def _due(waiting: "Waiting", now: str) -> str:
    if not waiting.due_at or waiting.state != "open":
        return ""
    late = waiting.overdue(now)
    return f"{_span(waiting.due_at, now)} ago" if late else f"in {_span(now, waiting.due_at)}"


@command.command("list")
@click.option("--mine", default="", metavar="NAME", help="What this person, or a role of theirs, has.")
@click.option("--overdue", is_flag=True, help="Only what should have been decided by now.")
@click.option("--all", "everything", is_flag=True, help="Decided and expired ones too.")
@policy_option
@click.option("--json", "machine", is_flag=True, help="Print as JSON.")
def list_(mine: str, overdue: bool, everything: bool, policy: Path | None, machine: bool) -> None:
    """List open reviews, the next due first."""
    from bottega.bootstrap import build
    from bottega.cli.show import as_json, table

    service = build(policy=policy)
    found = service.reviews().queue(mine=mine, overdue=overdue, everything=everything)
    now = service.shop.now()
    if machine:
        as_json([_facts(each, now) for each in found])
        return
    rows = [
        (
            each.id[:12],
            each.run_id,
            each.ticket.step,
            each.ticket.reason,
            each.owner,
            _due(each, now),
            _span(each.opened_at, now),
            _so_far(each),
        )
        for each in found
    ]
    columns = ("review", "run", "step", "why a person is asked", "owner", "due", "age", "approvals")
    table("Reviews", columns, rows)


@command.command()
@click.argument("review")
@click.option("--copy", type=click.Path(path_type=Path), help="Write the file to look at here.")
@click.option("--json", "machine", is_flag=True, help="Print as JSON.")
def show(review: str, copy: Path | None, machine: bool) -> None:
    """Show one review: the file to look at, what the checks said, and who has decided."""
    from bottega.bootstrap import build
    from bottega.cli.show import as_json
    from bottega.core.artifact import Artifact

    service = build()
    waiting, now = service.reviews().get(review), service.shop.now()
    if machine:
        as_json(_facts(waiting, now))
        return
    ticket = waiting.ticket
    lines = [f"review  {waiting.id}", f"state   {waiting.state}, {_so_far(waiting)}", f"run     {ticket.run}"]
    if ticket.artifact:
        holder = service.shop.runs.get(ticket.run)[0].holder
        artifacts = service.shop_of(holder).artifacts
        file = artifacts.checked(Artifact(sha256=ticket.artifact, media_type="", size=0))
        if copy is not None:
            copy.write_bytes(file.read_bytes())
        if copy is not None or holder:  # an opened copy of what is sealed ends with this process
            file = copy or "sealed: write it into a file of yours with --copy"
        lines += [f"output  {ticket.step}.{ticket.port}", f"file    {file}"]
    lines.append(f"why     {ticket.reason}")
    for name, value in (
        ("owner", waiting.owner),
        ("due", _due(waiting, now)),
        ("expires", waiting.expires_at),
    ):
        if value:
            lines.append(f"{name:7} {value}")
    for verdict in ticket.verdicts:
        lines.append(f"{verdict.outcome:7} {verdict.check}: {verdict.reason}")
        lines += [f"          {key}: {value}" for key, value in verdict.evidence.items()]
    for said in waiting.decisions:
        signed = ", signed" if said.signature else ""
        lines.append(
            f"decided {said.outcome} by {said.who}{signed}{_login(said)}"
            + (f": {said.why}" if said.why else "")
        )
    click.echo("\n".join(lines))


@command.command()
@click.argument("review")
@click.option("--who", prompt="Your name", help="Who takes it on.")
@click.option("--take-over", is_flag=True, help="Even when somebody else has it.")
@policy_option
def claim(review: str, who: str, take_over: bool, policy: Path | None) -> None:
    """Take a review on, so that others see that it is looked at."""
    from bottega.bootstrap import build

    waiting = build(policy=policy).reviews().claim(review, who, take_over=take_over)
    click.echo(
        f"{waiting.owner} has review {waiting.id[:12]}; decide with `bottega review approve` or `reject`"
    )


def _login(said: "Decision") -> str:
    from bottega.governance.approval import bare

    return f", login {bare(said.by)}" if said.by and bare(said.by) != said.who else ""


@command.command()
@click.argument("file", type=click.Path(path_type=Path))
def key(file: Path) -> None:
    """Make a key to sign decisions with, if FILE is not there, and print the line for the policy."""
    from bottega.governance.personal_key import make_key, public_key, read_key

    if not file.exists():
        make_key(file)
    click.echo(f'key = "{public_key(read_key(file))}"')


def _decide(
    review: str,
    outcome: Literal["approve", "reject"],
    who: str,
    why: str,
    key: Path | None,
    resume: bool,
    release: dict[str, Path | None],
) -> None:
    from bottega.bootstrap import build
    from bottega.cli.files import warn
    from bottega.cli.progress import Watcher
    from bottega.governance.personal_key import read_key

    service = build(
        signing_key=release["signing_key"], certificate=release["certificate"], policy=release["policy"]
    )
    reviews = service.reviews()
    waiting = reviews.decide(review, outcome, who, why, key=read_key(key) if key else None)
    warn(service.audit.attest())
    done = "approved" if outcome == "approve" else "rejected"
    output = ".".join(part for part in (waiting.ticket.step, waiting.ticket.port) if part)
    click.echo(f"{done} by {waiting.decisions[-1].who}: {output}")
    more = len([each for each in reviews.all(waiting.run_id) if each.state == "open"])
    if waiting.state == "open":
        click.echo(f"more people must decide: {_so_far(waiting)}")
    elif more:
        click.echo(f"{more} more wait in this run")
    elif not resume:
        click.echo(f"run {waiting.run_id} goes on with the next worker, or: bottega resume {waiting.run_id}")
    else:
        _, plan = service.shop.runs.get(waiting.run_id)
        with Watcher(plan) as watcher:
            made = asyncio.run(service.resume(waiting.run_id, watch=watcher, cancelled=watcher.cancelled))
        service.close()
        click.echo(f"run {made.run.id}: {made.run.state.replace('_', ' ')} {made.run.reason}")
        if made.out:
            click.echo(f"see {made.out / 'index.html'}")
        if outcome == "approve" and made.run.state == "failed":
            raise click.exceptions.Exit(6)


@command.command()
@click.argument("review")
@click.option("--who", prompt="Your name", help="Who approves.")
@click.option("--why", default="", help="A reason for the record.")
@click.option(
    "--key", type=click.Path(path_type=Path), help="Your PEM key, when the policy lists one for you."
)
@click.option("--resume/--no-resume", default=True, show_default=True, help="Go on with the run.")
@release_options
def approve(review: str, who: str, why: str, key: Path | None, resume: bool, **release: Path | None) -> None:
    """Let exactly these bytes leave, once everybody has approved who must."""
    _decide(review, "approve", who, why, key, resume, release)


@command.command()
@click.argument("review")
@click.option("--who", prompt="Your name", help="Who rejects.")
@click.option("--why", prompt="Reason", help="What is wrong.")
@click.option(
    "--key", type=click.Path(path_type=Path), help="Your PEM key, when the policy lists one for you."
)
@click.option("--resume/--no-resume", default=True, show_default=True, help="Go on with the run.")
@release_options
def reject(review: str, who: str, why: str, key: Path | None, resume: bool, **release: Path | None) -> None:
    """Keep it from leaving; the step fails with your reason."""
    _decide(review, "reject", who, why, key, resume, release)
