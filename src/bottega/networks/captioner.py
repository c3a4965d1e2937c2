"""A language model that sees: a picture becomes vectors that stand before the words (LLaVA, Liu 2023, at a small size)."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bottega.networks.transformer import Cache, Decoder


class Sight(nn.Module):
    """Convolutions, then one vector for each strip of four columns of the picture, with a learnt place."""

    def __init__(self, channels: int, high: int, wide: int, width: int) -> None:
        super().__init__()
        sizes = (channels, width // 2, width, width)
        self.convs = nn.ModuleList(
            nn.Conv2d(sizes[i], sizes[i + 1], 3, (2, 2 if i < 2 else 1), 1) for i in range(3)
        )
        self.norms = nn.ModuleList(nn.GroupNorm(4, size) for size in sizes[1:])
        self.strip = nn.Conv2d(width, width, (-(-high // 8), 1))
        self.place = nn.Parameter(torch.randn(width, -(-wide // 4)) * 0.3)

    def forward(self, images: Tensor) -> Tensor:
        """[B, C, H, W] in -1..1 -> [B, W/4, width], from left to right."""
        x = images
        for conv, norm in zip(self.convs, self.norms, strict=True):
            x = F.silu(norm(conv(x)))
        return (self.strip(x).squeeze(2) + self.place).transpose(1, 2)


class Captioner(nn.Module):
    """What is seen stands before the words of a decoder."""

    def __init__(
        self, channels: int, high: int, wide: int, vocabulary: int, width: int, layers: int, heads: int
    ) -> None:
        super().__init__()
        self.see = Sight(channels, high, wide, width)
        self.decoder = Decoder(vocabulary, width, layers, heads)

    def forward(self, images: Tensor, tokens: Tensor) -> Tensor:
        """[B, C, H, W] and [B, T] -> logits [B, T, vocabulary]."""
        return self.decoder(tokens, before=self.see(images))


class Looking(nn.Module):
    """A captioner in front of pictures that it has seen, as a decoder of tokens."""

    def __init__(self, decoder: Decoder, seen: Tensor) -> None:
        super().__init__()
        self.decoder, self.seen = decoder, seen

    def forward(self, tokens: Tensor, cache: Cache | None = None) -> Tensor:
        """[B, T] -> [B, T, vocabulary]; what was seen stands before the first of them."""
        return self.decoder(tokens, cache, None if cache else self.seen)
