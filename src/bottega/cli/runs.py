"""`bottega runs`."""

import click


@click.command()
@click.option("--json", "machine", is_flag=True, help="Print as JSON.")
def command(machine: bool) -> None:
    """List runs, oldest first."""
    from bottega.bootstrap import build
    from bottega.cli.show import as_json, table

    runs = build().runs()
    if machine:
        as_json([run.document() for run in runs])
        return
    rows = [
        (run.id, run.state.replace("_", " "), run.created_at, str(len(run.results)), run.out, run.reason)
        for run in runs
    ]
    table("Runs", ("run", "state", "started", "steps", "folder", "why"), rows)
