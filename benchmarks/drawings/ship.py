"""Make `icon-svg` out of a run: weights in 16 bits, words, index of the training icons, catalog entry, data sheet.

python -m benchmarks.drawings.ship --run RUN --home HOME --guidance 2.5
"""

import argparse
from pathlib import Path

import numpy as np
from benchmarks.icons.ship import facts, named, settings, shipped
from safetensors.torch import save

from bottega.drawing.alphabet import decode
from bottega.drawing.copies import Index, signature
from bottega.drawing.raster import raster
from bottega.evaluation.drawings import rows_of
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
    """Write the folder, and what the catalog and the data sheet say of it."""
    parser = argparse.ArgumentParser()
    for name in ("run", "home"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument(
        "--guidance", type=float, required=True, help="what `benchmarks.drawings.measure` chose"
    )
    given = parser.parse_args()
    run, index = open_run(given.run), index_of(given.home)
    state = {name: weight.half().contiguous() for name, weight in run.nets["decoder"].state_dict().items()}
    shipped(
        "icon-svg",
        {
            "model.safetensors": save(state),
            "model.json": facts(run, **settings(run.family.config, "heads"), guidance=given.guidance),
            "training.index": index.written(),
        },
    )
    named("icon-svg", index)


if __name__ == "__main__":
    main()
