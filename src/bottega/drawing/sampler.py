"""Drawings from a trained decoder, token by token under the grammar, in NumPy: no torch where it is only used.

The network is `bottega.networks.transformer.Decoder`; keys and values are kept, so a token costs one column.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bottega.drawing.alphabet import BEGIN, END, PAD, SIZE, STATES, grammar

Floats = NDArray[np.floating]  # of 32 bits, except where chances are summed
LONGEST = 160  # tokens of a drawing
EPSILON = float(np.finfo(np.float32).eps)


@dataclass(frozen=True)
class Sampled:
    """One drawing's tokens, and their log-likelihood in nats with the prompt's words and without them."""

    tokens: tuple[int, ...]
    told: float
    alone: float

    @property
    def fit(self) -> float:
        """What candidates are ranked by: mean log-likelihood of a token, and how much the words add to it."""
        return (2 * self.told - self.alone) / len(self.tokens)


@dataclass(frozen=True)
class How:
    """How tokens are drawn.

    ``guidance`` over 1 goes beyond the prompt's words, away from what the style alone would give (Ho 2022, for token
    models Sanchez 2023); ``top`` keeps the likeliest tokens that make up this share (Holtzman 2020).
    """

    temperature: float = 0.8
    guidance: float = 1.5
    top: float = 0.95
    masked: bool = True
    longest: int = LONGEST


class Network:
    """The decoder's weights, and its keys and values so far."""

    def __init__(self, weights: Mapping[str, NDArray[np.floating]], heads: int) -> None:
        held = {name: np.ascontiguousarray(weight, dtype=np.float32) for name, weight in weights.items()}
        self.word, self.heads, self.width = held["word.weight"], heads, held["word.weight"].shape[1]
        self.said = np.ascontiguousarray(self.word[:SIZE].T) * np.float32(4 * self.width**-0.5)
        count = 1 + max(int(name.split(".")[1]) for name in held if name.startswith("layers."))
        names = ("qkv", "mix", "up", "down")
        self.layers = [
            tuple(np.ascontiguousarray(held[f"layers.{i}.{name}.weight"].T) for name in names)
            for i in range(count)
        ]

    def room(self, rows: int, length: int) -> list[tuple[Floats, Floats]]:
        """Empty keys and values, [rows, heads, length, size] a layer."""
        shape = (rows, self.heads, length, self.width // self.heads)
        return [(np.zeros(shape, np.float32), np.zeros(shape, np.float32)) for _ in self.layers]

    def logits(
        self,
        tokens: NDArray[np.int64],
        start: int,
        cache: list[tuple[Floats, Floats]],
        seen: NDArray[np.bool_],
    ) -> Floats:
        """Of the token after the last of [B, T], which begin at ``start``: [B, SIZE].

        Args:
            tokens: one more column, or the prompts, padded on the left.
            start: place of the first.
            cache: from `room`; is filled.
            seen: [B, length] which places are no padding.
        """
        rows, length = tokens.shape
        end = start + length
        x = _normed(self.word[tokens])
        later = np.triu(np.ones((length, end), bool), start + 1)
        hidden = np.where(seen[:, None, None, :end] & ~later, np.float32(0), np.float32(-1e9))
        for (qkv, mix, up, down), (keys, values) in zip(self.layers, cache, strict=True):
            parts = (_normed(x) @ qkv).reshape(rows, length, 3, self.heads, -1).transpose(2, 0, 3, 1, 4)
            query, key = (_rotated(_normed(part), start) for part in parts[:2])
            keys[:, :, start:end], values[:, :, start:end] = key, parts[2]
            scores = query @ keys[:, :, :end].transpose(0, 1, 3, 2) * np.float32(query.shape[-1] ** -0.5)
            found = _shares(scores + hidden) @ values[:, :, :end]
            x = x + found.transpose(0, 2, 1, 3).reshape(x.shape) @ mix
            x = x + np.square(np.maximum(_normed(x) @ up, 0)) @ down
        return _normed(x[:, -1]) @ self.said


def _normed(x: Floats) -> Floats:
    return x / np.sqrt(np.square(x).mean(-1, keepdims=True) + np.float32(EPSILON))


def _rotated(x: Floats, start: int) -> Floats:
    size = x.shape[-1]
    rates = np.array([10000.0 ** (-place / size) for place in range(0, size, 2)])
    places = np.array(range(start, start + x.shape[2]), np.float64)
    angles = places[:, None] * rates
    cos, sin = np.cos(angles).astype(np.float32), np.sin(angles).astype(np.float32)
    a, b = x[..., : size // 2], x[..., size // 2 :]
    return np.concatenate((a * cos - b * sin, a * sin + b * cos), axis=-1)


def _shares(scores: Floats) -> Floats:
    raised = np.exp(scores - scores.max(-1, keepdims=True))
    return raised / raised.sum(-1, keepdims=True)


def sample(
    network: Network,
    prompts: Sequence[Sequence[int]],
    how: How,
    seeds: Sequence[int | Sequence[int]],
    check: Callable[[], None] = lambda: None,
) -> list[Sampled]:
    """One drawing a prompt.

    Args:
        network: the trained decoder.
        prompts: labels from 1, the style first; label k is token ``SIZE + k - 1``.
        how: temperature and the rest.
        seeds: one a prompt; a row's numbers come from its seed alone.
        check: called between tokens; may raise.
    """
    count = len(prompts)
    said = [[SIZE + label - 1 for label in prompt] for prompt in prompts]
    rows = [*([*each, BEGIN] for each in said), *([each[0], BEGIN] for each in said)]
    wide = max(map(len, rows))
    tokens = np.array([[PAD] * (wide - len(row)) + row for row in rows])
    seen = np.ones((2 * count, wide + how.longest), np.bool_)
    seen[:, :wide] = tokens != PAD
    chances = np.stack([np.random.default_rng(seed).random(how.longest) for seed in seeds])
    table, state = grammar(), np.full(count, STATES.index("begin"))
    made = np.full((count, how.longest), PAD)
    likelihood = np.zeros((2, count))
    going, at = np.ones(count, np.bool_), 0
    cache = network.room(2 * count, wide + how.longest)
    for place in range(how.longest):
        check()
        logits = network.logits(tokens, at, cache, seen)
        at += tokens.shape[1]
        sums = logits - _log_sum(logits)
        told, alone = sums[:count], sums[count:]
        mixed = alone + np.float32(how.guidance) * (told - alone)
        if how.masked:
            after = table.after[state]
            fits = (after >= 0) & (table.left[after] + 1 <= how.longest - place)
            mixed = np.where(fits | ~going[:, None], mixed, np.float32(-np.inf))
        chosen = _chosen(mixed, how, chances[:, place])
        chosen = np.where(going, chosen, PAD)
        for i, part in enumerate((told, alone)):
            likelihood[i] += np.where(going, part[np.arange(count), chosen], 0)
        made[:, place] = chosen
        state = np.where(going & how.masked, table.after[state, chosen], state)
        going &= chosen != END
        if not going.any():
            break
        tokens = np.concatenate((chosen, chosen))[:, None]
    return [
        Sampled(tuple(int(token) for token in row if token != PAD), float(told), float(alone))
        for row, told, alone in zip(made, *likelihood, strict=True)
    ]


def _log_sum(logits: Floats) -> Floats:
    top = logits.max(-1, keepdims=True)
    return top + np.log(np.exp(logits - top).sum(-1, keepdims=True))


def _chosen(logits: Floats, how: How, chances: NDArray[np.float64]) -> NDArray[np.int64]:
    """One token a row by inverse transform: [B, SIZE] and numbers in 0..1 [B] -> [B]."""
    if how.temperature == 0:
        return logits.argmax(-1)
    shares = _shares(logits / np.float32(how.temperature)).astype(np.float64)
    order = np.argsort(-shares, axis=-1, kind="stable")
    ranked = np.take_along_axis(shares, order, -1)
    before = np.cumsum(ranked, -1) - ranked
    ranked = np.where(before < how.top, ranked, 0.0)
    sums = np.cumsum(ranked, -1)
    rank = (sums < (chances * sums[:, -1])[:, None]).sum(-1)
    return np.take_along_axis(order, rank[:, None], -1)[:, 0]
