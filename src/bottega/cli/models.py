"""`bottega models`."""

import click


@click.command()
@click.option("--json", "machine", is_flag=True, help="Print as JSON.")
def command(machine: bool) -> None:
    """List the models: weights, licence, size, and whether they are here."""
    from bottega.catalog.catalog import Catalog
    from bottega.cli.show import as_json, size, table
    from bottega.settings import Settings

    catalog = Catalog(Settings().home)
    models = catalog.models()
    if machine:
        as_json(
            [
                {
                    **model.document(),
                    "digest": model.digest,
                    "size": model.size,
                    "pulled": catalog.pulled(model),
                }
                for model in models
            ]
        )
        return
    rows = [
        (
            model.id,
            ", ".join(model.aliases) or "-",
            model.modality,
            model.title,
            size(model.size),
            model.licence,
            "here" if catalog.pulled(model) else f"bottega pull {model.id}",
        )
        for model in models
    ]
    table("Models", ("model", "alias", "for", "what it is", "size", "licence", "weights"), rows)
