"""`bottega projects`."""

from dataclasses import asdict

import click


@click.group()
def command() -> None:
    """Projects and their teams: where keys and people have roles, and which accounts pay."""


@command.command("set")
@click.argument("project")
@click.option("--team", default="", help="The team that it belongs to, whose account pays as well.")
@click.option("--close", is_flag=True, help="Refuse its keys; what it had made stays.")
@click.option("--why", default="", help="A reason for the record.")
def set_(project: str, team: str, close: bool, why: str) -> None:
    """Make PROJECT, give it to a team, or close it."""
    from bottega.bootstrap import build

    service = build()
    try:
        made = service.projects().set(project, team=team, closed=close, why=why)
    finally:
        service.close()
    click.echo(f"{made.id}{f' of {made.team}' if made.team else ''}{', closed' if made.closed else ''}")


@command.command("list")
@click.option("--json", "machine", is_flag=True, help="Print as JSON.")
def list_(machine: bool) -> None:
    """List projects."""
    from bottega.bootstrap import build
    from bottega.cli.show import as_json, table

    service = build()
    try:
        found = service.projects().all()
    finally:
        service.close()
    if machine:
        return as_json([asdict(each) for each in found])
    rows = [(each.id, each.team or "-", "closed" if each.closed else "open") for each in found]
    table("Projects", ("id", "team", "state"), rows)
