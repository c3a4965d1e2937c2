"""Sentence embeddings by contrast (infoNCE, van den Oord 2018; in-batch negatives, Henderson 2017)."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bottega.networks.encoder import Encoder


class SentenceEncoder(nn.Module):
    """Tokens [B, T], padded -> vectors [B, width] of length one: a weighed mean, the weight of each token being learnt.

    Without layers it is a bag of tokens, which is what many seconds of a CPU are best spent on.
    """

    def __init__(self, words: int, width: int, layers: int, heads: int) -> None:
        super().__init__()
        self.encoder = Encoder(words, width, layers, heads)
        self.weight = nn.Embedding(words + 2, 1)
        nn.init.zeros_(self.weight.weight)
        self.sharpness = nn.Parameter(torch.tensor(20.0).log())  # of the cosines in the loss

    def forward(self, tokens: Tensor) -> Tensor:
        """[B, T] -> [B, width]."""
        weight = self.weight(tokens).exp() * (tokens != self.encoder.words).unsqueeze(-1)
        return F.normalize((self.encoder.body(tokens) * weight).sum(1), dim=-1)

    def loss(self, one: Tensor, other: Tensor) -> Tensor:
        """Each of ``one`` [B, T] shall be nearer to its own of ``other`` [B, S] than to all others, and the other way."""
        cosines = self(one) @ self(other).T * self.sharpness.clamp(max=5).exp()
        own = torch.arange(len(one), device=one.device)
        return (F.cross_entropy(cosines, own) + F.cross_entropy(cosines.T, own)) / 2
