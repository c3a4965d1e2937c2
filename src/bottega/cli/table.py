"""`bottega table`."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from bottega.retrieval.tables.answer import TableAnswer

CITED = 12  # cells named on a terminal


@click.command()
@click.argument("question")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="FILE...")
@click.option("--json", "machine", is_flag=True, help="Print as JSON, with every cell.")
def command(question: str, files: tuple[Path, ...], machine: bool) -> None:
    """Answer QUESTION by one query over CSV and XLSX files, and cite the cells; what they do not tell is not answered."""
    import asyncio

    from bottega.bootstrap import build
    from bottega.cli.show import as_json

    service = build()
    try:
        answer = asyncio.run(service.tables.ask(question, files))
    finally:
        service.close()
    if machine:
        return as_json(answer.document())
    _tell(answer)


def _tell(answer: "TableAnswer") -> None:
    from bottega.cli.show import table

    if answer.abstained:
        click.echo(f"not in the tables: {answer.abstained}")
    else:
        click.secho(answer.sentence, bold=True)
        if len(answer.rows) > 1:
            table("", answer.columns, [[cell or "" for cell in row] for row in answer.rows])
        cells = [f"{cell.address} ({cell.column}: {cell.value})" for cell in answer.cells[:CITED]]
        more = f" and {answer.cell_count - CITED} more" if answer.cell_count > CITED else ""
        click.echo(f"  from {answer.table}: {', '.join(cells)}{more}")
    if answer.sql:
        click.secho(f"  {answer.sql}", dim=True)
