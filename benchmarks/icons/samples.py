"""The picture of the data sheet: for each word three drawings as they come, then what the engine keeps, by fixed seeds.

python -m benchmarks.icons.samples --weights src/bottega/catalog/weights --out docs/models/text-icon.png
"""

import argparse
from pathlib import Path

from bottega.engines.layout.scene import rasterise
from bottega.engines.pictogram.engine import MODEL, Pictogram, PictogramParams
from bottega.engines.variations import PAIR, best

WORDS = (
    "home star camera lock bell car umbrella key phone book cloud clock flag rocket trophy cup cat bird tree robot".split()  # noqa: SIM905
)
SEED, AS_THEY_COME, BEST_OF = 0, 3, 8
CELL, SIDE = 60, 32  # pixels a drawing, units of its square


def main() -> None:
    """Write the PNG; a row each for the drawings as they come, the last row chosen."""
    parser = argparse.ArgumentParser()
    for name in ("weights", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    given = parser.parse_args()
    engine = Pictogram()
    artist = engine.opened(given.weights / MODEL, given.weights / PAIR, 1)
    seeds = [(SEED, n) for n in range(AS_THEY_COME + BEST_OF)]
    cells: list[str] = []
    for column, word in enumerate(WORDS):
        params = PictogramParams(prompt=word)
        wanted = engine.wanted(artist.model, params)
        found = engine.sketched(artist, wanted, params, seeds, lambda: None)
        shown = [*found[:AS_THEY_COME], *best(found[AS_THEY_COME:], 1, refuse=False)]
        for row, each in enumerate(shown):
            place = f"translate({column * CELL + 6} {row * CELL + 6}) scale({(CELL - 12) / SIDE})"
            cells.append(f'<g transform="{place}">{engine.shapes(each.form, wanted, params)}</g>')
        print(word, artist.likeness.place(shown[-1].ink, wanted.words), flush=True)
    size = CELL * len(WORDS), CELL * (AS_THEY_COME + 1)
    page = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {size[0]} {size[1]}" color="#000">'
    page += f'<rect width="100%" height="100%" fill="#fff"/>{"".join(cells)}</svg>'
    given.out.write_bytes(rasterise(page, *size))


if __name__ == "__main__":
    main()
