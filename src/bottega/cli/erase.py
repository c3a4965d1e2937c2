"""`bottega erase`."""

from pathlib import Path

import click


@click.command()
@click.argument("data_subject", metavar="NAME")
@click.option("--why", required=True, help="Who asked for it, without the name: it stays in the record.")
@click.option("--who", default="", help="Who does it; the login name by default.")
@click.option("--out", type=click.Path(path_type=Path), help="Write the receipt into this file.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--json", "machine", is_flag=True, help="Print as JSON.")
def command(data_subject: str, why: str, who: str, out: Path | None, yes: bool, machine: bool) -> None:
    """Destroy the key of NAME's data: all that runs with --data-subject NAME kept becomes unreadable for good.

    The record stays whole; the receipt is a proof of its entry.
    """
    from bottega.bootstrap import build
    from bottega.cli.files import give, warn
    from bottega.cli.show import as_json

    if not (yes or machine) and not click.confirm("This cannot be undone. Erase?", default=False):
        raise click.Abort
    service = build()
    erased = service.privacy.erase(data_subject, why=why, who=who)
    service.close()
    if out is not None:
        give(erased.receipt.document(), out)
    if machine:
        as_json(
            {
                "pseudonym": erased.pseudonym,
                "entry": erased.entry,
                "receipt": erased.receipt.document(),
                "folders": list(erased.folders),
                "clean": erased.clean,
                "warning": erased.warning,
            }
        )
    else:
        click.echo(f"erased   {erased.pseudonym}, entry {erased.entry} of the record")
        if out is not None:
            click.echo(f"receipt  {out}: a proof of the entry")
        for folder in erased.folders:
            click.echo(f"delete   {folder} yourself: delivered folders are not covered")
        click.echo(
            "delete   copies and backups of the state and its keys yourself, and what remote engines were sent"
        )
    warn(erased.warning)
    if not erased.clean:
        warn(
            "old pages of the database may still hold deleted rows: stop the other processes and erase again"
        )
        raise click.exceptions.Exit(8)
