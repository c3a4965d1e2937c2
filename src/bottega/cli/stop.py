"""`bottega stop`."""

import click


@click.command()
@click.argument("run")
@click.option("--why", default="", help="A reason for the record.")
def command(run: str, why: str) -> None:
    """Stop RUN, in whatever process it works; what is finished is kept, and `bottega resume` goes on."""
    from bottega.bootstrap import build

    service = build()
    service.stop(run, why)
    service.close()
    click.echo(f"run {run} is asked to stop")
