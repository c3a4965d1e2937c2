"""`bottega ask`."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from bottega.retrieval.answers.answer import Answer

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
@click.option("--session", default="", metavar="ID", help="Go on with this conversation.")
@click.option("--fresh", is_flag=True, help="Do not take an equal earlier answer over.")
@click.option("--json", "machine", is_flag=True, help="Print as JSON.")
def command(
    question: str | None,
    collection: str,
    labels: str,
    model: str,
    schema: Path | None,
    flag: bool,
    session: str,
    fresh: bool,
    machine: bool,
) -> None:
    """Answer QUESTION from the documents of a collection, every sentence with its quote.

    Exit code 0: answered; 10: abstained, with the reason; 11: asks back.
    """
    import asyncio

    from bottega.bootstrap import build
    from bottega.cli.show import as_json

    allowed = [label.strip() for label in labels.split(",") if label.strip()]
    service = build()
    try:
        how: dict[str, Any] = {
            "allowed": allowed, "model": model, "unsupported": "flag" if flag else "remove", "session": session, "fresh": fresh,
        }  # fmt: skip
        if schema:
            how["schema"] = json.loads(schema.read_text("utf-8"))
        answer = asyncio.run(service.answers().ask(question or "", collection, **how))
    finally:
        service.close()
    as_json(answer.document()) if machine else tell(answer)
    if code := CODES[answer.outcome]:
        raise click.exceptions.Exit(code)


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
    click.echo("")
    for number, each in enumerate(quotes, 1):
        click.secho(
            f"[{number}] {each.source}, page {each.page}, characters {each.start}-{each.end}", dim=True
        )
        click.echo(f"    “{each.quote}”")
    if answer.removed:
        click.secho(f"{len(answer.removed)} sentence(s) left out: nothing bears them out", dim=True)
