"""An encoder-decoder that reads a text and writes another: the shape and pretraining of T5 (Raffel 2020).

Its layers are those of ``transformer`` and ``encoder``. A word is written from the vocabulary, or copied from what is
read, with a share that the network tells itself (pointer, See 2017): names that it never met are copied. A place behind the
word that was just written is pointed at from the first step on, so that what is copied goes on as it went there
(induction, Olsson 2022); the network learns how far to follow.
"""

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bottega.networks.encoder import Layer as Reader
from bottega.networks.transformer import Block

Pair = tuple[Tensor, Tensor]
"""Keys and values, [B, heads, T, size]."""


class Writer(Block):
    """Attention to what was written, then to what is read, then the feed-forward network."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__(width, heads)
        self.ask, self.tell = nn.Linear(width, width, bias=False), nn.Linear(width, 2 * width, bias=False)
        self.blend = nn.Linear(width, width, bias=False)
        nn.init.zeros_(self.blend.weight)

    def read(self, memory: Tensor) -> Pair:
        """[B, S, width] -> keys and values of what is read; they stay the same for every word."""
        k, v = self._split(self.tell(memory).view(*memory.shape[:2], 2, -1)).unbind(3)
        return F.rms_norm(k, k.shape[-1:]), v

    def forward(self, x: Tensor, read: Pair, seen: Tensor, past: Pair | None) -> tuple[Tensor, Pair]:
        """[B, T, width] after ``past``, with ``read`` of which ``seen`` [B, 1, 1, S] counts -> the same shape, and past."""
        q, k, v = self.asked(x, past[0].shape[2] if past else 0)
        if past:
            k, v = torch.cat((past[0], k), dim=2), torch.cat((past[1], v), dim=2)
        h = F.scaled_dot_product_attention(q, k, v, is_causal=x.shape[1] > 1)
        x = x + self.mix(h.transpose(1, 2).reshape(x.shape))
        q = F.rms_norm(self._split(self.ask(F.rms_norm(x, x.shape[-1:]))), (x.shape[-1] // self.heads,))
        h = F.scaled_dot_product_attention(q, *read, attn_mask=seen)
        x = x + self.blend(h.transpose(1, 2).reshape(x.shape))
        return x + self.down(F.relu(self.up(F.rms_norm(x, x.shape[-1:]))).square()), (k, v)

    def _split(self, x: Tensor) -> Tensor:
        """[B, T, ..., width] -> [B, heads, T, ..., size]."""
        return x.view(*x.shape[:-1], self.heads, -1).movedim(-2, 1)


class EncoderDecoder(nn.Module):
    """Tokens below ``words``; ``words`` pads, ``words + 1`` begins and ends, the next ``spans`` stand for hidden spans."""

    def __init__(self, words: int, width: int, layers: int, heads: int, spans: int) -> None:
        super().__init__()
        self.words, self.width = words, width
        self.pad, self.end, self.first_span = words, words + 1, words + 2
        self.word = nn.Embedding(words + 2 + spans, width)
        nn.init.normal_(self.word.weight, std=width**-0.5)
        self.readers = nn.ModuleList([Reader(width, heads) for _ in range(layers)])
        self.writers = nn.ModuleList([Writer(width, heads) for _ in range(layers)])
        self.point = nn.Linear(width, width, bias=False)
        self.share = nn.Linear(width, 1)
        nn.init.constant_(self.share.bias, -1.0)  # copies a quarter of what it says before it knows better
        self.follow = nn.Parameter(
            torch.tensor(4.0)
        )  # how much a place counts whose word before is the last one written

    def encode(self, source: Tensor) -> Tensor:
        """[B, S] -> memory [B, S, width]."""
        seen = (source != self.pad)[:, None, None, :]
        x = F.rms_norm(self.word(source), (self.width,))
        for layer in self.readers:
            x = layer(x, seen)
        return F.rms_norm(x, (self.width,))

    def read(self, memory: Tensor) -> list[Pair]:
        """What each layer of the decoder looks up."""
        return [cast(Writer, layer).read(memory) for layer in self.writers]

    def _written(
        self, source: Tensor, memory: Tensor, read: list[Pair], target: Tensor, past: list[Pair] | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """After each of ``target`` [B, T]: logits [B, T, vocabulary], where to copy from [B, T, S], how much [B, T, 1]."""
        seen = source != self.pad
        x = F.rms_norm(self.word(target), (self.width,))
        for i, layer in enumerate(self.writers):
            x, now = layer(x, read[i], seen[:, None, None, :], past[i] if past and i < len(past) else None)
            if past is not None:
                past[i : i + 1] = [now]
        x = F.rms_norm(x, (self.width,))
        said = F.linear(x, self.word.weight) * (self.width**-0.5 * 4)
        before = F.pad(source[:, :-1], (1, 0), value=self.end)  # [B, S]
        behind = (target[:, :, None] == before[:, None, :]).to(x.dtype)  # [B, T, S]
        places = (self.point(x) @ memory.transpose(1, 2)) * self.width**-0.5 + self.follow * behind
        places = places.masked_fill(~seen[:, None, :], -1e4).softmax(-1)
        return said, places, torch.sigmoid(self.share(x))

    def write(
        self, source: Tensor, memory: Tensor, read: list[Pair], target: Tensor, past: list[Pair] | None = None
    ) -> Tensor:
        """Log-probabilities of the token after each of ``target`` [B, T]: [B, T, vocabulary]; ``past`` grows by T."""
        said, places, share = self._written(source, memory, read, target, past)
        where = source[:, None, :].expand_as(places)
        copied = torch.zeros_like(said).scatter_add(2, where, places.to(said.dtype))
        return (said.softmax(-1) * (1 - share) + copied * share).clamp(min=1e-9).log()

    def loss(self, source: Tensor, target: Tensor) -> Tensor:
        """Nats a token of ``target`` [B, T], which begins with ``end`` and ends with it, padded.

        The same chances as those of ``write``, of the right tokens only: most of its time would go into the others.
        """
        memory = self.encode(source)
        wanted = target[:, 1:]
        said, places, share = self._written(source, memory, self.read(memory), target[:, :-1], None)
        said = -F.cross_entropy(said.float().transpose(1, 2), wanted, reduction="none")  # [B, T]
        copied = (places * (source[:, None, :] == wanted[:, :, None])).sum(-1)
        share = share[..., 0]
        logs = (said.exp() * (1 - share) + copied * share).clamp(min=1e-9).log()
        there = wanted != self.pad
        return -(logs * there).sum() / there.sum()

    def forward(self, source: Tensor, target: Tensor) -> Tensor:
        """[B, S], [B, T] -> log-probabilities [B, T, vocabulary]."""
        memory = self.encode(source)
        return self.write(source, memory, self.read(memory), target)


@torch.no_grad()
def write(
    model: EncoderDecoder,
    source: Tensor,
    length: int,
    key: torch.Generator,
    temperature: float = 0.0,
    apart: int = 0,
) -> Tensor:
    """At most ``length`` tokens for each of ``source`` [B, S], padded after the end: [B, length]. 0 takes the likeliest.

    No run of ``apart`` tokens is written twice (Paulus 2018); 0 lets them be.
    """
    memory = model.encode(source)
    read, past = model.read(memory), list[Pair]()
    tokens = torch.full((len(source), 1), model.end, device=source.device)
    over = torch.zeros(len(source), dtype=torch.bool, device=source.device)
    made: list[Tensor] = []
    for _ in range(length):
        logs = model.write(source, memory, read, tokens, past)[:, -1, : model.first_span].float()
        logs[:, model.pad] = -torch.inf
        if apart and len(made) >= apart:
            logs = _barred(logs, torch.cat(made, dim=1), apart)
        if temperature > 0:
            chances = F.softmax(logs / temperature, dim=-1).cpu()
            tokens = torch.multinomial(chances, 1, generator=key).to(source.device)
        else:
            tokens = logs.argmax(-1, keepdim=True)
        over = over | (tokens[:, 0] == model.end)
        made.append(tokens.masked_fill(over[:, None], model.pad))
        if over.all():
            break
    found = torch.cat(made, dim=1)
    return F.pad(found, (0, length - found.shape[1]), value=model.pad)


def _barred(logs: Tensor, made: Tensor, size: int) -> Tensor:
    """Log-probabilities [B, vocabulary] without the tokens that would end a run of ``made`` [B, T] once more."""
    runs = made.unfold(1, size, 1)  # [B, T - size + 1, size]
    last = made[:, made.shape[1] - size + 1 :]  # [B, size - 1]
    again = (runs[..., :-1] == last[:, None]).all(-1)
    rows, places = again.nonzero(as_tuple=True)
    logs[rows, runs[rows, places, -1]] = -torch.inf
    return logs


def corrupted(
    tokens: Tensor, pad: int, spans: int, share: float, mean: int, key: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Hide spans of a text (T5): what is left with a mark for each, and each mark with what it hides.

    Args:
        tokens: of one text, int64 [N], without padding.
        pad: the padding token; ``pad + 1`` begins and ends, ``pad + 2`` is the first mark.
        spans: how many marks there are.
        share: of the tokens that is hidden.
        mean: length of a span, about.
        key: draws the places.

    Returns:
        The source [S], and the target [T] between its beginning and its end.
    """
    count = max(1, min(spans, round(len(tokens) * share / mean)))
    length = max(1, min(mean, len(tokens) // (2 * count)))
    free = len(tokens) - count * length  # the gaps before, between and after the spans share these
    cuts = torch.randint(free + 1, (count,), generator=key).sort().values
    end = torch.tensor([pad + 1])
    source, target, at = list[Tensor](), [end], 0
    for i in range(count):
        start, mark = int(cuts[i]) + i * length, torch.tensor([pad + 2 + i])
        source += [tokens[at:start], mark]
        target += [mark, tokens[start : start + length]]
        at = start + length
    return torch.cat([*source, tokens[at:]]), torch.cat([*target, end])
