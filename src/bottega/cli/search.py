"""`bottega search`."""

from typing import TYPE_CHECKING, Any, Literal

import click

if TYPE_CHECKING:
    from bottega.retrieval.collections.collection import Hit

METHODS = ("words", "vectors", "fusion", "rrf")


@click.command()
@click.argument("name")
@click.argument("query")
@click.option(
    "--as", "labels", default="", metavar="LABELS", help="Search as somebody with these labels: hr,eu."
)
@click.option("--method", type=click.Choice(METHODS), default="fusion", show_default=True)
@click.option("--top", type=click.IntRange(1, 1000), default=5, show_default=True, help="How many passages.")
@click.option("--json", "machine", is_flag=True, help="Print as JSON.")
def command(
    name: str,
    query: str,
    labels: str,
    method: Literal["words", "vectors", "fusion", "rrf"],
    top: int,
    machine: bool,
) -> None:
    """Find the passages of the collection NAME that answer QUERY, with the place they stand at."""
    import asyncio

    from bottega.bootstrap import build
    from bottega.cli.show import as_json

    allowed = [label.strip() for label in labels.split(",") if label.strip()]
    service = build()
    try:
        hits = asyncio.run(service.collections().search(name, query, allowed=allowed, top=top, method=method))
    finally:
        service.close()
    if machine:
        return as_json([facts(hit) for hit in hits])
    for number, hit in enumerate(hits, start=1):
        one = hit.passage
        click.secho(f"{number}. {one.source}, page {one.page}, characters {one.start}-{one.end}", bold=True)
        if one.heading:
            click.secho(f"   {one.heading}", dim=True)
        click.echo("   " + one.text.replace("\n", "\n   ") + "\n")
    if not hits:
        click.echo("nothing in it answers this, for what you may see")


def facts(hit: "Hit") -> dict[str, Any]:
    """A hit for a program."""
    one = hit.passage
    return {
        "score": hit.score,
        "document": one.source,
        "digest": one.sha256,
        "media_type": hit.document.media_type,
        "labels": sorted(hit.document.labels),
        "passage": one.id,
        "page": one.page,
        "start": one.start,
        "end": one.end,
        "heading": one.heading,
        "language": hit.language,
        "text": one.text,
        "boxes": [list(box) for box in one.boxes],
    }
