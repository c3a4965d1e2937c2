"""Whole words as tokens: the frequent ones have a number each, all others share a quarter of the numbers by a hash.

A name that was never met is one token still, and nearly always another one than its neighbours' (Weinberger 2009); cut into
pieces it would be like every text with the same pieces.
"""

import re
import zlib
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import cast

import torch
from torch import Tensor

from bottega.core.value import JsonObject

WORD = re.compile(rb"[a-z0-9]+")


class Words:
    """Words of lower-case texts as numbers below ``size``; ``size`` itself pads."""

    def __init__(self, codec: JsonObject) -> None:
        self.codec = codec

    @classmethod
    def learn(cls, texts: Sequence[bytes], size: int) -> "Words":
        """The words in most texts, and how rare each number is among them, as BM25 counts it."""
        seen = Counter(word for text in texts for word in set(WORD.findall(text.lower())))
        known = sorted(seen, key=lambda word: (-seen[word], word))[: size - size // 4]
        # Of the others a query meets one at a time, so they are as rare as one of them, not as all of a number.
        others = seen.total() - sum(seen[word] for word in known)
        often = others / max(1, len(seen) - len(known))
        counts = torch.tensor([*(seen[word] for word in known), often], dtype=torch.float64)
        rare = (1 + (len(texts) - counts + 0.5) / (counts + 0.5)).log()
        rarity = [round(each, 3) for each in cast(list[float], rare.tolist())]
        return cls({"words": [word.decode() for word in known], "rarity": rarity, "size": size})

    @property
    def size(self) -> int:
        """How many numbers there are."""
        return int(self.codec["size"])

    @cached_property
    def _known(self) -> dict[bytes, int]:
        return {word.encode(): number for number, word in enumerate(self.codec["words"])}

    @cached_property
    def rarity(self) -> Tensor:
        """Of each number: [size]."""
        *known, other = self.codec["rarity"]
        return torch.tensor([*known, *[other] * (self.size - len(known))])

    def encode(self, text: bytes) -> list[int]:
        """A number for each word."""
        first = self.size - self.size // 4
        return [
            self._known.get(word, first + zlib.crc32(word) % (self.size - first))
            for word in WORD.findall(text.lower())
        ]

    def rows(self, texts: Iterable[bytes], length: int) -> Tensor:
        """The first ``length`` words of each text, padded: int64 [N, length]."""
        said = [self.encode(text)[:length] for text in texts]
        found = torch.full((len(said), length), self.size)
        for row, words in zip(found, said, strict=True):
            row[: len(words)] = torch.tensor(words, dtype=torch.int64)
        return found
