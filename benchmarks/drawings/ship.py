"""Make the folder of the house model out of a run: weights in 16 bits, words, and the index of the training icons.

python -m benchmarks.drawings.ship --run RUN --home HOME --out src/bottega/catalog/weights/icon-svg
"""

import argparse
import hashlib
import json
from collections import Counter
from pathlib import Path

import numpy as np

from bottega.drawing.alphabet import decode
from bottega.drawing.raster import raster
from bottega.engines.pictogram.copies import Index, signature
from bottega.evaluation.drawings import rows_of
from bottega.training import checkpoint
from bottega.training.data import iconify
from bottega.training.data.base import read
from bottega.training.data.records import unpacked
from bottega.training.runs import open_run


def index_of(home: Path) -> Index:
    """All icons of the data set, held-out ones as well, as they are on the grid."""
    data = read(home / "data" / "icon-drawings.safetensors")
    rows = [row for part in (data.train, data.test) for row in rows_of(part["drawings"])]
    names = [name.decode() for part in (data.train, data.test) for name in unpacked(part, "names")]
    ink = np.stack([raster(decode(row)) for row in rows])  # uint8 [N, 32, 32]
    sets = sorted({name.partition(":")[0] for name in names})
    said = {icon.set: icon for icon in iconify.icons(iconify.fetch(home / "data" / "archives"))}
    return Index(
        bits=np.concatenate(
            [signature(np.divide(part, 255, dtype=np.float32)) for part in np.array_split(ink, 16)]
        ),
        sets=np.array([sets.index(name.partition(":")[0]) for name in names], np.uint8),
        names=[name.partition(":")[2] for name in names],
        owners=[{"set": each, "author": said[each].author, "licence": said[each].licence} for each in sets],
    )


def main() -> None:
    """Write the folder, and say what stands in it."""
    parser = argparse.ArgumentParser()
    for name in ("run", "home", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    run = open_run(given.run)
    state = run.nets["decoder"].state_dict()
    checkpoint.write(given.out / "model.safetensors", {name: weight.half() for name, weight in state.items()})
    facts = {
        "labels": list(run.family.labels),
        "heads": run.family.config.document()["heads"],
        "guidance": run.family.config.document()["guidance"],
        "weights": hashlib.sha256((given.run / "model.safetensors").read_bytes()).hexdigest(),
        "data": run.config.data.sha256,
    }
    (given.out / "model.json").write_text(json.dumps(facts) + "\n")
    index = index_of(given.home)
    (given.out / "training.index").write_bytes(index.written())
    for path in sorted(given.out.iterdir()):
        content = path.read_bytes()
        print(
            f'\n[[files]]\npath = "{path.name}"\nsize = {len(content)}\nsha256 = "{hashlib.sha256(content).hexdigest()}"'
        )
    sizes: Counter[int] = Counter(index.sets.tolist())
    print("\n| set | icons | licence | authors |\n|---|---|---|---|")
    for place, owner in enumerate(index.owners):
        print(f"| {owner['set']} | {sizes[place]:,} | {owner['licence']} | {owner['author']} |")


if __name__ == "__main__":
    main()
