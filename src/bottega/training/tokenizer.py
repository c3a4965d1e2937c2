"""Byte-pair encoding (Sennrich 2016) of any bytes: what is encoded comes back letter by letter, whatever it was."""

import json
from collections.abc import Iterable
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bottega.core.value import JsonObject

BYTES = 256
READ = 3_000_000  # bytes of each of two sides that merges are learnt from
# A run of letters or digits with the space before it, a run of signs, or white space: no token crosses these.
PIECES = r" ?[A-Za-z]+| ?[0-9]{1,3}| ?[^\sA-Za-z0-9]+|\s+"


class Tokenizer:
    """Tokens of a text. Without merges each byte is one."""

    def __init__(self, codec: JsonObject) -> None:
        self.codec = codec

    @classmethod
    def learn(cls, text: bytes, vocabulary: int) -> "Tokenizer":
        """The merges of a text that make ``vocabulary`` tokens, or fewer where it is too short for them."""
        if vocabulary <= BYTES:
            return cls({})
        from tokenizers import Regex, Tokenizer, models, pre_tokenizers, trainers

        made: Any = Tokenizer(models.BPE())
        made.pre_tokenizer = pre_tokenizers.Split(Regex(PIECES), "isolated")
        trainer = trainers.BpeTrainer(
            vocab_size=vocabulary, initial_alphabet=list(map(chr, range(BYTES))), show_progress=False
        )
        made.train_from_iterator([text.decode("latin-1")], trainer)  # one character a byte
        model = json.loads(made.to_str())["model"]
        return cls({"vocabulary": model["vocab"], "merges": model["merges"]})

    @classmethod
    def learn_pairs(cls, prompts: Tensor, answers: Tensor, vocabulary: int) -> "Tokenizer":
        """The merges of two sides together, bytes uint8 [N] and [M], from the first of each."""
        return cls.learn(bytes(torch.cat([prompts[:READ], answers[:READ]]).numpy()), vocabulary)

    def rows(self, texts: Iterable[bytes], length: int) -> Tensor:
        """The first ``length`` tokens of each text, padded with ``size``: int64 [N, length]."""
        said = [self.encode(text)[:length] for text in texts]
        found = torch.full((len(said), length), self.size)
        for row, tokens in zip(found, said, strict=True):
            row[: len(tokens)] = tokens
        return found

    @property
    def size(self) -> int:
        """How many different tokens there are."""
        return len(self.codec["vocabulary"]) if self.codec else BYTES

    @cached_property
    def tokens(self) -> list[bytes]:
        """The bytes of each."""
        if not self.codec:
            return [bytes([value]) for value in range(BYTES)]
        known: dict[str, int] = self.codec["vocabulary"]
        return [token.encode("latin-1") for token, _ in sorted(known.items(), key=lambda item: item[1])]

    @cached_property
    def lengths(self) -> Tensor:
        """How many bytes each token has: [vocabulary]."""
        return torch.tensor([len(token) for token in self.tokens])

    @cached_property
    def _made(self) -> Any:
        from tokenizers import Regex, Tokenizer, models, pre_tokenizers

        merges = [(left, right) for left, right in self.codec["merges"]]
        made: Any = Tokenizer(models.BPE(vocab=self.codec["vocabulary"], merges=merges))
        made.pre_tokenizer = pre_tokenizers.Split(Regex(PIECES), "isolated")
        return made

    def encode(self, text: bytes) -> Tensor:
        """int64 [N]."""
        if not self.codec:
            return torch.from_numpy(np.frombuffer(text, np.uint8).astype(np.int64))
        return torch.tensor(self._made.encode(text.decode("latin-1")).ids, dtype=torch.int64)

    def decode(self, tokens: list[int]) -> bytes:
        """The bytes of tokens in a row."""
        return b"".join(self.tokens[token] for token in tokens)
