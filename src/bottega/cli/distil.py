"""`bottega distil`."""

from pathlib import Path

import click


@click.command()
@click.argument("run", type=click.Path(path_type=Path, file_okay=False))
@click.option(
    "--out", required=True, type=click.Path(path_type=Path, file_okay=False), help="The run folder."
)
@click.option("--steps", type=click.IntRange(1, 100), default=4, show_default=True, help="Of the sampler.")
@click.option("--train-steps", type=click.IntRange(1), default=150, show_default=True, help="Of training.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@click.option("--resume", is_flag=True, help="Go on from the last checkpoint.")
@click.option("--json", "machine", is_flag=True, help="Print the report as JSON.")
def command(
    run: Path, out: Path, steps: int, train_steps: int, seed: int, resume: bool, machine: bool
) -> None:
    """Teach a student to make in a few steps, without guidance, what the flow RUN makes in many with it."""
    from bottega.cli.train import told, watch
    from bottega.service.training import Training
    from bottega.settings import Settings

    settings = Settings()
    training = Training(settings.home, settings.threads)
    report = training.distil(
        run, out, steps=steps, train_steps=train_steps, seed=seed, resume=resume, watch=watch(machine)
    )
    told(report, out, machine)
