"""`bottega index`."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import click

if TYPE_CHECKING:
    from bottega.retrieval.collections.report import Progress, Report

SHOWN = 20  # documents that were skipped
ALL_SKIPPED = 12  # exit code


@click.command()
@click.argument("name")
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path), metavar="[PATH]...")
@click.option(
    "--label", "labels", multiple=True, help="Only who has this label finds these documents; may be repeated."
)
@click.option(
    "--no-labels", "public", is_flag=True, help="Take the labels of these documents away: all find them."
)
@click.option("--prune", is_flag=True, help="Remove documents whose files have vanished.")
@click.option(
    "--remove", "removed", multiple=True, metavar="DOCUMENT", help="Remove a document; may be repeated."
)
@click.option("--delete", is_flag=True, help="Remove the whole collection.")
@click.option(
    "--embedder",
    default="",
    metavar="MODEL",
    help="arctic-embed-s, potion-base-8m, use-multilingual or none.",
)
@click.option("--json", "machine", is_flag=True, help="Print as JSON.")
def command(
    name: str,
    paths: tuple[Path, ...],
    labels: tuple[str, ...],
    public: bool,
    prune: bool,
    removed: tuple[str, ...],
    delete: bool,
    embedder: str,
    machine: bool,
) -> None:
    """Index files and folders into the collection NAME; what has not changed is not done again.

    With --embedder the earlier vectors are searched until all new ones are there; killed or stopped, the same command goes on.
    While another process indexes, it waits; --remove does not.

    Exit code 0: done; 12: every document was skipped, each with its reason.
    """
    import asyncio

    from bottega.bootstrap import build
    from bottega.cli.show import as_json

    others = [bool(paths) or bool(embedder), bool(removed), delete]
    if sum(others) != 1 or (labels and public):
        raise click.UsageError(
            "give PATH..., --embedder MODEL, --remove DOCUMENT or --delete; --label or --no-labels"
        )
    service = build()
    try:
        collections = service.collections()
        if delete:
            collections.delete(name)
            return (
                as_json({"collection": name, "deleted": True}) if machine else click.echo(f"'{name}' is gone")
            )
        with Shown(quiet=machine) as shown:
            if removed:
                report = asyncio.run(collections.remove(name, removed))
            else:
                report = asyncio.run(
                    collections.index(
                        name,
                        paths,
                        labels=labels or (() if public else None),
                        prune=prune,
                        embedder=embedder,
                        watch=shown,
                        cancelled=shown.cancelled,
                    )
                )
    finally:
        service.close()
    if machine:
        as_json({**report.document(), "counts": report.counts})
    else:
        _tell(report)
    if report.counts.keys() == {"skipped"}:
        raise click.exceptions.Exit(ALL_SKIPPED)


def _tell(report: "Report") -> None:
    skipped = [told for told in report.documents if told.outcome == "skipped"]
    for told in skipped[:SHOWN]:
        click.echo(f"- {told.name}: {told.reason}")
        if told.remedy:
            click.echo(f"    what to do: {told.remedy}")
    if len(skipped) > SHOWN:
        click.echo(f"  and {len(skipped) - SHOWN} more; --json lists them all")
    for told in report.documents:
        if told.outcome == "indexed" and told.notes:
            click.echo(f"- {told.name}: {'; '.join(told.notes)}")
    counts = ", ".join(f"{count} {outcome}" for outcome, count in sorted(report.counts.items()))
    click.echo(f"{report.collection}: {counts or 'nothing to do'}; {report.embedded} passages embedded")
    if any(told.outcome == "indexed" for told in report.documents):
        click.echo(f'search it:  bottega search {report.collection} "..."')


class Shown:
    """A bar on a terminal, a line a few times a minute elsewhere. Ctrl-C stops; what was acknowledged stays."""

    def __init__(self, *, quiet: bool) -> None:
        import threading

        self.cancelled = threading.Event()
        self._quiet = quiet
        self._live: Any = None
        self._task: Any = None
        self._told = 0.0
        self._before: Any = None

    def __enter__(self) -> Self:
        import signal
        import sys

        self._before = signal.signal(signal.SIGINT, self._stop)
        if not self._quiet and sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, Progress, TextColumn

            self._live = Progress(BarColumn(), TextColumn("{task.description}"), console=Console(stderr=True))
            self._live.start()
            self._task = self._live.add_task("")
        return self

    def __exit__(self, *error: object) -> None:
        import signal

        signal.signal(signal.SIGINT, self._before)
        if self._live is not None:
            self._live.stop()

    def __call__(self, progress: "Progress") -> None:
        """Show how far it has come."""
        import time

        from bottega.cli.show import duration

        if progress.stage == "waiting":
            if not self._quiet:
                click.echo("another process is indexing this collection; waiting for it to end", err=True)
            return
        left = f", {duration(progress.seconds_left)} left" if progress.seconds_left is not None else ""
        what = "documents" if progress.stage == "documents" else "passages embedded"
        said = f"{progress.done}/{progress.of} {what}, {progress.passages} passages{left}  {progress.name}"
        if self._live is not None:
            self._live.update(self._task, completed=progress.done, total=progress.of, description=said[:100])
        elif not self._quiet and time.monotonic() - self._told > 5:
            self._told = time.monotonic()
            click.echo(f"  {said}", err=True)

    def _stop(self, number: int, frame: Any) -> None:
        if self.cancelled.is_set():
            raise KeyboardInterrupt
        self.cancelled.set()
        click.echo("stopping; press again to end at once", err=True)
