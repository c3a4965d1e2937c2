"""An encoder-only transformer: each token sees all others. Masks are filled, and classes told, from one body.

Devlin 2018 (masks, classes); Cheng 2016 (wide beside deep); Joulin 2016 (hashed pairs); the layers are those of ``transformer``: RMS norm, rotary positions, squared ReLU.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bottega.networks.transformer import Block


class Layer(Block):
    """Attention to all that is no padding."""

    def forward(self, x: Tensor, seen: Tensor) -> Tensor:
        """[B, T, width], of which only ``seen`` [B, 1, 1, T] is looked at -> the same shape."""
        q, k, v = self.asked(x, 0)
        return self.joined(x, F.scaled_dot_product_attention(q, k, v, attn_mask=seen))


class Encoder(nn.Module):
    """Reads tokens [B, T], padded with ``words``, masked with ``words + 1``."""

    def __init__(self, words: int, width: int, layers: int, heads: int) -> None:
        super().__init__()
        self.words, self.width = words, width
        self.word = nn.Embedding(words + 2, width)
        nn.init.normal_(self.word.weight, std=width**-0.5)
        self.layers = nn.ModuleList([Layer(width, heads) for _ in range(layers)])

    def body(self, tokens: Tensor) -> Tensor:
        """[B, T] -> [B, T, width]."""
        seen = (tokens != self.words)[:, None, None, :]
        x = F.rms_norm(self.word(tokens), (self.width,))
        for layer in self.layers:
            x = layer(x, seen)
        return F.rms_norm(x, (self.width,))

    def cover(self, tokens: Tensor, share: float, generator: torch.Generator) -> Tensor:
        """The tokens with masks for a ``share`` of them, drawn at random; padding stays."""
        hidden = torch.rand(tokens.shape, generator=generator).to(tokens.device) < share
        return tokens.masked_fill(hidden & (tokens != self.words), self.words + 1)

    def masked_loss(self, tokens: Tensor, share: float, generator: torch.Generator) -> Tensor:
        """Cross-entropy in nats of the tokens of [B, T] behind masks, one in ``1 / share``."""
        covered = self.cover(tokens, share, generator)
        hidden = covered != tokens
        hidden[:, 0] |= ~hidden.any(1)  # something to say in every text; the first token is never padding
        x = self.body(covered)[hidden]
        logits = F.linear(x, self.word.weight[: self.words]) * (self.width**-0.5 * 4)
        return F.cross_entropy(logits.float(), tokens[hidden])


class Classifier(Encoder):
    """Tokens -> logits of the classes: from the first ``context`` tokens in depth, from all of them at a glance.

    At a glance every token, and every pair of neighbours by a hash below ``pairs``, has a number of its own for each class.
    """

    def __init__(
        self, words: int, width: int, layers: int, heads: int, classes: int, context: int, pairs: int
    ) -> None:
        super().__init__(words, width, layers, heads)
        self.context, self.pairs = context, pairs
        self.head = nn.Linear(width, classes)
        self.wide, self.wide_pairs = nn.Embedding(words + 2, classes), nn.Embedding(pairs + 1, classes)
        for part in (self.head, self.wide, self.wide_pairs):
            nn.init.zeros_(part.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, tokens: Tensor) -> Tensor:
        """[B, T] -> [B, classes]."""
        first = tokens[:, : self.context]
        there = (first != self.words).unsqueeze(-1).float()
        deep = self.head((self.body(first) * there).sum(1) / there.sum(1).clamp(min=1))
        size = (tokens != self.words).sum(1, keepdim=True).clamp(min=1).float()
        here = (tokens != self.words).unsqueeze(-1).float()
        hashed = (tokens[:, :-1] * 7919 + tokens[:, 1:] * 104729) % self.pairs
        both = hashed.masked_fill(tokens[:, 1:] == self.words, self.pairs)
        kept = (both != self.pairs).unsqueeze(-1).float()
        glance = (self.wide(tokens) * here).sum(1) + (self.wide_pairs(both) * kept).sum(1)
        return deep + glance * size**-0.5 * 4
