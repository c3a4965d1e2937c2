"""`bottega engines`."""

import click


@click.command()
@click.option("--json", "machine", is_flag=True, help="Print as JSON, with parameter schemas.")
def command(machine: bool) -> None:
    """List the engines: what turns a request into outputs."""
    from bottega import plugins
    from bottega.cli.show import as_json, table

    engines = [plugins.load("bottega.engines", name) for name in plugins.found("bottega.engines")]
    if machine:
        as_json(
            [{**engine.card.document(), "params": engine.params.model_json_schema()} for engine in engines]
        )
        return
    rows = [
        (
            engine.card.id,
            engine.card.modality,
            engine.card.summary,
            ", ".join(
                f"{port.name}{'*' if port.many else ''}{'' if port.required else '?'}"
                for port in engine.card.inputs
            ),
            ", ".join(port.name for port in engine.card.outputs),
            engine.card.locality,
            engine.card.determinism,
            engine.card.licence,
        )
        for engine in engines
    ]
    table(
        "Engines",
        ("engine", "makes", "what it does", "inputs", "outputs", "where", "repeats", "licence"),
        rows,
    )
