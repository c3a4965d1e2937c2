"""`bottega history`."""

import click

from bottega.cli.brief import subject_option


@click.command()
@click.argument("session")
@click.option("--in", "collection", required=True, metavar="NAME", help="The collection that was asked.")
@click.option(
    "--as",
    "--labels",
    "labels",
    default="",
    metavar="LABELS",
    help="Look as somebody with these labels: hr,eu.",
)
@click.option("--find", "words", default="", metavar="WORDS", help="Turns that hold these words, best first.")
@subject_option
@click.option("--forget", is_flag=True, help="Delete the conversation.")
@click.option("--json", "machine", is_flag=True, help="Print as JSON.")
def command(
    session: str, collection: str, labels: str, words: str, data_subject: str, forget: bool, machine: bool
) -> None:
    """Show your conversation SESSION: the last turns, and what was borne out before them, with its sources."""
    import asyncio

    from bottega.bootstrap import build
    from bottega.cli.ask import split
    from bottega.cli.show import as_json

    service = build()
    try:
        if forget:
            count = asyncio.run(service.answers().forget(collection, session, data_subject=data_subject))
            return as_json({"forgotten": count}) if machine else click.echo(f"{count} turns are gone")
        found = asyncio.run(
            service.answers().history(
                collection, session, allowed=split(labels), words=words, data_subject=data_subject
            )
        )
    finally:
        service.close()
    if machine:
        return as_json(found.document())
    if found.summary:
        click.secho("before:", bold=True)
    for sentence in found.summary:
        one = sentence.citations[0]
        click.echo(f"  {sentence.text} [{one.source}, page {one.page}, characters {one.start}-{one.end}]")
    for turn in found.turns:
        click.secho(f"{turn.question}" + (f" ({turn.asked})" if turn.asked else ""), bold=True)
        click.echo("  " + (" ".join(each.text for each in turn.sentences) or turn.outcome.replace("_", " ")))
    if not found.turns:
        click.echo("nothing was said in it, for what you may see")
