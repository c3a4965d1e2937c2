"""An encoder-only transformer: each token sees all others. Masked-LM and class head stand on one body.

Devlin 2018 (masks, classes); the layers are those of ``transformer``: RMS norm, rotary positions, squared ReLU.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bottega.networks.transformer import rotate


class Layer(nn.Module):
    """Attention to all that is no padding and a feed-forward network, both residual and starting at zero."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv, self.mix = nn.Linear(width, 3 * width, bias=False), nn.Linear(width, width, bias=False)
        self.up, self.down = nn.Linear(width, 4 * width, bias=False), nn.Linear(4 * width, width, bias=False)
        nn.init.zeros_(self.mix.weight)
        nn.init.zeros_(self.down.weight)

    def forward(self, x: Tensor, seen: Tensor) -> Tensor:
        """[B, T, width], of which only ``seen`` [B, 1, 1, T] is looked at -> the same shape."""
        batch, length, width = x.shape
        qkv = self.qkv(F.rms_norm(x, (width,))).view(batch, length, 3, self.heads, -1)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)  # each [B, heads, T, size]
        q, k = (rotate(F.rms_norm(part, (part.shape[-1],)), 0) for part in (q, k))
        h = F.scaled_dot_product_attention(q, k, v, attn_mask=seen)
        x = x + self.mix(h.transpose(1, 2).reshape(batch, length, width))
        return x + self.down(F.relu(self.up(F.rms_norm(x, (width,)))).square())


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
