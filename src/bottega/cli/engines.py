"""`bottega engines`."""

import click


@click.command()
@click.option("--json", "machine", is_flag=True, help="Print as JSON, with parameter schemas.")
@click.option("--checks", is_flag=True, help="List the checks and their options instead.")
def command(machine: bool, checks: bool) -> None:
    """List the engines: what turns a request into outputs."""
    from bottega import plugins
    from bottega.cli.show import as_json, table

    if checks:
        _checks(machine)
        return
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


def _checks(machine: bool) -> None:
    from bottega import plugins
    from bottega.cli.show import as_json, table

    found = [plugins.load("bottega.checks", name) for name in plugins.found("bottega.checks")]
    if machine:
        as_json(
            [
                {
                    "id": check.id,
                    "media_types": check.media_types,
                    "options": check.options.model_json_schema(),
                }
                for check in found
            ]
        )
        return
    rows = [
        (
            check.id,
            (check.__doc__ or "").strip().partition("\n")[0],
            ", ".join(check.media_types),
            ", ".join(check.options.model_fields) or "-",
        )
        for check in found
    ]
    table("Checks", ("check", "what it does", "judges", "options"), rows)
