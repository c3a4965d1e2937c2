"""`bottega call`."""

from pathlib import Path
from typing import Any

import click

from bottega.cli.brief import charge_option


@click.command()
@click.argument("engine")
@click.option(
    "--text",
    "texts",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="As --in text=FILE.",
)
@click.option(
    "--in", "inputs", multiple=True, metavar="PORT=FILE", help="A file for an input port; may be repeated."
)
@click.option(
    "--param",
    "params",
    multiple=True,
    metavar="NAME=VALUE",
    help="A parameter; JSON where it is JSON, else text.",
)
@click.option("--model", default="", help="A model of the catalog that the engine can use.")
@click.option("--seed", type=int, default=0, show_default=True)
@click.option(
    "--out", type=click.Path(path_type=Path), help="Folder for the files; texts are printed without it."
)
@charge_option
@click.option("--json", "machine", is_flag=True, help="Print facts about the files as JSON.")
def command(
    engine: str,
    texts: tuple[Path, ...],
    inputs: tuple[str, ...],
    params: tuple[str, ...],
    model: str,
    seed: int,
    out: Path | None,
    charge: tuple[str, ...],
    machine: bool,
) -> None:
    """Call one ENGINE on files of yours; `bottega engines --json` tells its ports and parameters."""
    import asyncio

    from bottega.bootstrap import build
    from bottega.cli.show import as_json
    from bottega.core.errors import EngineFailed
    from bottega.core.request import Part, Request

    parts = [("text", path) for path in texts] + [(port, Path(path)) for port, path in map(_pair, inputs)]
    service = build()
    try:
        request = Request(
            engine=engine,
            model=model,
            parts=tuple(Part(port=port, name=path.name, artifact=service.take(path)) for port, path in parts),
            params={name: _value(value) for name, value in map(_pair, params)},
            seed=seed,
        )
        result = asyncio.run(service.call(request, charge=charge))
        if result.state not in ("done", "reused"):
            raise EngineFailed(result.error, where=engine)
        facts: list[dict[str, Any]] = []
        for made in result.outputs:
            kind, size = made.artifact.media_type, made.artifact.size
            file = service.shop.artifacts.locate(made.artifact)
            path = _copied(file, out, made.port, kind) if out else None
            facts.append({**made.document(), "path": str(path or "")})
            if machine:
                continue
            if path:
                click.echo(f"{made.port}: {path}")
            elif kind.startswith("text/") or kind.endswith("json"):
                click.echo(file.read_text("utf-8").rstrip("\n"))
            else:
                click.echo(f"{made.port}: {kind}, {size} bytes; give --out DIR to keep it")
    finally:
        service.close()
    if machine:
        as_json(facts)


def _pair(text: str) -> tuple[str, str]:
    name, mark, value = text.partition("=")
    if not mark or not name:
        raise click.UsageError(f"'{text}' is not NAME=VALUE")
    return name, value


def _value(text: str) -> Any:
    import json

    try:
        return json.loads(text)
    except ValueError:
        return text


def _copied(file: Path, folder: Path, port: str, media_type: str) -> Path:
    import mimetypes
    import shutil

    from bottega.storage.disk import appearing, disk

    suffix = ".md" if media_type == "text/markdown" else mimetypes.guess_extension(media_type) or ".bin"
    with disk(folder):
        folder.mkdir(parents=True, exist_ok=True)
        with appearing(folder / f"{port}{suffix}") as made:
            shutil.copyfile(file, made)
            made.chmod(0o644)
    return folder / f"{port}{suffix}"
