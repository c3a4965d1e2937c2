"""Measures over sets of pictures, and what is cheap to reach.

Heusel 2017 (Frechet distance), Kynkaanniemi 2019 (precision and recall).
"""

from collections.abc import Callable
from typing import Any, cast

import torch
from torch import Tensor
from torch.nn import functional as F


def principal(covariance: Tensor) -> tuple[Tensor, Tensor]:
    """Eigenvalues [D], smallest first, and eigenvectors [D, D] in columns."""
    eigh: Callable[[Tensor], tuple[Tensor, Tensor]] = cast(Any, torch.linalg).eigh
    values, vectors = eigh(covariance)
    return values, vectors


def frechet(a: Tensor, b: Tensor) -> float:
    """Frechet distance between Gaussians fitted to features [N, D] and [M, D]."""
    a, b = a.double(), b.double()
    left, right = a.T.cov(), b.T.cov()
    # tr((L R)^1/2) from the eigenvalues of L^1/2 R L^1/2, which is symmetric
    values, vectors = principal(left)
    root = vectors * values.clamp(min=0).sqrt() @ vectors.T
    cross = principal(root @ right @ root)[0].clamp(min=0).sqrt().sum()
    return float((a.mean(0) - b.mean(0)).square().sum() + left.trace() + right.trace() - 2 * cross)


def precision_recall(real: Tensor, made: Tensor, near: int = 3) -> tuple[float, float]:
    """The share of what was made that lies among the real, and of the real that lies among what was made.

    Features [N, D]; x lies among a set when it is nearer to one of its points than that point's third neighbour.
    """

    def inside(points: Tensor, of: Tensor) -> float:
        radius = (
            torch.cdist(of, of).sort(dim=1).values[:, min(near, len(of) - 1)]
        )  # the nearest is the point itself
        return float((torch.cdist(points, of) <= radius).any(dim=1).float().mean())

    return inside(made, real), inside(real, made)


def nearest(images: Tensor, train: Tensor) -> Tensor:
    """Root mean squared pixel distance of each image [N, C, H, W] to the nearest of ``train``: [N]."""
    flat = images.flatten(1)
    parts = [
        torch.cdist(flat, train[i : i + 10_000].flatten(1)).amin(dim=1) for i in range(0, len(train), 10_000)
    ]
    return torch.stack(parts).amin(dim=0) / flat.shape[1] ** 0.5


def class_means(images: Tensor, labels: Tensor, wanted: Tensor) -> Tensor:
    """For each wanted class [M] the mean of its images: [M, C, H, W]."""
    means = torch.stack([images[labels == label].mean(0) for label in range(int(labels.max()) + 1)])
    return means[wanted]


def pca_gaussian(
    images: Tensor, labels: Tensor, wanted: Tensor, size: int, generator: torch.Generator
) -> Tensor:
    """For each wanted class a draw from the Gaussian of its first ``size`` principal components: [M, C, H, W]."""
    made = torch.empty(len(wanted), *images.shape[1:])
    for label in range(int(wanted.max()) + 1):
        places = (wanted == label).nonzero()[:, 0]
        if not len(places):
            continue
        mine = images[labels == label].flatten(1)
        kept = min(size, *(side - 1 for side in mine.shape))
        noise = torch.randn(len(places), max(1, kept), generator=generator)
        values, vectors = principal(mine.T.double().cov())
        spread = values[-max(1, kept) :].clamp(min=0).sqrt().float()
        drawn = mine.mean(0) + (noise * spread) @ vectors[:, -max(1, kept) :].float().T
        made[places] = drawn.clamp(-1, 1).view(-1, *images.shape[1:])
    return made


def lines_met(made: Tensor, asked: Tensor) -> float:
    """F1 of lines [N, 1, H, W], 0 or 1: what was made counts where a line was asked for within a pixel, and the other way."""
    thick_made, thick_asked = (F.max_pool2d(lines, 3, 1, 1) for lines in (made, asked))
    precision = float((made * thick_asked).sum() / made.sum().clamp(min=1))
    recall = float((asked * thick_made).sum() / asked.sum().clamp(min=1))
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0
