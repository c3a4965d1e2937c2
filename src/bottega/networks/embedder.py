"""Sentence embeddings by contrast (infoNCE, van den Oord 2018; in-batch negatives, Henderson 2017)."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bottega.networks.encoder import Encoder

LEXICAL = 1.35  # of the counted words beside what words mean; learnt, it falls, because pairs seen before need no names
PIVOT = 0.75  # as BM25's b: 1 makes every vector as long as every other
PLACES = (0.0, 0.0, 0.0, 0.0, -0.2, -0.4, -0.6)  # of the first word, the next 2, 4, 8, 16, 32 and all others
LENGTH = 10.0  # of the counted words of a text, about; only so that lengths are near one


class SentenceEncoder(nn.Module):
    """Words [B, T], padded -> vectors [B, width + buckets], to be compared by their products.

    The first ``width`` numbers are a weighed mean of what the words mean; without layers a bag of words, which is what many
    seconds of a CPU are best spent on. The others are the counted words themselves, hashed (Weinberger 2009), so that rare
    names are found that were never learnt. Both weigh each word by a learnt number, which begins as the root of how rare it is
    (Sparck Jones 1972; a product of two texts then holds it once), and a word that comes n times as root n. A long text is
    made shorter than its length would have it, but not to length one (pivoted normalisation, Singhal 1996).
    """

    def __init__(self, words: int, width: int, layers: int, heads: int, buckets: int, rarity: Tensor) -> None:
        """``rarity`` [words]: the logarithm of one over the share of texts that hold a word, or so."""
        super().__init__()
        self.buckets = buckets
        self.encoder = Encoder(words, width, layers, heads)
        self.weight = nn.Embedding(words + 2, 1)
        nn.init.zeros_(self.weight.weight)
        self.weight.weight.data[:words, 0] = rarity.clamp(min=0.1).log() / 2
        self.place = nn.Parameter(
            torch.tensor(PLACES)
        )  # logarithm of what a word weighs by how far behind it stands
        self.sharpness = nn.Parameter(torch.tensor(20.0).log())  # of the products in the loss

    def forward(self, tokens: Tensor) -> Tensor:
        """[B, T] -> [B, width + buckets]."""
        times = (tokens[:, :, None] == tokens[:, None, :]).sum(2)
        far = (
            (torch.arange(tokens.shape[1], device=tokens.device) + 1).log2().long().clamp(max=len(PLACES) - 1)
        )
        told = self.weight(tokens).squeeze(-1) + self.place[far]
        weight = told.exp() * (tokens != self.encoder.words) * times**-0.5
        meant = F.normalize(self._meant(tokens, weight), dim=-1)
        sign = 1 - 2 * (tokens * 104729 // 256 % 2)
        empty = torch.zeros_like(weight[:, :1]).expand(-1, self.buckets)
        counted = empty.scatter_add(1, tokens * 7919 % self.buckets, weight * sign)
        size = (counted.square().sum(1, keepdim=True) + 1e-6).sqrt() / LENGTH
        whole = F.normalize(torch.cat((meant, counted / size / LENGTH * LEXICAL), dim=1), dim=-1)
        return whole * size ** (1 - PIVOT)

    def _meant(self, tokens: Tensor, weight: Tensor) -> Tensor:
        """[B, T] twice -> [B, width]; without layers the same in a third of the time, which no export knows."""
        encoder = self.encoder
        if self.training and not len(encoder.layers):
            table = F.rms_norm(encoder.word.weight, (encoder.width,))
            return F.embedding_bag(tokens, table, per_sample_weights=weight, mode="sum")
        return (encoder.body(tokens) * weight[..., None]).sum(1)

    def loss(self, one: Tensor, other: Tensor) -> Tensor:
        """Each of ``one`` [B, T] shall have a larger product with its own of ``other`` [B, S] than with all others, and the other way."""
        products = self(one) @ self(other).T * self.sharpness.clamp(max=5).exp()
        own = torch.arange(len(one), device=one.device)
        return (F.cross_entropy(products, own) + F.cross_entropy(products.T, own)) / 2
