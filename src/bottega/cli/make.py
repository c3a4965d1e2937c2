"""`bottega make`."""

import asyncio
from pathlib import Path
from typing import Any

import click

from bottega.cli.brief import brief_options, charge_option, read_brief, release_options


@click.command()
@brief_options
@click.option(
    "--plan", "plan_file", type=click.Path(path_type=Path), help="Run this plan instead of a brief."
)
@click.option("--out", type=click.Path(path_type=Path), default=Path("out"), show_default=True)
@click.option("--run-id", default="", help="Name the run; the same id and brief goes on where it stopped.")
@click.option("--idempotency-key", default="", help="The same key and plan give the same run, for programs.")
@click.option("--plan-only", is_flag=True, help="Show the plan and stop.")
@click.option("--yes", is_flag=True, help="Do not ask before the plan runs.")
@charge_option
@click.option("--detach", is_flag=True, help="Leave the work to a `bottega worker` and return at once.")
@click.option("--no-reuse", is_flag=True, help="Make every step again, even if an equal one was made before.")
@release_options
@click.option("--json", "machine", is_flag=True, help="Print the result as JSON.")
def command(
    plan_file: Path | None,
    out: Path,
    run_id: str,
    idempotency_key: str,
    plan_only: bool,
    yes: bool,
    charge: tuple[str, ...],
    detach: bool,
    no_reuse: bool,
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
    from bottega.cli.plan import show_plan
    from bottega.cli.progress import Watcher
    from bottega.cli.show import as_json, tell

    service = build(signing_key=signing_key, certificate=certificate, policy=policy)
    with Watcher(quiet=machine) as watcher:
        if plan_file is not None:
            plan = service.read_plan(plan_file)
        else:
            planning = service.plan(
                read_brief(**wanted), watcher.note, charge=charge, data_subject=data_subject
            )
            plan = asyncio.run(planning)
    if plan_only or not (yes or machine):
        if machine:
            as_json(plan.document())
        else:
            show_plan(plan)
        if plan_only or not click.confirm("Run this plan?", default=True):
            return
    if detach:
        run = service.submit(
            plan, out, run_id=run_id, idempotency_key=idempotency_key, reuse=not no_reuse, charge=charge,
            data_subject=data_subject,
        )  # fmt: skip
        service.close()
        if machine:
            return as_json({"run": run.document(), "out": run.out})
        return click.echo(f"run {run.id} waits for a worker: bottega worker")
    with Watcher(plan, quiet=machine) as watcher:
        making = service.make(
            plan, out, run_id=run_id, idempotency_key=idempotency_key, watch=watcher,
            cancelled=watcher.cancelled, reuse=not no_reuse, charge=charge,
            data_subject=data_subject,
        )  # fmt: skip
        made = asyncio.run(making)
    service.close()
    tell(made, machine)
