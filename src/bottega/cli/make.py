"""`bottega make`."""

import asyncio
from pathlib import Path
from typing import Any

import click

from bottega.cli.brief import brief_options, read_brief, release_options


@click.command()
@brief_options
@click.option(
    "--plan", "plan_file", type=click.Path(path_type=Path), help="Run this plan instead of a brief."
)
@click.option("--out", type=click.Path(path_type=Path), default=Path("out"), show_default=True)
@click.option("--run-id", default="", help="Name the run; the same id and brief goes on where it stopped.")
@click.option("--plan-only", is_flag=True, help="Show the plan and stop.")
@click.option("--yes", is_flag=True, help="Do not ask before the plan runs.")
@release_options
@click.option("--json", "machine", is_flag=True, help="Print the result as JSON.")
def command(
    plan_file: Path | None,
    out: Path,
    run_id: str,
    plan_only: bool,
    yes: bool,
    signing_key: Path | None,
    certificate: Path | None,
    policy: Path | None,
    machine: bool,
    data_subject: str,
    **wanted: Any,
) -> None:
    """Make deliverables: from words, from a brief.toml, or from a plan.

    GOAL is what you want, in plain words, or the path of a brief in TOML.
    """
    from bottega.bootstrap import build
    from bottega.cli.files import warn
    from bottega.cli.plan import show_plan
    from bottega.cli.progress import Watcher
    from bottega.cli.show import as_json

    service = build(signing_key=signing_key, certificate=certificate, policy=policy)
    with Watcher(quiet=machine) as watcher:
        if plan_file is not None:
            plan = service.read_plan(plan_file)
        else:
            plan = asyncio.run(service.plan(read_brief(**wanted), watcher.note, data_subject=data_subject))
    if plan_only or not (yes or machine):
        if machine:
            as_json(plan.document())
        else:
            show_plan(plan)
        if plan_only or not click.confirm("Run this plan?", default=True):
            return
    with Watcher(plan, quiet=machine) as watcher:
        made = asyncio.run(
            service.make(
                plan,
                out,
                run_id=run_id,
                watch=watcher,
                cancelled=watcher.cancelled,
                data_subject=data_subject,
            )
        )
    service.close()
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
