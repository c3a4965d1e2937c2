"""An autoencoder whose bottleneck is a grid of entries of a codebook (VQ-VAE, van den Oord 2017)."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bottega.networks.autoencoder import decoder, encoder

MEMORY = 0.98  # of the averages that the codebook follows
DEAD = 0.5  # codes of a batch, on average; what is used less begins anew
COMMITMENT = 0.25


class VQ(nn.Module):
    """Pictures of ``side`` pixels as (side / 4)^2 numbers below ``codes``.

    The codebook is no parameter: each entry is the moving average of what was nearest to it, and an entry that nothing
    is near to begins anew as a random output of the encoder (van den Oord 2017, appendix A; Lancucki 2020).
    """

    book: Tensor
    counts: Tensor
    sums: Tensor
    variance: Tensor

    def __init__(self, channels: int, side: int, width: int, codes: int, size: int) -> None:
        super().__init__()
        self.small = side // 4
        self.encode_map, self.decode_map = encoder(channels, width, size), decoder(channels, width, size)
        self.register_buffer("book", torch.randn(codes, size))
        self.register_buffer("counts", torch.ones(codes))
        self.register_buffer("sums", self.book.clone())
        self.register_buffer("variance", torch.ones(()))

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """[B, C, S, S] -> vectors [B, S/4, S/4, size], and the codes nearest to them, [B, S/4, S/4]."""
        z = self.encode_map(x).movedim(1, -1)
        far = self.book.square().sum(1) - 2 * z @ self.book.T
        return z, far.argmin(-1)

    def decode(self, codes: Tensor) -> Tensor:
        """[B, S/4, S/4] -> [B, C, S, S]."""
        return self.decode_map(self.book[codes].movedim(-1, 1))

    def codes(self, x: Tensor) -> Tensor:
        """[B, C, S, S] -> [B, (S/4)^2]."""
        return self.encode(x)[1].flatten(1)

    def nats(self, x: Tensor) -> Tensor:
        """Negative log-density of each picture given its codes, [B]; that of its codes comes on top."""
        error = (self.decode(self.encode(x)[1]) - x).square().flatten(1)
        return 0.5 * (error / self.variance + (2 * math.pi * self.variance).log()).sum(1)

    def loss(self, x: Tensor, key: torch.Generator) -> Tensor:
        """Nats a pixel under the optimal shared variance, and how far the vectors are from their codes."""
        z, codes = self.encode(x)
        near = self.book[codes]
        straight = (
            z + (near - z).detach()
        )  # the decoder's gradient goes to the encoder as if nothing was rounded
        error = (self.decode_map(straight.movedim(-1, 1)) - x).square().mean().clamp(min=1e-5)
        if self.training:
            self.variance.lerp_(error.detach(), 0.02)
            self._follow(z.detach().flatten(0, 2), codes.flatten(), key)
        return 0.5 * error.log() + COMMITMENT * (z - near.detach()).square().mean()

    @torch.no_grad()
    def _follow(self, z: Tensor, codes: Tensor, key: torch.Generator) -> None:
        """Vectors [N, size] and their codes [N] move the codebook."""
        one = F.one_hot(codes, len(self.book)).to(z.dtype)
        self.counts.lerp_(one.sum(0), 1 - MEMORY)
        self.sums.lerp_(one.T @ z, 1 - MEMORY)
        dead = (self.counts < DEAD)[:, None]
        fresh = z[torch.randint(len(z), (len(self.book),), generator=key).to(z.device)]
        self.sums.copy_(torch.where(dead, fresh, self.sums))
        self.counts.copy_(torch.where(dead[:, 0], torch.ones_like(self.counts), self.counts))
        self.book.copy_(self.sums / self.counts[:, None])


def usage(codes: Tensor, size: int) -> tuple[float, float]:
    """The share of ``size`` codes that occur in int64 [...], and the perplexity of how often each does."""
    shares: Tensor = torch.bincount(codes.flatten(), minlength=size) / codes.numel()
    return float((shares > 0).float().mean()), float((-shares * shares.clamp(min=1e-12).log()).sum().exp())
