"""Two towers, one for pictures and one for bags of words, that end in the same space (Radford 2021, CLIP)."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class PictureTower(nn.Module):
    """Pictures whose side divides by 8 -> vectors of length 1."""

    def __init__(self, channels: int, side: int, width: int, size: int) -> None:
        super().__init__()
        w = (channels, width, 2 * width, 4 * width, 4 * width)
        steps = (2, 2, 2, 1)
        self.convs = nn.ModuleList(nn.Conv2d(w[i], w[i + 1], 3, steps[i], 1) for i in range(4))
        self.norms = nn.ModuleList(nn.GroupNorm(8, outside) for outside in w[1:])
        self.out = nn.Linear(4 * width * (side // 8) ** 2, size)

    def forward(self, x: Tensor) -> Tensor:
        """[B, channels, side, side] in -1..1 -> [B, size]."""
        for conv, norm in zip(self.convs, self.norms, strict=True):
            x = F.silu(norm(conv(x)))
        return F.normalize(self.out(x.flatten(1)).float(), dim=1)


class WordTower(nn.Module):
    """Bags of word indices, 0 meaning "nothing" -> vectors of length 1."""

    def __init__(self, words: int, size: int) -> None:
        super().__init__()
        self.word = nn.Embedding(words + 1, size, padding_idx=0)
        self.mix = nn.Sequential(nn.Linear(size, 2 * size), nn.SiLU(), nn.Linear(2 * size, size))

    def forward(self, bag: Tensor) -> Tensor:
        """[B, words in the bag] -> [B, size]."""
        there = (bag > 0).sum(1, keepdim=True).clamp(min=1).sqrt()
        mean = self.word(bag).sum(1) / there
        return F.normalize((mean + self.mix(mean)).float(), dim=1)


class Pair(nn.Module):
    """Both towers, and how sharply likeness is read."""

    def __init__(self, channels: int, side: int, width: int, words: int, size: int) -> None:
        super().__init__()
        self.picture = PictureTower(channels, side, width, size)
        self.text = WordTower(words, size)
        self.sharpness = nn.Parameter(torch.tensor(math.log(1 / 0.07)))

    def forward(self, x: Tensor, bag: Tensor) -> Tensor:
        """[B, C, S, S], [M, words] -> logits [B, M]."""
        return self.sharpness.clamp(max=math.log(100)).exp() * self.picture(x) @ self.text(bag).T


def pair_loss(net: nn.Module, x: Tensor, bag: Tensor) -> Tensor:
    """InfoNCE both ways (van den Oord 2018); other pictures of the same words are no counter-examples."""
    logits = net(x, bag)
    ordered = bag.sort(dim=1).values
    same = (ordered[:, None] == ordered[None]).all(-1) & ~torch.eye(
        len(bag), dtype=torch.bool, device=bag.device
    )
    logits = logits.masked_fill(same, -1e4)
    own = torch.arange(len(bag), device=bag.device)
    return (F.cross_entropy(logits, own) + F.cross_entropy(logits.T, own)) / 2
