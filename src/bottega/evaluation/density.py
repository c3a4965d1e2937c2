"""Densities of pictures that can be told apart by one table: exact Gaussians, the baselines of a variational bound."""

import math
from typing import Protocol

import torch
from torch import Tensor

from bottega.evaluation.pictures import principal


class Density(Protocol):
    """Says how likely pictures [N, C, S, S] are, rebuilds them through its bottleneck, goes between two, makes new ones."""

    def nats(self, images: Tensor) -> Tensor:
        """Negative log-density of each picture, or a bound above it: [N]."""
        ...

    def rebuilt(self, images: Tensor) -> Tensor:
        """What is left of each behind the bottleneck."""
        ...

    def between(self, one: Tensor, other: Tensor) -> Tensor:
        """For each pair the picture half-way."""
        ...

    def drawn(self, count: int, seed: int) -> Tensor:
        """New pictures."""
        ...


class MeanGaussian:
    """The mean picture with one variance; half-way is the average of two pictures, pixel by pixel."""

    def __init__(self, train: Tensor) -> None:
        self.mean = train.mean(0)
        self.variance = (train - self.mean).square().mean()

    def nats(self, images: Tensor) -> Tensor:
        """Exact."""
        error = (images - self.mean).square().flatten(1)
        return 0.5 * (error / self.variance + (2 * math.pi * self.variance).log()).sum(1)

    def rebuilt(self, images: Tensor) -> Tensor:
        """The mean."""
        return self.mean.expand_as(images)

    def between(self, one: Tensor, other: Tensor) -> Tensor:
        """The average of both."""
        return (one + other) / 2

    def drawn(self, count: int, seed: int) -> Tensor:
        """The mean with noise."""
        noise = torch.randn(count, *self.mean.shape, generator=torch.Generator().manual_seed(seed))
        return (self.mean + noise * self.variance.sqrt()).clamp(-1, 1)


class PrincipalGaussian:
    """Probabilistic PCA (Tipping 1999) with ``size`` components; samples are without the pixel noise."""

    def __init__(self, train: Tensor, size: int) -> None:
        flat = train.flatten(1).double()
        self.mean, self.width, self.shape = flat.mean(0), flat.shape[1], train.shape[1:]
        self.size = min(size, self.width - 1, len(flat) - 1)
        values, vectors = principal(flat.T.cov())
        self.axes = vectors[:, -self.size :]
        self.noise = values[: -self.size].mean().clamp(min=1e-9)
        self.kept = values[-self.size :].clamp(min=self.noise)

    def nats(self, images: Tensor) -> Tensor:
        """Exact."""
        held = images.flatten(1).double() - self.mean
        inside = held @ self.axes
        outside = (held - inside @ self.axes.T).square().sum(1)
        logs = self.kept.log().sum() + (self.width - self.size) * self.noise.log()
        constant = logs + self.width * math.log(2 * math.pi)
        return (0.5 * (constant + (inside.square() / self.kept).sum(1) + outside / self.noise)).float()

    def rebuilt(self, images: Tensor) -> Tensor:
        """Its projection."""
        flat = images.flatten(1).double() - self.mean
        return (self.mean + flat @ self.axes @ self.axes.T).float().view_as(images)

    def between(self, one: Tensor, other: Tensor) -> Tensor:
        """The projection of the average."""
        return self.rebuilt((one + other) / 2)

    def drawn(self, count: int, seed: int) -> Tensor:
        """From the Gaussian of the components."""
        noise = torch.randn(count, self.size, generator=torch.Generator().manual_seed(seed)).double()
        flat = self.mean + noise * (self.kept - self.noise).sqrt() @ self.axes.T
        return flat.clamp(-1, 1).float().view(count, *self.shape)


def stitched(images: Tensor) -> Tensor:
    """Pictures that should be told as odd: the left half of each beside the right half of the next."""
    half = images.shape[-1] // 2
    return torch.cat((images[..., :half], images.roll(1, 0)[..., half:]), dim=-1)


def area_under_curve(odd: Tensor, plain: Tensor) -> float:
    """The chance that an odd one has the higher score of a pair: [N] and [M] scores."""
    above = (odd[:, None] > plain[None]).float() + 0.5 * (odd[:, None] == plain[None]).float()
    return float(above.mean())
