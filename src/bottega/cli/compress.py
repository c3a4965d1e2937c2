"""`bottega compress`."""

from pathlib import Path

import click


@click.command()
@click.argument("run", type=click.Path(path_type=Path, file_okay=False))
@click.option(
    "--seeds", type=click.IntRange(1, 20), default=3, show_default=True, help="How often to measure."
)
@click.option("--json", "machine", is_flag=True, help="Print the table as JSON.")
def command(run: Path, seeds: int, machine: bool) -> None:
    """Write the weights of the trained RUN in 8, 4 and 2 bits and pruned to 2 of 4, each measured beside the original."""
    from bottega.cli.evaluate import show
    from bottega.cli.show import as_json
    from bottega.service.training import Training
    from bottega.settings import Settings

    settings = Settings()
    training = Training(settings.home, settings.threads)
    table = training.compress(run, seeds=seeds, says=lambda text: click.echo(text, err=True))
    if machine:
        return as_json(table.document())
    show(table)
