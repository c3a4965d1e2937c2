"""A convolutional variational autoencoder (Kingma 2014).

Its likelihood has one shared, optimal variance (sigma-VAE, Rybkin 2021); its prior is a mixture of Gaussians, because one
Gaussian leaves holes between the pictures, from which samples are no pictures (Tomczak 2018). The mixture is no parameter: it
follows the latents of each batch by online expectation-maximisation (Cappe 2009), because gradients move it too slowly.
"""

import math

import torch
from torch import Tensor, nn

from bottega.networks.noise import normal

MEMORY = 0.99  # of the averages that the prior follows
WIDE = 0.3  # of the variance of all latents that a Gaussian has when it begins anew
DEAD = 0.2  # of the latents that a Gaussian would have if all had as many


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
    counts: Tensor
    sums: Tensor
    squares: Tensor

    def __init__(self, channels: int, side: int, width: int, latent: int, parts: int) -> None:
        super().__init__()
        self.latent, self.small = latent, side // 4
        self.encode_map, self.decode_map = encoder(channels, width, 8), decoder(channels, width, 8)
        self.into, self.out = nn.Linear(8 * self.small**2, 2 * latent), nn.Linear(latent, 8 * self.small**2)
        self.register_buffer("counts", torch.ones(parts))  # latents of a batch that are a part's, on average
        self.register_buffer("sums", torch.randn(parts, latent))
        self.register_buffer("squares", self.sums.square() + 1)
        self.register_buffer("variance", torch.ones(()))

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """[B, C, S, S] -> mean and log variance, each [B, latent]."""
        mean, spread = self.into(self.encode_map(x).flatten(1)).chunk(2, dim=1)
        return mean, spread.clamp(-10, 5)

    def decode(self, z: Tensor) -> Tensor:
        """[B, latent] -> [B, C, S, S]."""
        return self.decode_map(self.out(z).view(-1, 8, self.small, self.small))

    def parts(self) -> tuple[Tensor, Tensor, Tensor]:
        """Of each Gaussian of the prior its share [parts], and its mean and variance [parts, latent]."""
        mean = self.sums / self.counts[:, None]
        variance = (self.squares / self.counts[:, None] - mean.square()).clamp(min=1e-3)
        return self.counts / self.counts.sum(), mean, variance

    def logs(self, z: Tensor) -> Tensor:
        """Log-density of [B, latent] and each Gaussian together: [B, parts]."""
        share, mean, variance = self.parts()
        off = (z[:, None] - mean).square() / variance + variance.log() + math.log(2 * math.pi)
        return share.log() - 0.5 * off.sum(-1)

    def prior(self, z: Tensor) -> Tensor:
        """Negative log-density of [B, latent]: [B]."""
        return -self.logs(z).logsumexp(1)

    def draw(self, chance: Tensor, noise: Tensor) -> Tensor:
        """Numbers in 0..1 [B] and standard normal ones [B, latent] -> latents of the prior, [B, latent]."""
        share, mean, variance = self.parts()
        part = torch.searchsorted(share.cumsum(0), chance).clamp(max=len(share) - 1)
        return mean[part] + noise * variance[part].sqrt()

    @torch.no_grad()
    def follow(self, z: Tensor, key: torch.Generator) -> None:
        """Latents [B, latent] move the prior; a Gaussian that hardly any of them is near to begins anew at one of them."""
        near = self.logs(z).softmax(1)  # [B, parts]
        self.counts.lerp_(near.sum(0), 1 - MEMORY)
        self.sums.lerp_(near.T @ z, 1 - MEMORY)
        self.squares.lerp_(near.T @ z.square(), 1 - MEMORY)
        dead = (self.counts < DEAD * len(z) / len(self.counts))[:, None]
        fresh = z[torch.randint(len(z), (len(self.counts),), generator=key).to(z.device)]
        mean = len(z) / len(self.counts)
        self.sums.copy_(torch.where(dead, fresh * mean, self.sums))
        wide = fresh.square() + WIDE * z.var(0, correction=0) + 1e-3
        self.squares.copy_(torch.where(dead, wide * mean, self.squares))
        self.counts.copy_(torch.where(dead[:, 0], mean, self.counts))

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
            self.follow(z.detach(), key)
        likelihood = 0.5 * (error / sigma2 + (2 * math.pi * sigma2).log()).sum(1)
        said = -0.5 * (noise.square() + spread + math.log(2 * math.pi)).sum(1)  # of z, by the encoder
        return likelihood + said + self.prior(z)
