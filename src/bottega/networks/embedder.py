"""Sentence embeddings by contrast (infoNCE, van den Oord 2018; in-batch negatives, Henderson 2017)."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bottega.networks.encoder import Encoder


class SentenceEncoder(nn.Module):
    """Tokens [B, T], padded -> vectors [B, width + buckets] of length one.

    The first ``width`` numbers are a weighed mean of what the tokens mean; without layers a bag of tokens, which is what many
    seconds of a CPU are best spent on. The others are the counted tokens themselves, hashed (Weinberger 2009), so that rare
    names are found that were never learnt. Both weigh each token by a learnt number, and a token that comes n times as root n.
    """

    def __init__(self, words: int, width: int, layers: int, heads: int, buckets: int) -> None:
        super().__init__()
        self.buckets = buckets
        self.encoder = Encoder(words, width, layers, heads)
        self.weight = nn.Embedding(words + 2, 1)
        nn.init.zeros_(self.weight.weight)
        self.lexical = nn.Parameter(torch.tensor(0.0))  # logarithm of how much the hashed counts weigh
        self.sharpness = nn.Parameter(torch.tensor(20.0).log())  # of the cosines in the loss

    def forward(self, tokens: Tensor) -> Tensor:
        """[B, T] -> [B, width + buckets]."""
        times = (tokens[:, :, None] == tokens[:, None, :]).sum(2)
        weight = self.weight(tokens).squeeze(-1).exp() * (tokens != self.encoder.words) * times**-0.5
        meant = F.normalize((self.encoder.body(tokens) * weight[..., None]).sum(1), dim=-1)
        sign = 1 - 2 * (tokens * 104729 // 256 % 2)
        empty = torch.zeros_like(weight[:, :1]).expand(-1, self.buckets)
        counted = F.normalize(empty.scatter_add(1, tokens * 7919 % self.buckets, weight * sign), dim=-1)
        return F.normalize(torch.cat((meant, counted * self.lexical.exp()), dim=1), dim=-1)

    def loss(self, one: Tensor, other: Tensor) -> Tensor:
        """Each of ``one`` [B, T] shall be nearer to its own of ``other`` [B, S] than to all others, and the other way."""
        cosines = self(one) @ self(other).T * self.sharpness.clamp(max=5).exp()
        own = torch.arange(len(one), device=one.device)
        return (F.cross_entropy(cosines, own) + F.cross_entropy(cosines.T, own)) / 2
