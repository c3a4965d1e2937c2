"""`bottega adapt`."""

from pathlib import Path
from typing import Any

import click


@click.command()
@click.argument("base", type=click.Path(path_type=Path, file_okay=False))
@click.option(
    "--data", required=True, help="What it shall learn: a data set by name, a folder, a text or JSON lines."
)
@click.option(
    "--out", required=True, type=click.Path(path_type=Path, file_okay=False), help="The run folder."
)
@click.option(
    "--rank", type=click.IntRange(1, 1024), default=8, show_default=True, help="Of the low-rank sums."
)
@click.option("--steps", type=click.IntRange(1), default=150, show_default=True, help="Of training.")
@click.option("--batch", type=click.IntRange(1), default=32, show_default=True)
@click.option("--rate", type=click.FloatRange(0, 1, min_open=True), default=5e-3, show_default=True)
@click.option(
    "--modules",
    multiple=True,
    metavar="PATTERN",
    help="Layers of a checkpoint: attention, linear, embeddings or a name with *; more than once. Without it all but embeddings.",
)
@click.option(
    "--reward",
    type=click.Choice(("answer", "sentence")),
    default=None,
    help="Learn by GRPO from a checkpoint's own answers: the record's answer holds, or any one sentence.",
)
@click.option("--length", type=click.IntRange(1, 4096), help="Tokens of an answer, at most.  [default: 16]")
@click.option(
    "--group", type=click.IntRange(2, 1024), help="Answers to each prompt, for GRPO.  [default: 16]"
)
@click.option(
    "--beta",
    type=click.FloatRange(0, 10),
    help="Larger stays nearer to the base.  [default: DPO 0.1, GRPO 0.01]",
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@click.option("--resume", is_flag=True, help="Go on from the last checkpoint.")
@click.option("--json", "machine", is_flag=True, help="Print the report as JSON.")
def command(
    base: Path,
    data: str,
    out: Path,
    rank: int,
    steps: int,
    batch: int,
    rate: float,
    seed: int,
    resume: bool,
    machine: bool,
    **ways: Any,
) -> None:
    """Teach BASE, a trained run or a checkpoint of Transformers or Diffusers, new data by few numbers a matrix (LoRA).

    A checkpoint learns a text, answers to prompts, with `rejected` beside them by preference (DPO), and with --reward from
    answers of its own (GRPO); one of Diffusers learns pictures with their labels. The weights that come out have the numbers merged.
    """
    from bottega.cli.train import told, watch
    from bottega.service.training import Training
    from bottega.settings import Settings

    settings = Settings()
    report = Training(settings.home, settings.threads).adapt(
        base,
        out,
        data=data,
        rank=rank,
        steps=steps,
        batch=batch,
        rate=rate,
        seed=seed,
        resume=resume,
        watch=watch(machine),
        **{name: value for name, value in ways.items() if value not in (None, ())},
    )
    told(report, out, machine)
