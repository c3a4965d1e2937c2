"""Make `text-icon` and `icon-pair` out of two runs: networks as ONNX, words, index of the training icons, catalog entries, data sheet.

python -m benchmarks.icons.ship --flow RUN --pair RUN --home HOME
"""

import argparse
import hashlib
import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import cast

import numpy as np

from bottega.core.value import JsonObject, Value
from bottega.drawing.copies import Index, signature
from bottega.training.data import iconify
from bottega.training.data.base import read
from bottega.training.data.records import unpacked
from bottega.training.export import export
from bottega.training.families.text_flow import TextFlow
from bottega.training.runs import Run, open_run

CATALOG = Path("src/bottega/catalog")
SHEETS = Path("docs/models")
TABLE = "| set | icons | licence | authors |"


def index_of(home: Path) -> Index:
    """All icons of the data set, held-out ones as well."""
    data = read(home / "data" / "icons.safetensors")
    images = np.concatenate([part["images"][:, 0].numpy() for part in (data.train, data.test)])
    names = [name.decode() for part in (data.train, data.test) for name in unpacked(part, "names")]
    said = {icon.set: icon for icon in iconify.icons(iconify.fetch(home / "data" / "archives"))}
    sets = sorted({name.partition(":")[0] for name in names})
    blocks = [
        signature((np.float32(255) - images[i : i + 4096].astype(np.float32)) / np.float32(255))
        for i in range(0, len(images), 4096)
    ]
    return Index(
        bits=np.concatenate(blocks),
        sets=np.array([sets.index(name.partition(":")[0]) for name in names], np.uint8),
        names=[name.partition(":")[2] for name in names],
        owners=[{"set": each, "author": said[each].author, "licence": said[each].licence} for each in sets],
    )


def main() -> None:
    """Write both folders, and what the catalog and the data sheet say of them."""
    parser = argparse.ArgumentParser()
    for name in ("flow", "pair", "home"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    given = parser.parse_args()
    flow, pair = open_run(given.flow), open_run(given.pair)
    drawn = cast(TextFlow, flow.family).words(read(given.home / "data" / "icons.safetensors"))
    index = index_of(given.home)
    shipped(
        "text-icon",
        {
            **networks(given.flow, "velocity"),
            "model.json": facts(
                flow,
                drawn=cast(list[int], drawn.tolist()),
                **settings(flow.family.config, "steps", "guidance"),
            ),
            "training.index": index.written(),
        },
    )
    shipped("icon-pair", {**networks(given.pair, "picture", "text"), "model.json": facts(pair)})
    named("text-icon", index)


def networks(run: Path, *names: str) -> dict[str, bytes]:
    """The networks of a run as ONNX files, exported where that was not done yet."""
    if not all((run / "export" / f"{name}.onnx").is_file() for name in names):
        export(run, print)
    return {f"{name}.onnx": (run / "export" / f"{name}.onnx").read_bytes() for name in names}


def settings(config: Value, *names: str) -> JsonObject:
    """These fields of a family's config."""
    return {name: config.document()[name] for name in names}


def facts(run: Run, **more: object) -> bytes:
    """``model.json``: the words, what made the weights, and what else the engine needs."""
    made = {
        "labels": list(run.family.labels),
        **more,
        "weights": hashlib.sha256(run.folder.weights_file.read_bytes()).hexdigest(),
        "data": run.config.data.sha256,
    }
    return json.dumps(made).encode() + b"\n"


def shipped(model: str, files: Mapping[str, bytes]) -> None:
    """Put the files into the package, and their sizes and digests into the catalog."""
    folder = CATALOG / "weights" / model
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.iterdir():
        path.unlink()
    told = ""
    for name, content in sorted(files.items()):
        (folder / name).write_bytes(content)
        digest = hashlib.sha256(content).hexdigest()
        told += f'\n[[files]]\npath = "{name}"\nsize = {len(content)}\nsha256 = "{digest}"\n'
    replaced(CATALOG / "models" / f"{model}.toml", "\n[[files]]", told)


def named(model: str, index: Index) -> None:
    """The sets of the training icons, at the end of the data sheet or where its table stands."""
    sizes = Counter(cast(list[int], index.sets.tolist()))
    rows = [
        f"| {owner['set']} | {sizes[place]:,} | {owner['licence']} | {owner['author']} |"
        for place, owner in enumerate(index.owners)
    ]
    sheet = SHEETS / f"{model}.md"
    after = sheet.read_text("utf-8").partition(TABLE)[2].partition("\n\n")[2]
    table = "\n".join([TABLE, "|---|---|---|---|", *rows, ""])
    replaced(sheet, TABLE, table + (f"\n{after}" if after else ""))


def replaced(path: Path, begin: str, text: str) -> None:
    """Put ``text`` in the place of ``begin`` and all that follows it, or at the end."""
    path.write_text(path.read_text("utf-8").partition(begin)[0] + text)


if __name__ == "__main__":
    main()
