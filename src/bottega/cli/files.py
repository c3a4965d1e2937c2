"""Documents that commands write for others, and warnings that must be seen."""

import json
from pathlib import Path

import click

from bottega.core.value import JsonObject


def give(document: JsonObject, out: Path | None, said: str = "") -> None:
    """Write a document into a file and say so, or print it."""
    text = json.dumps(document, ensure_ascii=False, indent=2) + "\n"
    if out is None:
        click.echo(text, nl=False)
        return
    write(out, text)
    if said:
        click.echo(f"written to {out}: {said}")


def write(out: Path, text: str) -> None:
    """The whole file or nothing."""
    from bottega.core.errors import StorageFailed
    from bottega.storage.disk import appearing

    try:
        with appearing(out) as made:
            made.write_text(text, encoding="utf-8")
            made.chmod(0o644)
    except OSError as error:
        raise StorageFailed(f"it cannot be written: {error.strerror or error}", where=str(out)) from error


def warn(warning: str) -> None:
    """What an operation could not do beside its work."""
    if warning:
        click.secho(f"warning: {warning}", fg="red", bold=True, err=True)
