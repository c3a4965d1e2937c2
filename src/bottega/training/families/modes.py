"""How many of the kinds of stacked digits a generator finds (Metz 2017; Srivastava 2017), and the table of it."""

from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import Tensor

from bottega.evaluation import pictures
from bottega.evaluation.judge import judge, seen
from bottega.evaluation.table import CLASSICAL, FLOOR, MODEL, TRIVIAL, Row, Table
from bottega.networks.noise import key
from bottega.training.data.base import Data
from bottega.training.families.pictures import scaled

JUDGE_STEPS = 800  # of the judge of single digits, 128 each
MEASURES = {
    "modes": "of the kinds that there are, how many our judge of single digits finds among the pictures",
    "KL": "nats that the kinds found differ by from all kinds being equally likely; lower is better",
}


def kinds_found(kinds: Tensor, of: int) -> tuple[int, float]:
    """How many of ``of`` kinds occur in int64 [N], and the divergence of their shares from equal ones, in nats."""
    shares: Tensor = torch.bincount(kinds, minlength=of) / len(kinds)
    return int((shares > 0).sum()), float((shares * (shares * of).clamp(min=1e-12).log()).sum())


def modes_table(
    data: Data, home: Path, seed: int, models: Mapping[str, Callable[[int], Tensor]], count: int
) -> Table:
    """The four rows for generators of pictures whose channels are digits.

    Args:
        data: ``bags`` [N, channels] are the digits, from 1.
        home: where the judge is kept.
        seed: of the baselines.
        models: what each is -> how many -> images [N, channels, H, W] in -1..1; the last one is the run's own.
        count: pictures a row.
    """
    channels, digits = data.shape["channels"], data.shape["words"]
    kept = home / "data" / "judges" / f"{data.sha256[:16]}-single-{JUDGE_STEPS}.safetensors"
    train = scaled(data.train["images"])
    one = train.flatten(0, 1)[:, None]  # [N * channels, 1, H, W]
    net = judge(one, data.train["bags"].flatten() - 1, digits, kept, JUDGE_STEPS)
    places = digits ** torch.arange(channels)

    def row(kind: str, what: str, images: Tensor) -> Row:
        said = seen(net, images.flatten(0, 1)[:, None])[1].view(-1, channels)
        modes, divergence = kinds_found((said * places).sum(1), digits**channels)
        return Row(kind=kind, what=what, values={"modes": modes, "KL": divergence})

    test, all_one = scaled(data.test["images"])[:count], torch.zeros(len(train), dtype=torch.int64)
    count = len(test)
    right = seen(net, test.flatten(0, 1)[:, None])[1][:, 0] == data.test["bags"][:count].flatten() - 1
    gaussian = pictures.pca_gaussian(train, all_one, all_one[:count], 64, key(seed, "baselines"))
    return Table(
        measures=MEASURES,
        rows=(
            row(FLOOR, "held-out pictures", test),
            row(TRIVIAL, "the mean picture", train.mean(0, keepdim=True).expand(count, -1, -1, -1)),
            row(CLASSICAL, "a Gaussian of 64 principal components", gaussian),
            *(row(MODEL, what, make(count)) for what, make in models.items()),
        ),
        notes=(
            f"{digits**channels} kinds; {count} pictures a row; seed {seed}",
            f"the judge is right about {float(right.float().mean()):.3f} of single held-out digits",
        ),
    )
