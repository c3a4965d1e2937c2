"""`bottega verify`."""

from pathlib import Path

import click


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--trust", multiple=True, type=click.Path(path_type=Path), help="A root certificate, PEM.")
@click.option("--json", "machine", is_flag=True, help="Print as JSON.")
def command(files: tuple[Path, ...], trust: tuple[Path, ...], machine: bool) -> None:
    """Check FILES: signature, hash, checks, parents. Needs nothing but the files themselves."""
    from bottega.cli.show import as_json
    from bottega.core.errors import InvalidValue
    from bottega.governance.authority import local_root
    from bottega.governance.verify import verify
    from bottega.settings import Settings

    roots: list[str] = []
    for path in trust:
        try:
            roots.append(path.read_text("ascii"))
        except (OSError, UnicodeDecodeError) as error:
            raise InvalidValue(
                "the certificate cannot be read", where=str(path), remedy="give a PEM file"
            ) from error
    roots.append(local_root(Settings().state / "keys"))
    found = [verify(path, [root for root in roots if root]) for path in files]
    if machine:
        as_json([each.document() for each in found])
    for each in found:
        if machine:
            continue
        color = {"valid": "green", "untrusted": "yellow"}.get(each.state, "red")
        click.secho(f"{each.state:9}", fg=color, bold=True, nl=False)
        click.echo(f" {each.path}: {'; '.join(each.reasons)}")
        if each.provenance is not None:
            made = each.provenance
            model = f" with {made.model}" if made.model else ""
            click.echo(f"          made by {made.engine}{model} in run {made.run_id}, seed {made.seed}")
            for verdict in made.verdicts:
                click.echo(f"          {verdict.outcome:5} {verdict.check}: {verdict.reason}")
            for parent in each.parents:
                click.echo(f"          from {parent.ingredient.name} ({parent.state} here)")
        if each.remedy:
            click.echo(f"          what to do: {each.remedy}")
    worst = sorted(found, key=lambda each: ("tampered", "unsigned", "untrusted", "valid").index(each.state))
    if worst[0].state == "tampered":
        raise click.exceptions.Exit(9)
    if worst[0].state != "valid":
        raise click.exceptions.Exit({"unsigned": 2, "untrusted": 3}[worst[0].state])
