"""What families of picture densities share: pictures with noise of one grey level, and the table."""

import math
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from bottega.evaluation.density import Density, MeanGaussian, PrincipalGaussian, area_under_curve, stitched
from bottega.evaluation.judge import seen
from bottega.evaluation.pictures import frechet
from bottega.evaluation.table import CLASSICAL, FLOOR, MODEL, TRIVIAL, Row, Table
from bottega.networks.noise import key
from bottega.training.data.base import Data
from bottega.training.families.pictures import judge_of, scaled

LEVELS = 256
MEASURES = {
    "bits": "bits a dimension of held-out pictures (a model's is its bound); lower is better",
    "MSE": "mean squared error of held-out pictures after the bottleneck, pixels in -1..1",
    "FD": "Frechet distance of samples in the 64 features of our judge network, to training pictures",
    "between": "the same of pictures half-way between two held-out ones of a class",
    "AUC": "chance that a picture stitched from two halves is told as less likely than a whole one",
}


def smooth(images: Tensor, generator: torch.Generator) -> Tensor:
    """uint8 -> -1..1 with uniform noise of one grey level, which makes a density of grey levels (Theis 2016)."""
    return (images.float() + torch.rand(images.shape, generator=generator)) / (LEVELS / 2) - 1


def density_table(
    data: Data,
    home: Path,
    seed: int,
    models: Mapping[str, Density],
    size: int,
    count: int,
    more: Mapping[str, str],
    extra: Mapping[str, float],
) -> Table:
    """Beside principal components of the same size, whose likelihood is exact.

    Args:
        data: both splits.
        home: where judges are kept.
        seed: of baselines, noise and samples.
        models: what each is -> the density; the last one is the run's own.
        size: components of the classical row.
        count: held-out pictures, and samples of each row.
        more: further measures with their meanings.
        extra: what the last model reaches in them.
    """
    judge, generator = judge_of(data, home), key(seed, "baselines")
    train, test = smooth(data.train["images"], generator), smooth(data.test["images"], generator)[:count]
    labels = data.test["bags"][:count, 0]
    pick = torch.randperm(len(train), generator=generator)[:10_000]
    base, _ = seen(judge, scaled(data.train["images"][pick]))
    order = labels.argsort(stable=True)
    partner = torch.empty_like(order)
    partner[order] = order.roll(1)  # the next of the same class, but for one picture of each

    def distance(images: Tensor) -> float:
        return frechet(base, seen(judge, images.clamp(-1, 1))[0])

    def row(kind: str, what: str, density: Density) -> Row:
        nats = density.nats(test)
        values = {
            "bits": float(nats.mean()) / test[0].numel() / math.log(2) + math.log2(LEVELS / 2),
            "MSE": float((density.rebuilt(test) - test).square().mean()),
            "FD": distance(density.drawn(len(test), seed)),
            "between": distance(density.between(test, test[partner])),
            "AUC": area_under_curve(density.nats(stitched(test)), nats),
        }
        return Row(kind=kind, what=what, values=values)

    real = distance(scaled(data.test["images"][:count]))
    rows = [row(MODEL, what, density) for what, density in models.items()]
    last = rows.pop()
    return Table(
        measures={**MEASURES, **more},
        rows=(
            Row(kind=FLOOR, what="held-out pictures", values={"MSE": 0.0, "FD": real}),
            row(TRIVIAL, "the mean picture, one variance", MeanGaussian(train)),
            row(
                CLASSICAL,
                f"{size} principal components (probabilistic PCA)",
                PrincipalGaussian(train, size),
            ),
            *rows,
            last.model_copy(update={"values": {**last.values, **extra}}),
        ),
        notes=(f"{len(test)} held-out pictures with uniform noise of one grey level; seed {seed}",),
    )
