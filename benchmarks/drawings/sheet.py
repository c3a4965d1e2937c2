"""A contact sheet: for each prompt three drawings as they come, then what the engine keeps; nothing is picked by hand.

python -m benchmarks.drawings.sheet --weights src/bottega/catalog/weights --out docs/drawings.png
"""

import argparse
import math
from pathlib import Path

from bottega.engines.drawing.engine import MODEL, DrawingEngine, DrawingParams
from bottega.engines.layout.scene import rasterise
from bottega.engines.variations import PAIR, best

PROMPTS = """house; heart; star; coffee cup; calendar check; user plus; arrow right circle; cloud rain; lock; mail;
shopping cart; camera off; file search; phone; bell; car; tree; key; flag; gift; moon; folder lock; battery charging;
message heart; chart bar; map pin; trash; umbrella; dog; rocket; filled heart; filled star; filled home; filled user;
filled bell; filled lock; filled folder; filled cloud; filled calendar; filled phone"""
AS_THEY_COME, BEST_OF = 3, 8
EACH, COLUMNS = AS_THEY_COME + 1, 3  # drawings a prompt, prompts a row
CELL, SCALE = 30, 3  # units a drawing, pixels a unit


def main() -> None:
    """Draw every prompt with the first seeds, and lay the drawings side by side."""
    parser = argparse.ArgumentParser()
    for name in ("weights", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    given = parser.parse_args()
    engine = DrawingEngine()
    artist = engine.opened(given.weights / MODEL, given.weights / PAIR, 1)
    seeds = [(0, number) for number in range(AS_THEY_COME + BEST_OF)]
    prompts = [" ".join(prompt.split()) for prompt in PROMPTS.split(";")]
    cells: list[str] = []
    for place, prompt in enumerate(prompts):
        params = DrawingParams(prompt=prompt)
        wanted = engine.wanted(artist.model, params)
        found = engine.sketched(artist, wanted, params, seeds, lambda: None)
        shown = [*found[:AS_THEY_COME], *best(found[AS_THEY_COME:], 1, refuse=False)]
        for number, drawn in enumerate(shown):
            x = place % COLUMNS * (EACH * CELL + 10) + number * CELL + 3
            y = place // COLUMNS * CELL + 3
            view = f'x="{x}" y="{y}" width="24" height="24" viewBox="0 0 24 24"'
            shapes = engine.shapes(drawn.form, wanted, params)
            cells.append(f'<svg {view}><g color="#000">{shapes}</g></svg>')
    wide, high = COLUMNS * (EACH * CELL + 10), math.ceil(len(prompts) / COLUMNS) * CELL
    paper = f'<rect width="{wide}" height="{high}" fill="#fff"/>'
    page = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide} {high}">{paper}{"".join(cells)}</svg>'
    )
    given.out.write_bytes(rasterise(page, wide * SCALE, high * SCALE))


if __name__ == "__main__":
    main()
