"""Measure `icon-svg` as the engine draws it: the likeliest of several by the contrastive pair, near copies last.

    python -m benchmarks.drawings.measure --home HOME --weights FOLDER [--sweep]

The judge is that of the family's table; it has no part in choosing drawings. ``--sweep`` looks for temperature and
guidance on prompts of training drawings, so that the held-out ones are looked at once.
"""

import argparse
import time
from pathlib import Path
from typing import cast

import torch
from torch import Tensor

from bottega.drawing.alphabet import encode
from bottega.drawing.copies import Index
from bottega.engines.drawing.model import Drawings
from bottega.engines.likeness import Likeness
from bottega.engines.variations import Sketch, best
from bottega.evaluation.drawings import judged, rows_of
from bottega.training.data.base import Data, read
from bottega.training.families.drawing import Judging, judge_of, judged_places

HEAD = "| what | parse | drawn | top-5 | of the real ones' | new | CPU s a drawing |\n|---|---|---|---|---|---|---|"
SWEPT = 64  # prompts of training drawings


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser()
    for name in ("home", "weights"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--prompts", type=int, default=400)
    parser.add_argument(
        "--sweep", action="store_true", help="temperature, guidance and tries, on training prompts"
    )
    given = parser.parse_args()
    torch.set_num_threads(1)
    data = read(given.home / "data" / "icon-drawings.safetensors")
    judging, model = judge_of(data, given.home), Drawings(given.weights / "icon-svg")
    artist = (
        model,
        Likeness(given.weights / "icon-pair", 1),
        Index.read(given.weights / "icon-svg" / "training.index"),
    )
    print(HEAD)
    if given.sweep:
        shuffled = torch.randperm(len(data.train["bags"]), generator=torch.Generator().manual_seed(5))
        bags, drawings = data.train["bags"][shuffled], data.train["drawings"][shuffled]
        settings = [(t, g, n) for t in (0.6, 0.8, 1.0) for g in (1.5, 2.5) for n in (8,)]
    else:
        bags, drawings = data.test["bags"], data.test["drawings"]
        settings = [(0.8, model.guidance, n) for n in (1, 8)]
    place, asked = judged_places(bags, judging.words, SWEPT if given.sweep else given.prompts)
    real = judged(rows_of(drawings[place]), asked, judging.judge, judging.known)
    print(line(f"{len(place)} icons by people", real, real, 0.0), flush=True)
    for temperature, guidance, tries in settings:
        begun = time.process_time()
        chosen = drawn(artist, data, bags[place], (temperature, guidance, tries))
        spent = (time.process_time() - begun) / len(place)
        what = f"temperature {temperature:g}, guidance {guidance:g}, likeliest of {tries}"
        print(line(what, table(chosen, asked, judging), real, spent), flush=True)


def drawn(
    artist: tuple[Drawings, Likeness, Index], data: Data, bags: Tensor, how: tuple[float, float, int]
) -> list[list[int]]:
    """For each prompt the tokens of the drawing that the engine would keep."""
    (model, likeness, index), (temperature, guidance, tries) = artist, how
    kept: list[list[int]] = []
    for number, bag in enumerate(cast(list[list[int]], bags.tolist())):
        prompt = [label for label in bag if label]
        seeds = [(number, each) for each in range(tries)]
        inks, forms = model.drawn(prompt, temperature, guidance, seeds)
        fits = likeness.of(inks, [data.labels[label - 1] for label in prompt[1:]])
        found = [
            Sketch(ink, form, float(fit), index.nearest(ink))
            for ink, form, fit in zip(inks, forms, fits, strict=True)
        ]
        kept.append(encode(best(found, 1, refuse=False)[0].form))
    return kept


def table(rows: list[list[int]], asked: Tensor, judging: Judging) -> dict[str, float]:
    """The measures of the family's table."""
    return judged(rows, asked, judging.judge, judging.known)


def line(what: str, found: dict[str, float], real: dict[str, float], seconds: float) -> str:
    """A row of a Markdown table."""
    share = found["top-5"] / real["top-5"]
    return f"| {what} | {found['parse']:.3f} | {found['drawn']:.3f} | {found['top-5']:.3f} | {share:.2f} | {found['new']:.3f} | {seconds:.2f} |"


if __name__ == "__main__":
    main()
