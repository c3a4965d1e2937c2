"""A contact sheet of four drawings a prompt, from the first seeds on: nothing is picked by hand.

python -m benchmarks.drawings.sheet --weights src/bottega/catalog/weights/icon-svg --out docs/drawings.png
"""

import argparse
import math
from pathlib import Path

from bottega.drawing.shapes import svg
from bottega.drawing.words import asked
from bottega.engines.drawing.model import Drawings
from bottega.engines.layout.scene import rasterise

PROMPTS = """house; heart; star; coffee cup; calendar check; user plus; arrow right circle; cloud rain; lock; mail;
shopping cart; camera off; file search; phone; bell; car; tree; key; flag; gift; moon; folder lock; battery charging;
message heart; chart bar; map pin; trash; umbrella; dog; rocket; filled heart; filled star; filled home; filled user;
filled bell; filled lock; filled folder; filled cloud; filled calendar; filled phone"""
EACH, COLUMNS = 4, 3  # drawings a prompt, prompts a row
CELL, SCALE = 30, 3  # units a drawing, pixels a unit


def main() -> None:
    """Draw every prompt with the first seeds, and lay the drawings side by side."""
    parser = argparse.ArgumentParser()
    for name in ("weights", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--tries", type=int, default=1, help="drawn for each one shown")
    given = parser.parse_args()
    model = Drawings(given.weights)
    prompts = [" ".join(prompt.split()) for prompt in PROMPTS.split(";")]
    cells: list[str] = []
    for place, prompt in enumerate(prompts):
        seeds = [(0, number) for number in range(EACH * given.tries)]
        found = model.drawn(asked(prompt, model.labels), 0.8, 0.0, seeds, lambda: None)
        for number, drawn in enumerate(found[:EACH]):
            x = place % COLUMNS * (EACH * CELL + 10) + number * CELL + 3
            y = place // COLUMNS * CELL + 3
            view = f'x="{x}" y="{y}" width="24" height="24" viewBox="0 0 24 24"'
            cells.append(f'<svg {view}><g color="#000">{svg(drawn.drawing)}</g></svg>')
    wide, high = COLUMNS * (EACH * CELL + 10), math.ceil(len(prompts) / COLUMNS) * CELL
    paper = f'<rect width="{wide}" height="{high}" fill="#fff"/>'
    page = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide} {high}">{paper}{"".join(cells)}</svg>'
    )
    given.out.write_bytes(rasterise(page, wide * SCALE, high * SCALE))


if __name__ == "__main__":
    main()
