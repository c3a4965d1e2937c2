"""What families of labelled pictures share: batches in -1..1, labels by name, PNG files, and the table."""

import io
import math
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import cast

import torch
from PIL import Image
from torch import Tensor

from bottega.core.errors import InvalidValue
from bottega.drawing.words import MOST, needed
from bottega.evaluation import pictures
from bottega.evaluation.judge import judge, seen
from bottega.evaluation.table import CLASSICAL, FLOOR, MODEL, TRIVIAL, Row, Table
from bottega.networks.judge import Judge
from bottega.networks.noise import key
from bottega.training.data.base import Data, load
from bottega.training.family import Batch, Made

JUDGE_STEPS = 2000  # for 60,000 pictures; fewer for fewer
MEASURES = {
    "FD": "Frechet distance in the 64 features of our judge network, to training pictures; lower is better",
    "accuracy": "share that the judge gives the class they were made as",
    "precision": "share that lies among real pictures (3 nearest neighbours)",
    "recall": "share of real pictures that lies among them",
    "copies": "share nearer to a training picture than 99 of 100 held-out pictures are",
}


def scaled(images: Tensor) -> Tensor:
    """uint8 [N, C, H, W] -> float in -1..1."""
    return images.float() / 127.5 - 1


def picture_batch(data: Data, size: int, generator: torch.Generator) -> Batch:
    """Images [B, C, H, W] in -1..1 and their labels [B, words]."""
    pick = torch.randint(len(data.train["images"]), (size,), generator=generator)
    return scaled(data.train["images"][pick]), data.train["bags"][pick]


def wanted(prompt: str, labels: tuple[str, ...], count: int) -> Tensor:
    """Label indices from 1, [count, 1]: the prompt's, or all in turn.

    Raises:
        InvalidValue: the prompt is no label.
    """
    if not prompt:
        return (torch.arange(count) % len(labels) + 1)[:, None]
    if prompt not in labels:
        raise InvalidValue(f"no class '{prompt}'", where="prompt", remedy=f"one of {', '.join(labels)}")
    return torch.full((count, 1), labels.index(prompt) + 1)


def wanted_words(prompt: str, labels: tuple[str, ...], count: int) -> Tensor:
    """The style and the known words of a prompt as bags, [count, 1 + WORDS].

    Raises:
        InvalidValue: no word of it is known.
    """
    bag = needed(prompt, labels).prompt
    return torch.tensor([[*bag, *[0] * (1 + MOST - len(bag))]]).repeat(count, 1)


def png(image: Tensor) -> bytes:
    """[C, H, W] in -1..1 -> a PNG file."""
    pixels = ((image.clamp(-1, 1) + 1) * 127.5).round().byte()
    drawn = Image.fromarray(pixels[0].numpy() if len(pixels) == 1 else pixels.permute(1, 2, 0).numpy())
    file = io.BytesIO()
    drawn.save(file, "PNG")
    return file.getvalue()


def grid(images: Tensor, scale: int = 2, columns: int = 0) -> Tensor:
    """[N, C, H, W] -> one picture [C, rows * (H + 2), columns * (W + 2)], enlarged."""
    columns = columns or max(
        1, min(len(images), 10 if len(images) % 10 == 0 else math.ceil(len(images) ** 0.5))
    )
    padded = torch.nn.functional.pad(images, (1, 1, 1, 1), value=-1.0)
    missing = -len(padded) % columns
    padded = torch.cat((padded, padded.new_full((missing, *padded.shape[1:]), -1.0)))
    count, channels, high, wide = padded.shape
    table = padded.view(count // columns, columns, channels, high, wide).permute(2, 0, 3, 1, 4)
    return table.reshape(channels, -1, columns * wide).repeat_interleave(scale, 1).repeat_interleave(scale, 2)


def files(images: Tensor, labels: tuple[str, ...], bags: Tensor) -> list[Made]:
    """Every image as a PNG, named by its number and class."""
    return [
        Made(f"{number:03d}-{labels[int(bag[0]) - 1]}.png", "image/png", png(image))
        for number, (image, bag) in enumerate(zip(images, bags, strict=True))
    ]


def judged_by(data: Data, home: Path) -> Data:
    """The data whose judge looks at these."""
    return load(data.whole, home) if data.whole else data


@lru_cache(maxsize=2)
def judge_of(data: Data, home: Path) -> Judge:
    """The judge of a data set, or of the one that it is a part of, trained at most once on a machine."""
    data = judged_by(data, home)
    steps = min(JUDGE_STEPS, 50 + len(data.train["images"]) // 30)
    kept = home / "data" / "judges" / f"{data.sha256[:16]}-{steps}.safetensors"
    labels = data.train["bags"][:, 0] - 1
    return judge(scaled(data.train["images"]), labels, len(data.labels), kept, steps)


def picture_table(
    data: Data,
    home: Path,
    seed: int,
    models: Mapping[str, Callable[[Tensor], Tensor]],
    count: int,
    best: int = 1,
) -> Table:
    """The four rows for samplers that make pictures of given labels.

    Args:
        data: both splits.
        home: where judges are kept.
        seed: of baselines and choice.
        models: what each is -> labels from 1 [N, 1] -> images [N, C, H, W] in -1..1; the last one is the run's own.
        count: pictures a row.
        best: classes of the judge that count as its answer.
    """
    net, generator = judge_of(data, home), key(seed, "baselines")
    train, labels = scaled(data.train["images"]), data.train["bags"][:, 0] - 1
    test = scaled(data.test["images"])[:count]
    count = len(test)
    reference = torch.randperm(len(train), generator=generator)[: max(10_000, count)]
    base, _ = seen(net, train[reference], best)
    there = torch.tensor(
        sorted(set(cast(list[int], data.train["bags"][:, 0].tolist())))
    )  # not all, in a part
    bags = there[torch.arange(count) % len(there)][:, None]
    asked = bags[:, 0] - 1
    known = judged_by(data, home).labels
    named = torch.tensor([known.index(label) if label in known else -1 for label in data.labels])
    close = float(pictures.nearest(test, train).quantile(0.01))

    def row(kind: str, text: str, images: Tensor, classes: Tensor) -> Row:
        features, said = seen(net, images, best)
        precision, recall = pictures.precision_recall(base[:count], features)
        values = {
            "FD": pictures.frechet(base, features),
            "accuracy": float((said == named[classes][:, None]).any(1).float().mean()),
            "precision": precision,
            "recall": recall,
            "copies": float((pictures.nearest(images, train) < close).float().mean()),
        }
        return Row(kind=kind, what=text, values=values)

    means = pictures.class_means(train, labels, asked)
    gaussian = pictures.pca_gaussian(train, labels, asked, 64, generator)
    return Table(
        measures=MEASURES
        if best == 1
        else {**MEASURES, "accuracy": f"{MEASURES['accuracy']}, among its first {best}"},
        rows=(
            row(FLOOR, "held-out pictures", test, data.test["bags"][:count, 0] - 1),
            row(TRIVIAL, "the mean picture of the class", means, asked),
            row(CLASSICAL, "a Gaussian of 64 principal components a class", gaussian, asked),
            *(row(MODEL, what, make(bags), asked) for what, make in models.items()),
        ),
        notes=(f"{count} pictures a row, against {len(reference)} training pictures; seed {seed}",),
    )
