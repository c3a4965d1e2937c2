"""`bottega resume`."""

import asyncio
from pathlib import Path

import click

from bottega.cli.brief import release_options


@click.command()
@click.argument("run")
@click.option(
    "--out", type=click.Path(path_type=Path), help="The folder to deliver into; that of the run if left out."
)
@click.option(
    "--retry-parked", is_flag=True, help="Try steps again that were parked because they ended their worker."
)
@click.option("--why", default="", help="A reason for the record.")
@release_options
@click.option("--json", "machine", is_flag=True, help="Print the result as JSON.")
def command(
    run: str, out: Path | None, retry_parked: bool, why: str, machine: bool, **release: Path | None
) -> None:
    """Go on with RUN where it stopped: what is finished is not made again."""
    from bottega.bootstrap import build
    from bottega.cli.progress import Watcher
    from bottega.cli.show import tell

    service = build(**release)
    _, plan = service.shop.runs.whole(run)
    with Watcher(plan, quiet=machine) as watcher:
        going_on = service.resume(
            run, out=out, watch=watcher, cancelled=watcher.cancelled, release_parked=retry_parked, why=why
        )
        made = asyncio.run(going_on)
    service.close()
    tell(made, machine)
