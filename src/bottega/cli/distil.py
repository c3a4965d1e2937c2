"""`bottega distil`."""

from pathlib import Path

import click


@click.command()
@click.argument("run", type=click.Path(path_type=Path, file_okay=False))
@click.option(
    "--out", required=True, type=click.Path(path_type=Path, file_okay=False), help="The run folder."
)
@click.option(
    "--steps", type=click.IntRange(1, 100), default=4, show_default=True, help="Of a flow's sampler."
)
@click.option(
    "--depth", type=click.IntRange(1), help="Of a language model's student.  [default: half of RUN's]"
)
@click.option(
    "--train-steps",
    type=click.IntRange(1),
    help="Of training.  [default: 150, or as many as a language model had]",
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@click.option("--resume", is_flag=True, help="Go on from the last checkpoint.")
@click.option("--json", "machine", is_flag=True, help="Print the report as JSON.")
def command(
    run: Path,
    out: Path,
    steps: int,
    depth: int | None,
    train_steps: int | None,
    seed: int,
    resume: bool,
    machine: bool,
) -> None:
    """Teach a student what RUN does: in a few steps and without guidance, if it is a flow; with a smaller network, if it is a language model."""
    from bottega.cli.train import told, watch
    from bottega.service.training import Training
    from bottega.settings import Settings

    settings = Settings()
    training = Training(settings.home, settings.threads)
    report = training.distil(
        run,
        out,
        steps=steps,
        depth=depth or 0,
        train_steps=train_steps or 0,
        seed=seed,
        resume=resume,
        watch=watch(machine),
    )
    told(report, out, machine)
