"""A decoder-only transformer: RMS norm, rotary positions, query-key norm, squared ReLU, tied embedding.

Vaswani 2017; Su 2021 (rotary); Henry 2020 (QK norm); So 2021 (squared ReLU). The cache makes sampling linear.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Cache = list[tuple[Tensor, Tensor]]
"""Keys and values of each layer, [B, heads, T, size]."""


def rotate(x: Tensor, start: int) -> Tensor:
    """Turn pairs of [B, heads, T, size] by angles that grow with the position, the first being ``start``."""
    size = x.shape[-1]
    rates = 10000.0 ** (-torch.arange(0, size, 2, device=x.device) / size)
    angles = torch.arange(start, start + x.shape[2], device=x.device)[:, None] * rates[None]  # [T, size/2]
    a, b = x.chunk(2, dim=-1)
    return torch.cat((a * angles.cos() - b * angles.sin(), a * angles.sin() + b * angles.cos()), dim=-1)


class Block(nn.Module):
    """The weights of attention and a feed-forward network, both residual and starting at zero."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv, self.mix = nn.Linear(width, 3 * width, bias=False), nn.Linear(width, width, bias=False)
        self.up, self.down = nn.Linear(width, 4 * width, bias=False), nn.Linear(4 * width, width, bias=False)
        nn.init.zeros_(self.mix.weight)
        nn.init.zeros_(self.down.weight)

    def asked(self, x: Tensor, start: int) -> tuple[Tensor, Tensor, Tensor]:
        """[B, T, width], the first at position ``start`` -> queries, keys and values, each [B, heads, T, size]."""
        batch, length, width = x.shape
        qkv = self.qkv(F.rms_norm(x, (width,))).view(batch, length, 3, self.heads, -1)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        q, k = (rotate(F.rms_norm(part, (part.shape[-1],)), start) for part in (q, k))
        return q, k, v

    def joined(self, x: Tensor, h: Tensor) -> Tensor:
        """[B, T, width] and what attention found, [B, heads, T, size] -> [B, T, width]."""
        x = x + self.mix(h.transpose(1, 2).reshape(x.shape))
        return x + self.down(F.relu(self.up(F.rms_norm(x, x.shape[-1:]))).square())


class Layer(Block):
    """Attention to what came before."""

    def forward(self, x: Tensor, past: tuple[Tensor, Tensor] | None) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """[B, T, width] after ``past`` tokens -> the same shape, and the longer past."""
        q, k, v = self.asked(x, past[0].shape[2] if past else 0)
        if past:
            k, v = torch.cat((past[0], k), dim=2), torch.cat((past[1], v), dim=2)
        h = F.scaled_dot_product_attention(q, k, v, is_causal=x.shape[1] > 1)
        return self.joined(x, h), (k, v)


class Decoder(nn.Module):
    """Tokens [B, T] -> logits [B, T, vocabulary], or of the first ``said`` tokens, where the rest is only read."""

    def __init__(self, vocabulary: int, width: int, layers: int, heads: int, said: int = 0) -> None:
        super().__init__()
        self.width, self.said = width, said or vocabulary
        self.word = nn.Embedding(vocabulary, width)
        nn.init.normal_(self.word.weight, std=width**-0.5)
        self.layers = nn.ModuleList([Layer(width, heads) for _ in range(layers)])

    def forward(self, tokens: Tensor, cache: Cache | None = None, before: Tensor | None = None) -> Tensor:
        """[B, T] -> [B, T, vocabulary]. A prompt of several tokens needs an empty ``cache``; then one by one.

        Vectors ``before`` [B, P, width] stand in front of the tokens: what was seen.
        """
        x = self.word(tokens) if before is None else torch.cat((before, self.word(tokens)), dim=1)
        x = F.rms_norm(x, (self.width,))
        for i, layer in enumerate(self.layers):
            x, now = layer(x, cache[i] if cache and i < len(cache) else None)
            if cache is not None:
                cache[i : i + 1] = [now]
        x = x[:, -tokens.shape[1] :]
        word = self.word.weight[: self.said]
        return F.linear(F.rms_norm(x, (self.width,)), word) * (self.width**-0.5 * 4)


def told_loss(model: nn.Module, tokens: Tensor, targets: Tensor) -> Tensor:
    """Cross-entropy in nats of ``targets`` [B, T], what comes after each of ``tokens`` [B, T]; -100 is left out."""
    return F.cross_entropy(model(tokens).flatten(0, 1).float(), targets.flatten(), ignore_index=-100)


def next_token_loss(model: nn.Module, tokens: Tensor) -> Tensor:
    """Cross-entropy in nats of each token of [B, T] after the first."""
    logits = model(tokens[:, :-1])
    return F.cross_entropy(logits.flatten(0, 1).float(), tokens[:, 1:].flatten())


def distil_loss(
    student: nn.Module, teacher: nn.Module, tokens: Tensor, softness: float, taught: float
) -> Tensor:
    """Nats by which a student's odds of each token of [B, T] after the first miss the teacher's, and the text.

    ``taught`` weighs the Kullback-Leibler divergence of both models' odds at temperature ``softness``, times its square so that
    gradients keep their size; the rest is the cross-entropy of the tokens themselves (Hinton 2015).
    """
    said = student(tokens[:, :-1]).flatten(0, 1).float()
    with torch.no_grad():
        wanted = teacher(tokens[:, :-1]).flatten(0, 1).float()
    apart = F.kl_div(
        F.log_softmax(said / softness, -1),
        F.log_softmax(wanted / softness, -1),
        reduction="batchmean",
        log_target=True,
    )
    return taught * softness**2 * apart + (1 - taught) * F.cross_entropy(said, tokens[:, 1:].flatten())


@torch.no_grad()
def _drawn(chances: Tensor, key: torch.Generator | Sequence[torch.Generator]) -> Tensor:
    if isinstance(key, torch.Generator):
        return torch.multinomial(chances, 1, generator=key)
    return torch.stack(
        [torch.multinomial(row, 1, generator=own) for row, own in zip(chances, key, strict=True)]
    )


def generate(
    model: nn.Module,
    prompt: Tensor,
    length: int,
    key: torch.Generator | Sequence[torch.Generator],
    temperature: float = 1.0,
    below: int | None = None,
) -> Tensor:
    """Continue a prompt [B, T] by ``length`` tokens: [B, length]; all, or those ``below`` a number.

    One ``key`` draws for the batch, or each row has its own. A temperature of 0 takes the likeliest.
    """
    cache: Cache = []
    made: list[Tensor] = []
    tokens = prompt
    for _ in range(length):
        logits = model(tokens, cache)[:, -1, :below].float()
        if temperature > 0:
            chances = F.softmax(logits / temperature, dim=-1).cpu()
            tokens = _drawn(chances, key).to(prompt.device)
        else:
            tokens = logits.argmax(-1, keepdim=True)
        made.append(tokens)
    return torch.cat(made, dim=1)
