"""`bottega data`."""

from pathlib import Path

import click


@click.group()
def command() -> None:
    """Look at data before training on them."""


@command.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--json", "machine", is_flag=True, help="Print as JSON.")
def check(folder: Path, machine: bool) -> None:
    """Licences, duplicates, balance, leakage, personal data and corrupt files of FOLDER; exit 3 when it may not be used."""
    from bottega.cli.show import as_json, size
    from bottega.core.errors import PolicyDenied
    from bottega.service.training import check_data

    found = check_data(folder)
    rules = ", ".join(dict.fromkeys(each.rule for each in found.refused))
    denied = PolicyDenied(
        f"may not be trained on, by the rule {rules}",
        where=str(folder),
        remedy="take those examples out, or lay a file LICENCE beside what you have the right to use",
    )
    if machine:
        as_json({**found.document(), "refused_by": rules})
        raise click.exceptions.Exit(denied.exit_code if rules else 0)
    click.echo(f"{found.examples} examples, {size(found.size)}: {_told(found.kinds)}")
    for name in ("classes", "splits", "licences"):
        click.echo(f"{name}: {_told(getattr(found, name)) or 'none told'}")
    for each in found.findings:
        click.echo(f"{each.level}  {each.kind}{f' [{each.rule}]' if each.rule else ''}: {each.what}")
        for place in each.places:
            click.echo(f"    {place}")
    if rules:
        raise denied
    if not found.findings:
        click.echo("nothing found against it")


def _told(counts: dict[str, int]) -> str:
    shown = [f"{name} {count}" for name, count in list(counts.items())[:12]]
    return ", ".join(shown) + (f" and {len(counts) - 12} more" if len(counts) > 12 else "")
