"""Make the house model out of two runs: networks as ONNX, vocabulary, index of the training icons, catalog entry, data sheet.

python -m benchmarks.icons.ship --flow RUN --pair RUN --home HOME --out src/bottega/catalog/weights/text-icon
"""

import argparse
import hashlib
import json
from collections import Counter
from pathlib import Path
from typing import cast

import numpy as np

from bottega.engines.pictogram.copies import Index, signature
from bottega.training.data import iconify
from bottega.training.data.base import read
from bottega.training.data.records import unpacked
from bottega.training.export import export
from bottega.training.families.text_flow import TextFlow
from bottega.training.runs import open_run

CATALOG, SHEET = Path("src/bottega/catalog/models/text-icon.toml"), Path("docs/models/text-icon.md")
TABLE = "| set | icons | licence | authors |"
NETWORKS = {"flow": ("velocity",), "pair": ("picture", "text")}


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
    """Write the folder, and say what stands in it."""
    parser = argparse.ArgumentParser()
    for name in ("flow", "pair", "home", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    for kind, names in NETWORKS.items():
        path: Path = getattr(given, kind)
        if not all((path / "export" / f"{name}.onnx").is_file() for name in names):
            export(path, print)
        for name in names:
            (given.out / f"{name}.onnx").write_bytes((path / "export" / f"{name}.onnx").read_bytes())
    run = open_run(given.flow)
    model = run.family.config.document()
    drawn = cast(TextFlow, run.family).words(read(given.home / "data" / "icons.safetensors"))
    facts: dict[str, object] = {
        "labels": list(run.family.labels),
        "styles": run.family.shape["styles"],
        "drawn": drawn.tolist(),
        "steps": model["steps"],
        "guidance": model["guidance"],
        "weights": {
            kind: hashlib.sha256((getattr(given, kind) / "model.safetensors").read_bytes()).hexdigest()
            for kind in NETWORKS
        },
        "data": run.config.data.sha256,
    }
    (given.out / "model.json").write_text(json.dumps(facts) + "\n")
    index = index_of(given.home)
    (given.out / "training.index").write_bytes(index.written())
    files = [
        f'\n[[files]]\npath = "{path.name}"\nsize = {path.stat().st_size}\n'
        f'sha256 = "{hashlib.sha256(path.read_bytes()).hexdigest()}"\n'
        for path in sorted(given.out.iterdir())
    ]
    replaced(CATALOG, "\n[[files]]", "".join(files))
    sizes = Counter(cast(list[int], index.sets.tolist()))
    rows = [
        f"| {owner['set']} | {sizes[place]:,} | {owner['licence']} | {owner['author']} |"
        for place, owner in enumerate(index.owners)
    ]
    replaced(SHEET, TABLE, "\n".join([TABLE, "|---|---|---|---|", *rows, ""]))


def replaced(path: Path, begin: str, text: str) -> None:
    """Put ``text`` in the place of ``begin`` and all that follows it, or at the end."""
    path.write_text(path.read_text("utf-8").partition(begin)[0] + text)


if __name__ == "__main__":
    main()
