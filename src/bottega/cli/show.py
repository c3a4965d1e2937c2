"""Tables and progress for people, JSON for programs."""

import json
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import click

from bottega.cli.files import warn

if TYPE_CHECKING:
    from bottega.service import Made


def as_json(value: Any) -> None:
    """Print a value for a program."""
    click.echo(json.dumps(value, ensure_ascii=False, indent=2))


def tell(made: "Made", machine: bool) -> None:
    """Say what came of a run, and end with the code of its state."""
    if machine:
        as_json({"run": made.run.document(), "out": str(made.out or "")})
    else:
        from bottega.delivery.summary import summary

        for line in summary(made.plan, made.run, made.out):
            click.echo(line)
    warn(made.warning)
    if made.run.state != "released":
        codes = {"awaiting_review": 4, "failed": 3 if made.run.error else 6, "cancelled": 130}
        raise click.exceptions.Exit(codes.get(made.run.state, 1))


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table that fits the terminal."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    drawn = Table(title=title, box=SIMPLE_HEAD, title_justify="left", title_style="bold", pad_edge=False)
    for index, column in enumerate(columns):
        drawn.add_column(column, overflow="fold", no_wrap=index == 0)
    for row in rows:
        drawn.add_row(*row)
    Console(width=None if _wide() else 160, markup=False, emoji=False).print(drawn)


def _wide() -> bool:
    from rich.console import Console

    return Console().is_terminal


def size(count: int) -> str:
    """Bytes as people read them."""
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}"
        count = round(count / 1000)
    return f"{count} GB"


def duration(seconds: float) -> str:
    """Seconds as people read them."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    return f"{int(seconds // 60)} min {int(seconds % 60):02d} s"
