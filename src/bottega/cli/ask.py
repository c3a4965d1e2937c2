"""`bottega ask`."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bottega.cli.brief import charge_option, subject_option

if TYPE_CHECKING:
    from bottega.retrieval.answers.answer import Answer

CELLS = 8  # of a table that are named
CODES = {"answered": 0, "abstained": 10, "asks_back": 11}


@click.command()
@click.argument("question", required=False)
@click.option("--in", "collection", required=True, metavar="NAME", help="The collection to answer from.")
@click.option(
    "--as",
    "--labels",
    "labels",
    default="",
    metavar="LABELS",
    help="Ask as somebody with these labels: hr,eu.",
)
@click.option("--model", default="", help="The language model that writes.")
@click.option(
    "--schema",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="JSON Schema of a typed answer.",
)
@click.option(
    "--flag",
    is_flag=True,
    help="Keep sentences that nothing bears out, and say so, instead of removing them.",
)
@click.option(
    "--judge", type=click.Choice(["language", "entailment-minilm"]), default="language", show_default=True,
    help="Who says whether a quote bears a sentence out.",
)  # fmt: skip
@click.option("--session", default="", metavar="ID", help="Go on with this conversation.")
@click.option("--fresh", is_flag=True, help="Do not take an equal earlier answer over.")
@charge_option
@subject_option
@click.option(
    "--questions", type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Ask every question of this TOML file: [[question]] with ask, and labels if it is asked under others.",
)  # fmt: skip
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Write pages where every citation opens its document at the words.",
)
@click.option("--json", "machine", is_flag=True, help="Print as JSON.")
def command(
    question: str | None,
    collection: str,
    labels: str,
    model: str,
    schema: Path | None,
    flag: bool,
    judge: str,
    session: str,
    fresh: bool,
    charge: tuple[str, ...],
    data_subject: str,
    questions: Path | None,
    out: Path | None,
    machine: bool,
) -> None:
    """Answer QUESTION from the documents of a collection, every sentence with its quote.

    Exit code 0: answered; 10: abstained, with the reason; 11: asks back.
    """
    import asyncio

    from bottega.bootstrap import build
    from bottega.cli.show import as_json

    if bool(question) == bool(questions):
        raise click.UsageError("give a QUESTION or --questions FILE")
    mine = split(labels)
    asked = [(question, mine)] if question else _read(questions, mine)
    how: dict[str, Any] = {
        "model": model, "unsupported": "flag" if flag else "remove", "session": session, "fresh": fresh,
        "judge": judge, "charge": charge, "data_subject": data_subject,
    }  # fmt: skip
    if schema:
        how["schema"] = _schema(schema)
    service = build()

    async def ask() -> "list[Answer]":
        answers: list[Answer] = []
        for number, (words, allowed) in enumerate(asked, 1):
            if questions:
                click.echo(f"  {number}/{len(asked)} {words}", err=True)
            answers.append(await service.answers().ask(words, collection, allowed=allowed, **how))
        return answers

    try:
        answers = asyncio.run(ask())
        if out:
            shown = frozenset(mine).union(*(allowed for _, allowed in asked))
            documents = service.answers().documents(collection, answers, allowed=shown)
            files = service.answers().files(collection, answers, allowed=shown)
            _write(out, answers, documents, files, title=question or f"Questions to '{collection}'")
    finally:
        service.close()
    if question:
        as_json(answers[0].document()) if machine else tell(answers[0])
    elif machine:
        as_json([answer.document() for answer in answers])
    else:
        for answer in answers:
            click.secho(f"\n{answer.question}", bold=True)
            tell(answer)
    if out and not machine:
        click.echo(f"pages: {out / 'index.html'}")
    if question and (code := CODES[answers[0].outcome]):
        raise click.exceptions.Exit(code)


def split(labels: str) -> list[str]:
    """Labels as they are typed."""
    return [label.strip() for label in labels.split(",") if label.strip()]


def _schema(path: Path) -> Any:
    from bottega.core.errors import InvalidValue

    try:
        return json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise InvalidValue(f"not JSON: {error}", where=str(path), remedy="give a JSON Schema") from error


def _read(path: Path | None, mine: list[str]) -> list[tuple[str, list[str]]]:
    """The questions of a file, each with the labels that it is asked under."""
    import tomllib

    from bottega.core.errors import InvalidValue

    assert path is not None
    try:
        rows = tomllib.loads(path.read_text("utf-8"))["question"]
        return [(str(row["ask"]), [*row.get("labels", mine)]) for row in rows]
    except (ValueError, KeyError, TypeError) as error:
        raise InvalidValue(
            f"not a file of questions: {error}", where=str(path), remedy='write [[question]] and ask = "..."'
        ) from error


def _write(out: Path, answers: "list[Answer]", documents: Any, files: Any, *, title: str) -> None:
    from bottega.delivery.answers import write_answers
    from bottega.delivery.pages import pictures

    write_answers(out, answers, documents, pictures(answers, files), title=title)


def tell(answer: "Answer") -> None:
    """An answer for people: sentences with numbered quotes under them."""
    if answer.asked:
        click.secho(f"asked: {answer.asked}", dim=True)
    if answer.outcome != "answered":
        head = "not in the sources: " if answer.outcome == "abstained" else ""
        click.secho(f"{head}{answer.explanation}", bold=True)
        for near in answer.nearest if answer.outcome == "abstained" else ():
            one = near.passage
            click.secho(
                f"  nearest: {one.source}, page {one.page}, characters {one.start}-{one.end}", dim=True
            )
        return
    if answer.value is not None:
        click.echo(json.dumps(answer.value, ensure_ascii=False, indent=2))
    quotes = list(dict.fromkeys(each for sentence in answer.sentences for each in sentence.citations))
    for sentence in answer.sentences:
        marks = "".join(f"[{quotes.index(each) + 1}]" for each in sentence.citations)
        click.echo(
            f"{sentence.text} {marks}"
            + (f"  (not borne out: {sentence.problem})" if sentence.problem else "")
        )
    if answer.table is not None:
        click.secho(f"by a query over {answer.table.table}: {answer.table.sql}", dim=True)
        cells = [f"{each.address} ({each.column}: {each.value})" for each in answer.table.cells[:CELLS]]
        more = f" and {answer.table.cell_count - CELLS} more" if answer.table.cell_count > CELLS else ""
        click.secho(f"from {', '.join(cells)}{more}", dim=True)
    click.echo("")
    for number, each in enumerate(quotes, 1):
        click.secho(
            f"[{number}] {each.source}, page {each.page}, characters {each.start}-{each.end}", dim=True
        )
        click.echo(f"    “{each.quote}”")
    if answer.removed:
        click.secho(f"{len(answer.removed)} sentence(s) left out: nothing bears them out", dim=True)
