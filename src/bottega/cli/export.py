"""`bottega export`."""

from pathlib import Path

import click


@click.command()
@click.argument("run", type=click.Path(path_type=Path, file_okay=False))
def command(run: Path) -> None:
    """Write the networks of the trained RUN as ONNX, in 32-bit and in int8, each compared with the original."""
    from bottega.cli.show import size
    from bottega.service.training import Training
    from bottega.settings import Settings

    settings = Settings()
    for path in Training(settings.home, settings.threads).export(run, click.echo):
        click.echo(f"made {path} ({size(path.stat().st_size)})")
