"""A language model that sees: a picture becomes vectors that stand before the words (LLaVA, Liu 2023, at a small size)."""

from torch import Tensor, nn

from bottega.networks.transformer import Cache, Decoder


class Captioner(nn.Module):
    """Convolutions to a grid of vectors, an eighth as high and a quarter as wide as the picture, and a decoder after them."""

    def __init__(self, channels: int, vocabulary: int, width: int, layers: int, heads: int) -> None:
        super().__init__()
        self.sight = nn.Sequential(
            *(nn.Conv2d(channels, width // 2, 3, 2, 1), nn.SiLU()),
            *(nn.Conv2d(width // 2, width, 3, 2, 1), nn.SiLU()),
            *(nn.Conv2d(width, width, 3, (2, 1), 1), nn.SiLU(), nn.Conv2d(width, width, 1)),
        )
        self.decoder = Decoder(vocabulary, width, layers, heads)

    def see(self, images: Tensor) -> Tensor:
        """[B, C, H, W] in -1..1 -> [B, H/8 * W/4, width], column after column."""
        return self.sight(images).transpose(2, 3).flatten(2).transpose(1, 2)

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
