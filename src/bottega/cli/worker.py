"""`bottega worker`."""

import asyncio
import signal
import threading
import time
from pathlib import Path

import click

from bottega.cli.brief import release_options

PAUSE = 5.0  # seconds before a worker whose state cannot be used begins again


@click.command()
@click.option("--once", is_flag=True, help="Stop when nothing is left to do.")
@release_options
def command(once: bool, **release: Path | None) -> None:
    """Work on every run that waits, beside other workers on this host or others.

    Steps of a worker that is gone are taken over. Ctrl-C ends it; what it was doing may be taken over at once. When the
    state cannot be used, on a full disk for example, it lets go of all and begins again until that is mended.
    """
    from bottega.bootstrap import build
    from bottega.core.errors import StorageFailed

    build(**release).close()  # what is wrong from the start is told, not waited for
    while True:
        try:
            return _work(once, release)
        except StorageFailed as error:
            if once:
                raise
            click.echo(f"{error}; beginning again in {PAUSE:.0f} s", err=True)
            time.sleep(PAUSE)


def _work(once: bool, release: dict[str, Path | None]) -> None:
    from bottega.bootstrap import build
    from bottega.service.worker import Worker

    stopped = threading.Event()
    service = build(**release)

    def stop() -> None:
        stopped.set()
        service.state.database.wakes.ring()

    async def work() -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stop)
        worker = Worker(service, say=lambda text: click.echo(text, err=True))
        await worker.work(until_idle=once, stopped=stopped)

    try:
        asyncio.run(work())
    finally:
        service.close()
