"""`bottega store`."""

from pathlib import Path

import click


@click.group()
def command() -> None:
    """Check, tidy, back up and restore what is kept."""


@command.command()
@click.option("--json", "machine", is_flag=True, help="Print as JSON.")
def check(machine: bool) -> None:
    """Hash every file again, and look for what runs refer to. Exit 9 when something is damaged or missing."""
    from bottega.bootstrap import build
    from bottega.cli.show import as_json, size

    service = build()
    found = service.store.check()
    service.close()
    if machine:
        as_json([{"problem": f.problem, "name": f.name, "size": f.size, "detail": f.detail} for f in found])
    else:
        for each in found:
            click.echo(f"{each.problem:9} {each.name} ({size(each.size)}): {each.detail}")
        click.echo(f"{len(found)} findings" if found else "every file is as it was kept")
    if any(each.problem in ("damaged", "misnamed", "missing") for each in found):
        if not machine:
            click.echo("what to do: restore these files from a backup, or run again what made them")
        raise click.exceptions.Exit(9)


@command.command()
@click.option("--dry-run", is_flag=True, help="Only tell what would go.")
@click.option(
    "--older-than",
    default=1.0,
    show_default=True,
    type=click.FloatRange(min=0),
    help="Hours that a file must be old.",
)
@click.option("--json", "machine", is_flag=True, help="Print as JSON.")
def gc(dry_run: bool, older_than: float, machine: bool) -> None:
    """Delete the files that no run and no plan refers to."""
    from bottega.bootstrap import build
    from bottega.cli.files import warn
    from bottega.cli.show import as_json, size

    service = build()
    gone = service.store.gc(dry_run=dry_run, older_than_seconds=older_than * 3600)
    warning = "" if dry_run else service.audit.attest()
    service.close()
    if machine:
        as_json({"dry_run": dry_run, "files": gone.count, "bytes": gone.bytes, "names": list(gone.names)})
    else:
        click.echo(f"{gone.count} files, {size(gone.bytes)} {'would go' if dry_run else 'deleted'}")
    warn(warning)


@command.command()
@click.option("--policy", type=click.Path(path_type=Path), help="TOML policy with [retention].")
@click.option("--dry-run", is_flag=True, help="Only tell what would go.")
@click.option("--json", "machine", is_flag=True, help="Print as JSON.")
def expire(policy: Path | None, dry_run: bool, machine: bool) -> None:
    """Remove runs that ended longer ago than the policy keeps them; `gc` then deletes their files."""
    from bottega.bootstrap import build
    from bottega.cli.files import warn
    from bottega.cli.show import as_json

    service = build(policy=policy)
    gone = service.retention.expire(dry_run=dry_run)
    warning = "" if dry_run else service.audit.attest()
    service.close()
    if machine:
        as_json({"dry_run": dry_run, "days": gone.days, "runs": list(gone.runs), "documents": gone.documents})
    else:
        for run in gone.runs:
            click.echo(run)
        click.echo(
            f"{len(gone.runs)} runs that ended more than {gone.days} days ago "
            f"{'would go' if dry_run else 'removed; next: bottega store gc'}"
        )
    warn(warning)


@command.command()
@click.argument("folder", type=click.Path(path_type=Path))
def backup(folder: Path) -> None:
    """Copy the state into FOLDER while work goes on, and read the copy back."""
    from bottega.bootstrap import build
    from bottega.cli.files import warn

    service = build()
    done = service.store.backup(folder.absolute())
    service.close()
    click.echo(f"{done.folder}: {done.entries} entries that verify, {done.files} files")
    if done.linked:
        click.echo(f"{done.linked} files share their bytes with the state: copy the folder to another disk")
    if done.elsewhere:
        click.echo(
            f"not copied: the artifacts in {done.elsewhere}; back them up with the tools of that place"
        )
    warn("the copy holds secret keys: keep it as safe as the state; a person's key in it outlives an erasure")


@command.command()
@click.argument("folder", type=click.Path(path_type=Path))
def restore(folder: Path) -> None:
    """Make a new state from a backup; BOTTEGA_STATE must name a new or empty folder."""
    from bottega.bootstrap import build
    from bottega.cli.files import warn
    from bottega.core.errors import InvalidValue
    from bottega.service.store import restore
    from bottega.settings import Settings

    settings = Settings()
    if settings.database:
        raise InvalidValue(
            "PostgreSQL is restored by its own tools",
            where="BOTTEGA_DATABASE",
            remedy="use pg_restore, then copy artifacts, keys, record-key and subject-keys",
        )
    restore(folder.absolute(), settings.state)
    service = build(settings)
    found = service.audit.verify()
    service.store.restored(folder.absolute())
    warning = service.audit.attest()
    service.close()
    click.echo(f"{settings.state}: {found.entries} entries verify; the restore is on record")
    click.echo("next: erase again who was erased since the backup, and give BOTTEGA_WITNESS a new file")
    warn(warning)
