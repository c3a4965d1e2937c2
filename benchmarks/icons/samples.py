"""The picture of the data sheet: for each word three drawings as they come, then the likeliest of eight, by fixed seeds.

python -m benchmarks.icons.samples --model FOLDER --out docs/models/text-icon.png
"""

import argparse
from pathlib import Path

from bottega.engines.pictogram.picture import Drawn, Look, drawn, svg

from bottega.engines.layout.scene import rasterise
from bottega.engines.pictogram.model import Pictures

WORDS = (
    "home star camera lock bell car umbrella key phone book cloud clock flag rocket trophy cup cat bird tree robot".split()  # noqa: SIM905
)
SEED, AS_THEY_COME, BEST_OF = 0, 3, 8


def main() -> None:
    """Write the PNG; a row each for the drawings as they come, the last row chosen."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    model = Pictures(given.model, 1)
    columns: list[list[Drawn]] = []
    for word in WORDS:
        bag = model.bag(word, "")
        found = drawn(model, bag, [(SEED, n) for n in range(AS_THEY_COME + BEST_OF)], 0, 0.0)
        columns.append([*found[:AS_THEY_COME], max(found[AS_THEY_COME:], key=lambda each: each.likeness)])
    size = 60 * len(WORDS), 60 * (AS_THEY_COME + 1)
    rows = [column[n] for n in range(AS_THEY_COME + 1) for column in columns]
    sheet = svg(rows, len(WORDS), size, Look("samples", "regular", "#000000", "#ffffff"))
    given.out.write_bytes(rasterise(sheet, *size))


if __name__ == "__main__":
    main()
