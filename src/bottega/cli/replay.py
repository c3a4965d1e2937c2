"""`bottega replay`."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bottega.cli.brief import charge_option

if TYPE_CHECKING:
    from bottega.pipelines.comparison import Compared, Replayed

EXIT = {"identical": 0, "explained": 1, "incomplete": 6, "unexplained": 9}


@click.command()
@click.argument("run", required=False, default="")
@click.option(
    "--step", "steps", multiple=True, help="Only this step of the run and what it needs; may be repeated."
)
@click.option("--manifest", type=click.Path(path_type=Path), help="Make files of a delivered folder again.")
@click.option("--artifact", default="", help="With --manifest: only this file of the folder.")
@click.option(
    "--source", "sources", multiple=True, type=click.Path(path_type=Path),
    help="With --manifest: a file or folder to find sources in, by their bytes.",
)  # fmt: skip
@click.option("--out", type=click.Path(path_type=Path), help="With --artifact: write it here, unsigned.")
@click.option("--anyway", is_flag=True, help="With --manifest: even if other bytes may come out.")
@charge_option
@click.option("--json", "machine", is_flag=True, help="Print the result as JSON.")
def command(
    run: str,
    steps: tuple[str, ...],
    manifest: Path | None,
    artifact: str,
    sources: tuple[Path, ...],
    out: Path | None,
    anyway: bool,
    charge: tuple[str, ...],
    machine: bool,
) -> None:
    """Make RUN again from the record alone and compare every byte; or files of a delivered folder, from its manifest.

    Ends with 0 when all is the same, 1 when the record explains each difference, 6 when a step could not be made, 9
    when an engine that declares that it repeats itself did not.
    """
    if (
        bool(run) == bool(manifest)
        or (run and (artifact or sources or out or anyway))
        or (manifest and steps)
    ):
        raise click.UsageError(
            "give a RUN (with --step), or --manifest FILE (with --artifact, --source, --out)"
        )
    from bottega.bootstrap import build
    from bottega.cli.progress import Watcher
    from bottega.cli.show import as_json

    service = build()
    try:
        with Watcher(quiet=machine) as watcher:
            if manifest is None:
                work = service.replay(
                    run, steps, charge=charge,
                    note=watcher.note, watch=watcher, cancelled=watcher.cancelled,
                )  # fmt: skip
            else:
                work = service.regenerate(
                    manifest, artifact, sources=sources, out=out, anyway=anyway, charge=charge,
                    note=watcher.note, watch=watcher, cancelled=watcher.cancelled,
                )  # fmt: skip
            report = asyncio.run(work)
    finally:
        service.close()
    if machine:
        as_json(report.document())
    else:
        _show(report, out)
    if code := EXIT[report.finding]:
        raise click.exceptions.Exit(code)


def _show(report: "Replayed", out: Path | None) -> None:
    from bottega.cli.show import table

    rows = [(each.step, each.engine, each.outcome, _why(each)) for each in report.steps]
    table(f"Run {report.run}, made again", ("step", "engine", "bytes", "why"), rows)
    counts = [
        sum(each.outcome == outcome for each in report.steps) for outcome in ("same", "differs", "not made")
    ]
    click.echo(f"{report.finding}: {counts[0]} same, {counts[1]} differ, {counts[2]} not made")
    if report.first:
        click.echo(f"look at step '{report.first}' first: `bottega audit log run/{report.replay}`")
    if out is not None and out.exists():
        click.echo(f"{out} is as it was before signing")


def _why(each: "Compared") -> str:
    return "; ".join(reason.words for reason in each.reasons) or each.error
