"""Measure the house model's pictures: does an independent judge see the asked word, how near are they to training icons.

    python -m benchmarks.icons.measure --home HOME --weights FOLDER [--sweep]

The judge is the classifier that the table of `text-icon` uses; it has no part in choosing the pictures.
"""

import argparse
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from bottega.drawing.copies import NEAR, Index
from bottega.drawing.words import needed
from bottega.engines.likeness import Inks, Likeness
from bottega.engines.pictogram.model import Pictures
from bottega.evaluation.judge import seen
from bottega.evaluation.pictures import frechet
from bottega.networks.judge import Judge
from bottega.training.data.base import Data, read
from bottega.training.families.pictures import judge_of, scaled
from bottega.training.families.text_flow import CLASSES, FIRST, PICTURES, judged_view


class Measured(NamedTuple):
    """Top-1 and top-5 of the judge, Frechet distance to held-out icons, share of near copies, CPU seconds a picture."""

    top1: float
    top5: float
    distance: float
    copies: float
    seconds: float

    def line(self, what: str) -> str:
        """A row of a Markdown table."""
        return f"| {what} | {self.top1:.3f} | {self.top5:.3f} | {self.distance:.2f} | {self.copies:.3f} | {self.seconds:.3f} |"


HEAD = f"| what | top 1 | top {FIRST} | FD | near copies | CPU s a picture |\n|---|---|---|---|---|---|"


def measured(
    net: Judge, real: Tensor, images: Tensor, classes: Tensor, index: Index | None, seconds: float
) -> Measured:
    """The figures of pictures [N, 1, 32, 32] in -1..1 made for classes [N] from 0."""
    features, said = seen(net, images, FIRST)
    inks = ((1 - images[:, 0]) / 2).numpy()
    overlaps = [index.nearest(ink).overlap for ink in inks[:: max(1, len(inks) // 400)]] if index else []
    return Measured(
        float((said[:, 0] == classes).float().mean()),
        float((said == classes[:, None]).any(1).float().mean()),
        frechet(real, features),
        float(np.mean(np.array(overlaps) >= NEAR)) if overlaps else float("nan"),
        seconds / len(images),
    )


def made(
    pictures: Pictures, pair: Likeness, view: Data, each: int, tries: int, steps: int, guidance: float
) -> tuple[Tensor, Tensor, float]:
    """``each`` pictures for every class of the view, the likeliest of ``tries``; their classes; CPU seconds."""
    inks: list[Inks] = []
    begun = time.process_time()
    for number, word in enumerate(view.labels):
        bag = needed(word, pictures.labels).prompt
        drawn = pictures.drawn(bag, [(number, i) for i in range(each * tries)], steps, guidance)
        best = np.argsort(-pair.of(drawn, [word]))[:each] if tries > 1 else np.arange(each)
        inks.append(drawn[best])
    spent = time.process_time() - begun
    classes = torch.arange(len(view.labels)).repeat_interleave(each)
    return 1 - 2 * torch.from_numpy(np.concatenate(inks))[:, None], classes, spent


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--sweep", action="store_true", help="steps and guidance")
    parser.add_argument("--each", type=int, default=2)
    given = parser.parse_args()
    torch.set_num_threads(1)
    pictures, pair = Pictures(given.weights / "text-icon", 1), Likeness(given.weights / "icon-pair", 1)
    index = Index.read(given.weights / "text-icon" / "training.index")
    words = torch.tensor(pictures.facts["drawn"][:CLASSES])
    view = judged_view(read(given.home / "data" / "icons.safetensors"), words, PICTURES)
    net = judge_of(view, given.home)
    test, own = scaled(view.test["images"]), view.test["bags"][:, 0] - 1
    regular = torch.randperm(len(view.train["images"]), generator=torch.Generator().manual_seed(1))[:5000]
    real, _ = seen(net, scaled(view.train["images"][regular]))
    steps, guidance = int(pictures.facts["steps"]), float(pictures.facts["guidance"])
    print(HEAD)
    print(measured(net, real, test, own, index, 0.0).line(f"{len(test)} held-out icons"), flush=True)
    settings = (
        [(s, g) for s in (4, 8, 12, 20) for g in (2.0, 4.0, 6.0)] if given.sweep else [(steps, guidance)]
    )
    for s, g in settings:
        for tries in (1,) if given.sweep else (1, 4):
            images, classes, seconds = made(pictures, pair, view, given.each, tries, s, g)
            found = measured(net, real, images, classes, None if given.sweep else index, seconds)
            print(found.line(f"{s} steps, guidance {g:g}, best of {tries}"), flush=True)


if __name__ == "__main__":
    main()
