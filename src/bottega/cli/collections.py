"""`bottega collections`."""

import click


@click.command()
@click.argument("name", required=False)
@click.option(
    "--as", "labels", default="", metavar="LABELS", help="Count as somebody with these labels sees it: hr,eu."
)
@click.option("--json", "machine", is_flag=True, help="Print as JSON.")
def command(name: str | None, labels: str, machine: bool) -> None:
    """List the collections, or the documents of the collection NAME."""
    from dataclasses import asdict

    from bottega.bootstrap import build
    from bottega.cli.show import as_json, size, table
    from bottega.service.collections import labelled

    allowed = labelled(label.strip() for label in labels.split(",") if label.strip())
    service = build()
    try:
        collections = service.collections()
        if name:
            documents = collections.open(name).documents(allowed=allowed)
            if machine:
                return as_json([{**asdict(each), "labels": sorted(each.labels)} for each in documents])
            rows = [
                (each.name, each.media_type, size(each.size), ", ".join(sorted(each.labels)) or "-")
                for each in documents
            ]
            return table(name, ("document", "media type", "size", "labels"), rows)
        found = collections.all(allowed=allowed)
    finally:
        service.close()
    if machine:
        return as_json([{**asdict(each), "folder": str(each.folder)} for each in found])
    if not found:
        click.echo("there is no collection yet; make one:  bottega index NAME PATH...")
        return
    table(
        "Collections",
        ("name", "documents", "passages", "embedder"),
        [
            (
                each.name,
                str(each.documents),
                str(each.passages),
                f"{each.embedder}, then {each.next_embedder}" if each.next_embedder else each.embedder,
            )
            for each in found
        ],
    )
