"""An encoder-only transformer: each token sees all others. Masked-LM and class head stand on one body.

Devlin 2018 (masks, classes); the layers are those of ``transformer``: RMS norm, rotary positions, squared ReLU.
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
    """Tokens [B, T], padded with ``words``, masked with ``words + 1`` -> logits of the classes [B, classes]."""

    def __init__(self, words: int, width: int, layers: int, heads: int, classes: int) -> None:
        super().__init__()
        self.words, self.width = words, width
        self.word = nn.Embedding(words + 2, width)
        nn.init.normal_(self.word.weight, std=width**-0.5)
        self.layers = nn.ModuleList([Layer(width, heads) for _ in range(layers)])
        self.head = nn.Linear(width, classes)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def body(self, tokens: Tensor) -> Tensor:
        """[B, T] -> [B, T, width]."""
        seen = (tokens != self.words)[:, None, None, :]
        x = F.rms_norm(self.word(tokens), (self.width,))
        for layer in self.layers:
            x = layer(x, seen)
        return F.rms_norm(x, (self.width,))

    def forward(self, tokens: Tensor) -> Tensor:
        """[B, T] -> [B, classes]: of the mean over all tokens that are no padding."""
        there = (tokens != self.words).unsqueeze(-1).float()
        mean = (self.body(tokens) * there).sum(1) / there.sum(1).clamp(min=1)
        return self.head(mean)

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
