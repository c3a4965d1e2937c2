"""`bottega publish`."""

from pathlib import Path

import click


@click.command()
@click.argument("run", type=click.Path(path_type=Path, file_okay=False))
@click.option("--name", required=True, help="The model's name in the catalog.")
def command(run: Path, name: str) -> None:
    """Put the trained RUN into the catalog, where plans, `bottega call` and the engine `trained` find it by name."""
    from bottega.service.training import Training
    from bottega.settings import Settings

    settings = Settings()
    entry = Training(settings.home, settings.threads).publish(run, name)
    click.echo(f"made {entry}: use it with  bottega call trained --model {name}")
