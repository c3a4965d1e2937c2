"""`bottega evaluate`."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from bottega.evaluation.table import Table


@click.command()
@click.argument("run", type=click.Path(path_type=Path, file_okay=False))
@click.option("--json", "machine", is_flag=True, help="Print as JSON.")
def command(run: Path, machine: bool) -> None:
    """Measure the trained RUN between a floor, a trivial and a classical baseline, and write its card anew."""
    from bottega.cli.show import as_json
    from bottega.service.training import Training
    from bottega.settings import Settings

    settings = Settings()
    table = Training(settings.home, settings.threads).evaluate(run).table
    assert table is not None
    if machine:
        return as_json(table.document())
    show(table)


def show(measured: "Table") -> None:
    """Print the rows, and what the columns mean."""
    from bottega.cli.show import table

    table("", ("row", "what", *measured.measures), list(measured.cells()))
    for name, meaning in measured.measures.items():
        click.echo(f"  {name}: {meaning}")
    for note in measured.notes:
        click.echo(f"  {note}")
