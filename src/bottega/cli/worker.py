"""`bottega worker`."""

import asyncio
import signal
import threading
from pathlib import Path
from types import FrameType

import click

from bottega.cli.brief import release_options


@click.command()
@click.option("--once", is_flag=True, help="Stop when nothing is left to do.")
@release_options
def command(once: bool, **release: Path | None) -> None:
    """Work on every run that waits, beside other workers on this host or others.

    Steps of a worker that is gone are taken over. Ctrl-C ends it; what it was doing may be taken over at once.
    """
    from bottega.bootstrap import build
    from bottega.service.worker import Worker

    stopped = threading.Event()

    def stop(number: int, frame: FrameType | None) -> None:
        stopped.set()
        service.state.database.wakes.ring()

    service = build(**release)
    signal.signal(signal.SIGINT, stop)
    signal.signal(signal.SIGTERM, stop)
    worker = Worker(service, say=lambda text: click.echo(text, err=True))
    asyncio.run(worker.work(until_idle=once, stopped=stopped))
    service.close()
