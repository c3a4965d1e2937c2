"""`bottega train`."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from bottega.training.card import Report
    from bottega.training.estimate import Estimate
    from bottega.training.loop import Progress
    from bottega.training.runs import Watch


@click.command()
@click.argument("recipe")
@click.option(
    "--out", required=True, type=click.Path(path_type=Path, file_okay=False), help="The run folder."
)
@click.option("--seed", type=click.IntRange(0), help="Same seed, same bytes on the same machine.")
@click.option("--steps", type=click.IntRange(1), help="Steps of training, instead of the recipe's.")
@click.option(
    "--depth",
    type=click.IntRange(1, 64),
    help="The one dial: width, heads, batch, rate and steps follow from it.",
)
@click.option(
    "--data",
    help="A data set by name, a folder of pictures in one folder a class, a text file, or JSON lines.",
)
@click.option(
    "--from",
    "begin",
    type=click.Path(path_type=Path, file_okay=False),
    help="A run that fine-tuning starts as.",
)
@click.option("--resume", is_flag=True, help="Go on from the last checkpoint.")
@click.option(
    "--processes",
    type=click.IntRange(1, 64),
    default=1,
    help="Processes that share each batch, in as many shards.",
)
@click.option("--json", "machine", is_flag=True, help="Print the report as JSON.")
def command(
    recipe: str,
    out: Path,
    seed: int | None,
    steps: int | None,
    depth: int | None,
    data: str | None,
    begin: Path | None,
    resume: bool,
    processes: int,
    machine: bool,
) -> None:
    """Train RECIPE (a name, or a TOML file) into a run folder: weights, metrics, samples and a card.

    Kill it at any time: --resume ends in the same bytes. Watch DIR/live.html in a browser meanwhile.
    """
    from bottega.service.training import Training
    from bottega.settings import Settings

    settings = Settings()
    given = {"seed": seed, "steps": steps, "depth": depth}
    report = Training(settings.home, settings.threads).train(
        recipe, out, **given, data=data, begin=begin, resume=resume, processes=processes, watch=watch(machine)
    )
    told(report, out, machine)


def watch(machine: bool) -> "Watch":
    """Says on the terminal how far a run is; on standard error what is no result."""
    from bottega.cli.show import duration, size
    from bottega.training.runs import Watch

    def stated(found: "Estimate") -> None:
        click.echo(
            f"{found.parameters:,} parameters; about {size(found.memory)} of memory and "
            f"{duration(found.seconds)} of training, then the evaluation",
            err=machine,
        )

    def moves(progress: "Progress") -> None:
        losses = "  ".join(f"{name} {value:.4f}" for name, value in progress.losses.items())
        held_out = "" if progress.validation is None else f"  held-out {progress.validation:.4f}"
        left = duration(progress.left)
        click.echo(f"step {progress.step}/{progress.steps}  {losses}{held_out}  {left} left", err=True)

    def says(text: str) -> None:
        click.echo(text, err=True)

    return Watch(says, stated, moves)


def told(report: "Report", out: Path, machine: bool) -> None:
    """Print what came of a run."""
    from bottega.cli.evaluate import show
    from bottega.cli.show import as_json

    if machine:
        return as_json(report.document())
    if report.table:
        show(report.table)
    click.echo(f"made {out}: see {out / 'README.md'} and {out / 'samples'}")
