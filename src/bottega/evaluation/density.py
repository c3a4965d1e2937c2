"""Exact Gaussian densities of pictures, the baselines of a variational bound: nats a dimension, error, samples."""

import math

import torch
from torch import Tensor

from bottega.evaluation.pictures import principal


def mean_gaussian(
    train: Tensor, test: Tensor, count: int, generator: torch.Generator
) -> tuple[float, float, Tensor]:
    """The mean picture with one variance: nats a dimension of ``test``, its error, and ``count`` samples."""
    mean = train.mean(0)
    variance = (train - mean).square().mean()
    error = (test - mean).square().mean()
    nats = 0.5 * float((2 * math.pi * variance).log() + error / variance)
    noise = torch.randn(count, *mean.shape, generator=generator)
    return nats, float(error), (mean + noise * variance.sqrt()).clamp(-1, 1)


def principal_gaussian(
    train: Tensor, test: Tensor, size: int, count: int, generator: torch.Generator
) -> tuple[float, float, Tensor]:
    """Probabilistic PCA (Tipping 1999) with ``size`` components: as above; samples without the pixel noise."""
    flat, held = train.flatten(1).double(), test.flatten(1).double()
    mean, width = flat.mean(0), flat.shape[1]
    size = min(size, width - 1, len(flat) - 1)
    values, vectors = principal(flat.T.cov())
    kept, axes = values[-size:], vectors[:, -size:]
    noise = values[:-size].mean().clamp(min=1e-9)
    inside = (held - mean) @ axes
    outside = ((held - mean) - inside @ axes.T).square().sum(1)
    logs = kept.clamp(min=noise).log().sum() + (width - size) * noise.log() + width * math.log(2 * math.pi)
    nats = 0.5 * (logs + (inside.square() / kept.clamp(min=noise)).sum(1) + outside / noise).mean() / width
    drawn = torch.randn(count, size, generator=generator).double() * (kept - noise).clamp(min=0).sqrt()
    images = (mean + drawn @ axes.T).clamp(-1, 1).float().view(-1, *train.shape[1:])
    return float(nats), float(outside.mean() / width), images
