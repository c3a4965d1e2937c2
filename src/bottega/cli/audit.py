"""`bottega audit`."""

from pathlib import Path

import click

from bottega.core.value import JsonObject


@click.group()
def command() -> None:
    """Verify the record, prove what stands in it, sign checkpoints."""


@command.command()
@click.option(
    "--checkpoint", "checkpoints", multiple=True, type=click.Path(path_type=Path),
    help="A signed checkpoint, or a witness: a file or folder of them.",
)  # fmt: skip
@click.option(
    "--key", default="", help="The verifier key you have from elsewhere: its text, or a file with it."
)
@click.option("--json", "machine", is_flag=True, help="Print as JSON.")
def verify(checkpoints: tuple[Path, ...], key: str, machine: bool) -> None:
    """Recompute the whole record and all that was made from it; exit 9 names what was done to it."""
    from bottega.bootstrap import build
    from bottega.cli.show import as_json
    from bottega.core.errors import RecordAltered, Tampered

    vkey = _text(Path(key)).strip() if key and Path(key).is_file() else key
    given = [note for path in checkpoints for note in _notes(path)]
    service = build()
    try:
        found = service.audit.verify(given, vkey)
    except Tampered as error:
        if not machine:
            raise
        facts: JsonObject = {"holds": False, "type": type(error).__name__, "message": error.message}
        if isinstance(error, RecordAltered):
            facts |= {"finding": error.finding, "first": error.first, "last": error.last}
        as_json(facts | {"remedy": error.remedy})
        raise click.exceptions.Exit(error.exit_code) from error
    finally:
        service.close()
    if machine:
        as_json({"holds": True, **found.document()})
        return
    click.secho("the record holds", fg="green", bold=True)
    click.echo(f"entries      {found.entries}, root {found.root}")
    click.echo(f"checkpoints  {found.checkpoints} agree, {found.given} of them from outside")
    click.echo(f"tables       {found.rows} rows and {found.documents} documents are as the entries say")
    if found.sealed or found.erased:
        click.echo(f"sealed       {found.sealed} details fit their entries, {found.erased} are erased")
    if found.uncovered:
        newest = f"{found.covered} to {found.entries - 1}" if found.covered else "all"
        click.echo(
            f"not covered  {found.uncovered} entries ({newest}) are under no checkpoint: `bottega audit checkpoint`"
        )
    if not found.given:
        click.echo(
            "not covered  no checkpoint from outside was given: whoever has database and key could rewrite all of it; "
            "use --checkpoint with a witness"
        )


@command.command()
@click.argument("what", metavar="ARTIFACT")
@click.option("--out", type=click.Path(path_type=Path), help="Write the proof into this file.")
def prove(what: str, out: Path | None) -> None:
    """Write a proof of ARTIFACT that a stranger checks without us.

    ARTIFACT is a delivered file, the SHA-256 of a file as it was made, or the number of an entry.
    """
    from bottega.bootstrap import build
    from bottega.cli.files import give, warn

    service = build()
    proof = service.audit.prove(what)
    give(proof.document(), out, f"entry {proof.index}; check it with: python verify_proof.py {out}")
    warn(service.audit.attest())
    service.close()


@command.command()
@click.option("--out", type=click.Path(path_type=Path), help="Write the signed note into this file.")
def checkpoint(out: Path | None) -> None:
    """Sign what the record holds now, and bring it to the witness if one is set."""
    from bottega.bootstrap import build
    from bottega.cli.files import write

    service = build()
    note = service.audit.checkpoint(force=True)
    service.close()
    if out is None:
        click.echo(note, nl=False)
    else:
        write(out, note)
        click.echo(f"written to {out}: keep it where those who run this machine cannot write")


@command.command()
def key() -> None:
    """Print the verifier key: give it to those who check proofs."""
    from bottega.bootstrap import build

    service = build()
    click.echo(service.audit.vkey)
    service.close()


@command.command()
@click.argument("old", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), help="Write the proof into this file.")
def grow(old: Path, out: Path | None) -> None:
    """Write a proof that the record starts with what the checkpoint OLD counts."""
    from bottega.bootstrap import build
    from bottega.cli.files import give
    from bottega.core.errors import InvalidValue

    notes = _notes(old)
    if not notes:
        raise InvalidValue("there is no checkpoint in it", where=str(old))
    service = build()
    growth = service.audit.grow(notes[-1])
    service.close()
    give(growth.document(), out, f"from {growth.old} entries to {growth.new}")


@command.command()
@click.argument("subject", default="")
@click.option(
    "--last", default=100, show_default=True, type=click.IntRange(min=0), help="How many; 0 for all."
)
@click.option("--json", "machine", is_flag=True, help="Print as JSON, as recorded.")
def log(subject: str, last: int, machine: bool) -> None:
    """List entries of the record, of SUBJECT (for example run/ID) and what is under it, or of all."""
    from bottega.bootstrap import build
    from bottega.cli.show import as_json, table

    service = build()
    entries = service.audit.log(subject, last=last)
    service.close()
    if machine:
        as_json([entry.document() for entry in entries])
        return
    rows = [
        (
            str(entry.n),
            entry.at,
            entry.act.value,
            f"{entry.actor} for {entry.behalf}" if entry.behalf else entry.actor,
            entry.subject,
            "sealed" if entry.sealed else entry.why,
        )
        for entry in entries
    ]
    table("Record", ("n", "time", "act", "who", "about", "why"), rows)


def _notes(path: Path) -> list[str]:
    """The notes in a file or folder: one note as it was signed, or many as a witness keeps them."""
    from bottega.core.errors import NotFound
    from bottega.governance.witness import Witness

    if not path.exists():
        raise NotFound("there is no such checkpoint", where=str(path), remedy="check the path")
    if path.is_file() and not (text := _text(path)).endswith("\n\n"):
        return [text]
    return Witness(path).all()


def _text(path: Path) -> str:
    from bottega.core.errors import UnreadableSource

    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UnreadableSource(f"it cannot be read: {error}", where=str(path)) from error
