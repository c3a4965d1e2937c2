"""`bottega keys`."""

from dataclasses import asdict

import click

ROLES = ("admin", "developer", "reviewer", "auditor", "viewer")


@click.group()
def command() -> None:
    """Keys for `bottega serve`: who may call, as what, and which accounts pay."""


@command.command()
@click.option("--name", required=True, help="Whose it is; stands in the record as key:NAME.")
@click.option("--role", type=click.Choice(ROLES), default="developer", show_default=True)
@click.option("--charge", multiple=True, metavar="ACCOUNT", help="An account that pays; may be repeated.")
@click.option("--project", default="", help="Where it counts; project and team pay as well.")
@click.option("--label", "labels", multiple=True, help="Of documents that it may see; may be repeated.")
@click.option("--expires", default="", metavar="TIME", help="A date, or a time as 2027-01-31T18:00:00Z.")
@click.option("--quiet", is_flag=True, help="Print the key and nothing else.")
def create(
    name: str,
    role: str,
    charge: tuple[str, ...],
    project: str,
    labels: tuple[str, ...],
    expires: str,
    quiet: bool,
) -> None:
    """Make a key and print it. It is not kept, and cannot be shown again."""
    from bottega.bootstrap import build
    from bottega.cli.files import warn

    service = build()
    try:
        key, secret = service.keys().create(
            name, role=role, charge=charge, expires=expires, project=project, labels=labels
        )
        warn(service.audit.attest())
    finally:
        service.close()
    click.echo(secret)
    if not quiet:
        until = f", until {key.expires_at}" if key.expires_at else ""
        click.echo(f"{key.id} is {name}'s, as {role}{until}; keep it now, it is not shown again", err=True)


@command.command("list")
@click.option("--json", "machine", is_flag=True, help="Print as JSON.")
def list_(machine: bool) -> None:
    """List keys; never their secrets."""
    from bottega.bootstrap import build, now
    from bottega.cli.show import as_json, table

    service = build()
    try:
        found = service.keys().all()
    finally:
        service.close()
    moment = now()
    if machine:
        return as_json([{**asdict(key), "state": key.state(moment)} for key in found])
    rows = [
        (
            key.id,
            key.name,
            key.role,
            key.project or "-",
            ", ".join(key.charge) or "-",
            key.expires_at or "never",
            key.state(moment),
        )
        for key in found
    ]
    table("Keys", ("id", "name", "role", "project", "charged to", "expires", "state"), rows)


@command.command()
@click.argument("key")
@click.option("--why", default="", help="A reason for the record.")
def revoke(key: str, why: str) -> None:
    """Revoke KEY, an id or a name: from now on it is refused."""
    from bottega.bootstrap import build

    service = build()
    try:
        gone = service.keys().revoke(key, why=why)
    finally:
        service.close()
    for each in gone:
        click.echo(f"revoked {each.id} ({each.name})")
