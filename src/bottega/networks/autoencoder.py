"""A convolutional variational autoencoder (Kingma 2014).

Its likelihood has one shared, optimal variance (sigma-VAE, Rybkin 2021); its prior is a learnt mixture of Gaussians, because
one Gaussian leaves holes between the pictures, from which samples are no pictures (Tomczak 2018).
"""

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
    """Latent vectors of ``latent`` numbers for images of ``side`` pixels; ``parts`` Gaussians are their prior."""

    variance: Tensor

    def __init__(self, channels: int, side: int, width: int, latent: int, parts: int) -> None:
        super().__init__()
        self.latent, self.small = latent, side // 4
        self.encode_map, self.decode_map = encoder(channels, width, 8), decoder(channels, width, 8)
        self.into, self.out = nn.Linear(8 * self.small**2, 2 * latent), nn.Linear(latent, 8 * self.small**2)
        self.centres = nn.Parameter(torch.randn(parts, latent))
        self.spreads, self.shares = nn.Parameter(torch.zeros(parts, latent)), nn.Parameter(torch.zeros(parts))
        self.register_buffer("variance", torch.ones(()))

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """[B, C, S, S] -> mean and log variance, each [B, latent]."""
        mean, spread = self.into(self.encode_map(x).flatten(1)).chunk(2, dim=1)
        return mean, spread.clamp(-10, 5)

    def decode(self, z: Tensor) -> Tensor:
        """[B, latent] -> [B, C, S, S]."""
        return self.decode_map(self.out(z).view(-1, 8, self.small, self.small))

    def prior(self, z: Tensor) -> Tensor:
        """Negative log-density of [B, latent]: [B]."""
        spreads = self.spreads.clamp(-10, 5)
        off = (z[:, None] - self.centres).square() / spreads.exp() + spreads + math.log(2 * math.pi)
        return -(self.shares.log_softmax(0) - 0.5 * off.sum(-1)).logsumexp(1)

    def draw(self, chance: Tensor, noise: Tensor) -> Tensor:
        """Numbers in 0..1 [B] and standard normal ones [B, latent] -> latents of the prior, [B, latent]."""
        part = torch.searchsorted(self.shares.softmax(0).cumsum(0), chance).clamp(max=len(self.shares) - 1)
        return self.centres[part] + noise * (self.spreads[part].clamp(-10, 5) / 2).exp()

    def bound(self, x: Tensor, key: torch.Generator) -> Tensor:
        """The negative evidence bound in nats an image, [B], by one sample of the latent.

        The likelihood is a Gaussian with one variance: in training the batch's own mean squared error, which is its
        optimum; afterwards what that was on average.
        """
        mean, spread = self.encode(x)
        noise = normal(tuple(mean.shape), key, x)
        z = mean + noise * (spread / 2).exp()
        error = (self.decode(z) - x).square().flatten(1)  # [B, D]
        sigma2 = error.mean().clamp(min=1e-5) if self.training else self.variance
        if self.training:
            self.variance.lerp_(sigma2.detach(), 0.02)
        likelihood = 0.5 * (error / sigma2 + (2 * math.pi * sigma2).log()).sum(1)
        said = -0.5 * (noise.square() + spread + math.log(2 * math.pi)).sum(1)  # of z, by the encoder
        return likelihood + said + self.prior(z)
