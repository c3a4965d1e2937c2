"""A contact sheet of one drawing a prompt, from the first seeds on: nothing is picked by hand.

python -m benchmarks.drawings.sheet --weights FOLDER --out docs/drawings.png
python -m benchmarks.drawings.sheet --run RUN --out sheet.png        # of a checkpoint, while it trains
"""

import argparse
import math
from pathlib import Path
from typing import cast

from bottega.core.errors import InvalidValue
from bottega.drawing import weights
from bottega.drawing.alphabet import decode
from bottega.drawing.sampler import How, Network, sample
from bottega.drawing.shapes import svg
from bottega.drawing.words import asked
from bottega.engines.drawing.model import Drawings
from bottega.engines.layout.scene import rasterise

PROMPTS = """house; heart; star; coffee cup; calendar check; user plus; arrow right circle; cloud rain; lock; mail;
shopping cart; camera off; file search; phone; bell; bicycle; tree; key; flag; gift; moon; folder lock; battery charging;
message heart; chart bar; map pin; trash; umbrella; dog; rocket; filled heart; filled star; filled home; filled user;
filled bell; filled lock; filled folder; filled cloud; filled calendar; filled phone"""
EACH = 4


def main() -> None:
    """Draw every prompt with the first seeds, and lay the drawings side by side."""
    parser = argparse.ArgumentParser()
    for name in ("run", "weights", "out"):
        parser.add_argument(f"--{name}", type=Path)
    parser.add_argument("--tries", type=int, default=1)
    parser.add_argument("--guidance", type=float, default=0)
    parser.add_argument("--temperature", type=float, default=0.8)
    given = parser.parse_args()
    prompts = [" ".join(prompt.split()) for prompt in PROMPTS.split(";")]
    drawings = []
    for prompt in prompts:
        if given.weights:
            model = Drawings(given.weights)
            found = model.drawn(
                asked(prompt, model.labels),
                given.temperature,
                given.guidance,
                [(0, number) for number in range(EACH * given.tries)],
                lambda: None,
            )
            drawings.append([each.drawing for each in found[:EACH]])
        else:
            drawings.append(_of_checkpoint(given.run, prompt, given.temperature, given.guidance))
    columns = 3 * EACH
    cells: list[str] = []
    for place, few in enumerate(drawings):
        for number, drawing in enumerate(few):
            at = place * EACH + number
            x, y = at % columns * 30 + 3 + at % columns // EACH * 10, at // columns * 30 + 3
            cells.append(
                f'<svg x="{x}" y="{y}" width="24" height="24" viewBox="0 0 24 24"><g color="#000">{svg(drawing)}</g></svg>'
            )
    wide, high = columns * 30 + 20, math.ceil(len(drawings) / 3) * 30
    page = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide} {high}"><rect width="{wide}" height="{high}" fill="#fff"/>{"".join(cells)}</svg>'
    given.out.write_bytes(rasterise(page, wide * 3, high * 3))


def _of_checkpoint(run: Path, prompt: str, temperature: float, guidance: float) -> list:
    import json

    config = json.loads((run / "config.json").read_bytes())
    labels = config["data"]["labels"]
    state = weights.read(run / "train.safetensors") if not hasattr(_of_checkpoint, "kept") else None
    if state is not None:
        mine = {
            name.removeprefix("ema.decoder."): value
            for name, value in state.items()
            if name.startswith("ema.")
        }
        _of_checkpoint.kept = Network(mine, config["recipe"]["depth"])
    try:
        words = asked(prompt, labels)
    except InvalidValue:
        return []
    how = How(temperature=temperature, guidance=guidance or 1.5)
    made = sample(_of_checkpoint.kept, [words] * EACH, how, [(0, number) for number in range(EACH)])
    return [decode(each.tokens) for each in made]


if __name__ == "__main__":
    main()
