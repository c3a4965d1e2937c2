"""A convolutional variational autoencoder with an optimal shared variance (Kingma 2014; sigma-VAE, Rybkin 2021)."""

import math

import torch
from torch import Tensor, nn

from bottega.networks.noise import normal


def encoder(channels: int, width: int, out: int) -> nn.Sequential:
    """[B, channels, S, S] -> [B, out, S/4, S/4]."""
    w = width
    return nn.Sequential(
        *(nn.Conv2d(channels, w, 4, 2, 1), nn.SiLU(), nn.Conv2d(w, 2 * w, 4, 2, 1), nn.SiLU()),
        *(nn.Conv2d(2 * w, 2 * w, 3, 1, 1), nn.SiLU(), nn.Conv2d(2 * w, out, 1)),
    )


def decoder(channels: int, width: int, inside: int) -> nn.Sequential:
    """[B, inside, S/4, S/4] -> [B, channels, S, S]."""
    w = width
    return nn.Sequential(
        *(nn.Conv2d(inside, 2 * w, 3, 1, 1), nn.SiLU()),
        *(nn.ConvTranspose2d(2 * w, w, 4, 2, 1), nn.SiLU(), nn.ConvTranspose2d(w, w, 4, 2, 1), nn.SiLU()),
        nn.Conv2d(w, channels, 3, 1, 1),
    )


class VAE(nn.Module):
    """Latent vectors of ``latent`` numbers for images of ``side`` pixels."""

    variance: Tensor

    def __init__(self, channels: int, side: int, width: int, latent: int) -> None:
        super().__init__()
        self.latent, self.small = latent, side // 4
        self.encode_map, self.decode_map = encoder(channels, width, 8), decoder(channels, width, 8)
        self.into, self.out = nn.Linear(8 * self.small**2, 2 * latent), nn.Linear(latent, 8 * self.small**2)
        self.register_buffer("variance", torch.ones(()))

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """[B, C, S, S] -> mean and log variance, each [B, latent]."""
        mean, spread = self.into(self.encode_map(x).flatten(1)).chunk(2, dim=1)
        return mean, spread.clamp(-10, 5)

    def decode(self, z: Tensor) -> Tensor:
        """[B, latent] -> [B, C, S, S]."""
        return self.decode_map(self.out(z).view(-1, 8, self.small, self.small))

    def bound(self, x: Tensor, key: torch.Generator) -> tuple[Tensor, Tensor]:
        """The negative evidence bound in nats an image, [B], and the squared error an image, [B].

        The likelihood is a Gaussian with one variance: in training the batch's own mean squared error, which is its
        optimum; afterwards what that was on average.
        """
        mean, spread = self.encode(x)
        z = mean + normal(tuple(mean.shape), key, x) * (spread / 2).exp()
        error = (self.decode(z) - x).square().flatten(1)  # [B, D]
        sigma2 = error.mean().clamp(min=1e-5) if self.training else self.variance
        if self.training:
            self.variance.lerp_(sigma2.detach(), 0.02)
        likelihood = 0.5 * (error / sigma2 + (2 * math.pi * sigma2).log()).sum(1)
        divergence = 0.5 * (mean.square() + spread.exp() - 1 - spread).sum(1)
        return likelihood + divergence, error.mean(1)
