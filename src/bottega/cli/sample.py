"""`bottega sample`."""

from pathlib import Path
from typing import Any

import click


@click.command()
@click.argument("run", type=click.Path(path_type=Path, file_okay=False))
@click.option("--out", required=True, type=click.Path(path_type=Path, file_okay=False), help="A new folder.")
@click.option("-n", "--n", "count", type=click.IntRange(1), default=16, show_default=True, help="How many.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Same seed, same bytes.")
@click.option("--prompt", default="", help="A class, a question, or the beginning of a text.")
@click.option(
    "--picture",
    type=click.Path(path_type=Path, dir_okay=False),
    help="A picture that is asked about.",
)
@click.option("--steps", type=click.IntRange(1), help="Steps of the sampler.")
@click.option("--guidance", type=click.FloatRange(1), help="How much the class counts; 1 is none.")
@click.option("--temperature", type=click.FloatRange(0), help="Of a text; 0 takes the likeliest.")
@click.option("--length", type=click.IntRange(1), help="Of a text, in bytes.")
@click.option("--weights", default="", help="int8, int4, int2 or 2of4, after bottega compress.")
def command(run: Path, out: Path, **wish: Any) -> None:
    """Make files with the trained RUN."""
    from bottega.service.training import Training
    from bottega.settings import Settings

    settings = Settings()
    given = {name: value for name, value in wish.items() if value is not None}
    if "picture" in given:
        if not given["picture"].is_file():
            raise click.BadParameter(f"there is no file {given['picture']}", param_hint="--picture")
        given["picture"] = given["picture"].read_bytes()
    written = Training(settings.home, settings.threads).sample(run, out, **given)
    click.echo(f"made {len(written)} files in {out}")
