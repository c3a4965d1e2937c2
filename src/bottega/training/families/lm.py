"""A decoder-only language model over the tokens of a text."""

import math
from collections.abc import Sequence
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Literal, cast

import torch
from pydantic import Field
from torch import Tensor

from bottega.core.value import JsonObject, Value
from bottega.evaluation.table import MODEL, Row, Table
from bottega.evaluation.texts import COMPRESSORS, known_bits, model_bits
from bottega.networks.noise import key
from bottega.networks.transformer import Decoder, generate, next_token_loss
from bottega.training.data.base import Data
from bottega.training.family import Batch, Export, Family, Made, Nets, Phase, Wish
from bottega.training.tokenizer import Tokenizer

MEASURES = {
    "bits": "bits a byte of held-out text; lower is better",
    "nats": "the same in natural units, as training losses are given",
}


class LmConfig(Value, frozen=True):
    """The tokenizer, the size of the transformer, and how far it looks back."""

    vocabulary: int = Field(default=256, ge=256, le=65536, description="tokens; 256 takes bytes as they are")
    width: int = Field(default=128, ge=8, le=8192, multiple_of=8)
    layers: int = Field(default=4, ge=1, le=128)
    heads: int = Field(default=4, ge=1, le=128)
    context: int = Field(default=64, ge=8, le=65536, description="tokens")
    judged: int = Field(default=100_000, ge=100, description="held-out bytes that the table is measured on")


class Lm(Family[LmConfig]):
    """The next token from those before it."""

    config_type = LmConfig
    needs = frozenset({"tokens"})
    exported = True

    @classmethod
    def dial(cls, depth: int) -> JsonObject:
        """One layer and one head of 32 numbers a step of depth."""
        return {"width": 32 * depth, "layers": depth, "heads": depth}

    @classmethod
    def learn_codec(cls, config: LmConfig, data: Data) -> JsonObject:
        """The merges of a byte-pair encoding."""
        return Tokenizer.learn(_bytes(data.train["tokens"]), config.vocabulary).codec

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """That of the run."""
        return Tokenizer(self.codec)

    @lru_cache(maxsize=4)  # noqa: B019 - of this family's data, for as long as it trains
    def _tokens(self, data: Data, part: Literal["train", "test"]) -> Tensor:
        return self.tokenizer.encode(_bytes((data.train if part == "train" else data.test)["tokens"]))

    def nets(self) -> Nets:
        """One decoder."""
        config = self.config
        return {"decoder": Decoder(self.tokenizer.size, config.width, config.layers, config.heads)}

    def phases(self) -> tuple[Phase, ...]:
        """Predict the next token."""
        return (Phase("next", "decoder", lambda nets, batch, _: next_token_loss(nets["decoder"], batch[0])),)

    def batch(self, data: Data, size: int, key: torch.Generator) -> Batch:
        """Windows [B, context + 1] of the training text."""
        tokens = self._tokens(data, "train")
        length = min(self.config.context, len(tokens) - 2) + 1
        starts = torch.randint(len(tokens) - length, (size,), generator=key)
        return (tokens[starts[:, None] + torch.arange(length)],)

    def validate(self, nets: Nets, data: Data, key: torch.Generator) -> float | None:
        """Nats a byte on the first held-out windows."""
        length = self.config.context + 1
        tokens = self._tokens(data, "test")[: 32 * length]
        windows = tokens[: len(tokens) // length * length].view(-1, length)
        if not len(windows):
            return None
        said = windows[:, 1:]
        return (
            float(next_token_loss(nets["decoder"], windows))
            * said.numel()
            / int(self.tokenizer.lengths[said].sum())
        )

    def write(
        self, nets: Nets, prompt: bytes, length: int, temperature: float, seeds: Sequence[int]
    ) -> list[bytes]:
        """Continue a prompt by ``length`` bytes once for each seed, all at a time.

        Up to the context each token needs one pass over itself, the rest being kept; then in windows of the last half.
        """
        net, half = cast(Decoder, nets["decoder"]), self.config.context // 2
        rows = self.tokenizer.encode(prompt or b"\n").repeat(len(seeds), 1)
        begun, part, made = rows.shape[1], 0, [b""]
        while min(map(len, made)) < length:
            keys = [key(seed, part) for seed in seeds]
            rows = torch.cat((rows, generate(net, rows[:, -half:], half, keys, temperature)), dim=1)
            made = [self.tokenizer.decode(row) for row in cast(list[list[int]], rows[:, begun:].tolist())]
            part += 1
        return [(prompt or b"\n") + each[:length] for each in made]

    def sample(self, nets: Nets, wish: Wish) -> list[Made]:
        """Text files that begin with the prompt."""
        seeds = range(wish.seed, wish.seed + wish.count)
        texts = self.write(nets, wish.prompt.encode(), wish.length, wish.temperature, seeds)
        return [Made(f"{i:03d}.txt", "text/plain", text) for i, text in enumerate(texts)]

    def show(self, nets: Nets) -> list[Made]:
        """A page of text at temperature 0.8."""
        return [Made("sample.txt", "text/plain", *self.write(nets, b"\n", 2000, 0.8, (0,)))]

    def exports(self, nets: Nets) -> dict[str, Export]:
        """The decoder over a full context, without its cache."""
        tokens = torch.randint(self.tokenizer.size, (2, self.config.context), generator=key(0, "export"))
        return {"decoder": (nets["decoder"], (tokens,))}

    def evaluate(self, nets: Nets, data: Data, seed: int, home: Path) -> Table:
        """Bits a byte against compressors and counted models that have seen the training text."""
        train, test = _bytes(data.train["tokens"]), _bytes(data.test["tokens"][: self.config.judged])
        tokens = self.tokenizer.encode(test)

        def row(kind: str, what: str, bits: float) -> Row:
            return Row(kind=kind, what=what, values={"bits": bits, "nats": bits * math.log(2)})

        def said(apart: bool) -> float:
            return model_bits(
                nets["decoder"], tokens, self.tokenizer.lengths, self.config.context, apart=apart
            )

        return Table(
            measures=MEASURES,
            rows=(
                *(row(*each) for each in known_bits(train, test, COMPRESSORS)),
                row(MODEL, f"{self.tokenizer.size} tokens, context {self.config.context}", said(False)),
            ),
            notes=(
                f"{len(test)} held-out bytes; xz looks back over the whole training text",
                f"one window behind the other, as losses are reported, the model comes to {said(True) * math.log(2):.3g} nats",
            ),
        )


def _bytes(tokens: Tensor) -> bytes:
    return bytes(tokens.numpy())
