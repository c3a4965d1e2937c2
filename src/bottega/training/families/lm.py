"""A decoder-only language model over the bytes of a text."""

import math
from pathlib import Path
from typing import cast

import torch
from pydantic import Field

from bottega.core.value import JsonObject, Value
from bottega.evaluation.table import CLASSICAL, FLOOR, MODEL, TRIVIAL, Row, Table
from bottega.evaluation.texts import COMPRESSORS, compressed_bits, counted_bits, model_bits
from bottega.networks.noise import key
from bottega.networks.transformer import Decoder, generate, next_token_loss
from bottega.training.data.base import Data
from bottega.training.family import Batch, Export, Family, Made, Nets, Phase, Wish

MEASURES = {
    "bits": "bits a byte of held-out text; lower is better",
    "nats": "the same in natural units, as training losses are given",
}


class LmConfig(Value, frozen=True):
    """Size of the transformer, and how far it looks back."""

    width: int = Field(default=128, ge=8, le=8192, multiple_of=8)
    layers: int = Field(default=4, ge=1, le=128)
    heads: int = Field(default=4, ge=1, le=128)
    context: int = Field(default=64, ge=8, le=65536, description="bytes")
    judged: int = Field(default=100_000, ge=100, description="held-out bytes that the table is measured on")


class Lm(Family[LmConfig]):
    """The next byte from those before it."""

    config_type = LmConfig

    @classmethod
    def dial(cls, depth: int) -> JsonObject:
        """One layer and one head of 32 numbers a step of depth."""
        return {"width": 32 * depth, "layers": depth, "heads": depth}

    def nets(self) -> Nets:
        """One decoder."""
        config = self.config
        return {"decoder": Decoder(self.shape["vocabulary"], config.width, config.layers, config.heads)}

    def phases(self) -> tuple[Phase, ...]:
        """Predict the next byte."""
        return (Phase("next", "decoder", lambda nets, batch, _: next_token_loss(nets["decoder"], batch[0])),)

    def batch(self, data: Data, size: int, key: torch.Generator) -> Batch:
        """Windows [B, context + 1] of the training text."""
        tokens, length = data.train["tokens"], min(self.config.context, len(data.train["tokens"]) - 2) + 1
        starts = torch.randint(len(tokens) - length, (size,), generator=key)
        return (tokens[starts[:, None] + torch.arange(length)].long(),)

    def validate(self, nets: Nets, data: Data, key: torch.Generator) -> float | None:
        """Nats a byte on the first held-out windows."""
        length = self.config.context + 1
        tokens = data.test["tokens"][: 64 * length]
        windows = tokens[: len(tokens) // length * length].view(-1, length).long()
        return float(next_token_loss(nets["decoder"], windows)) if len(windows) else None

    def write(self, nets: Nets, prompt: bytes, length: int, temperature: float, seed: int) -> bytes:
        """Continue a prompt, up to the context from the cache and then in windows of its last half."""
        net, half = cast(Decoder, nets["decoder"]), self.config.context // 2
        text = list(prompt or b"\n")
        part = 0
        while part * half < length:
            window = torch.tensor([text[-half:]])
            made = generate(net, window, min(half, length - part * half), key(seed, part), temperature)
            text += made[0].tolist()
            part += 1
        return bytes(text)

    def sample(self, nets: Nets, wish: Wish) -> list[Made]:
        """Text files that begin with the prompt."""
        prompt = wish.prompt.encode()
        return [
            Made(
                f"{i:03d}.txt",
                "text/plain",
                self.write(nets, prompt, wish.length, wish.temperature, wish.seed + i),
            )
            for i in range(wish.count)
        ]

    def show(self, nets: Nets) -> list[Made]:
        """A page of text at temperature 0.8."""
        return [Made("sample.txt", "text/plain", self.write(nets, b"\n", 2000, 0.8, 0))]

    def exports(self, nets: Nets) -> dict[str, Export]:
        """The decoder over a full context, without its cache."""
        tokens = torch.randint(256, (2, self.config.context), generator=key(0, "export"))
        return {"decoder": (nets["decoder"], (tokens,))}

    def evaluate(self, nets: Nets, data: Data, seed: int, home: Path) -> Table:
        """Bits a byte against compressors and counted models that have seen the training text."""
        tokens = data.test["tokens"][: self.config.judged]
        train, test = (bytes(part.numpy()) for part in (data.train["tokens"], tokens))

        def row(kind: str, what: str, bits: float) -> Row:
            return Row(kind=kind, what=what, values={"bits": bits, "nats": bits * math.log(2)})

        packed = [
            row(CLASSICAL, f"{name}, after the training text", compressed_bits(train, test, name))
            for name in COMPRESSORS
        ]
        return Table(
            measures=MEASURES,
            rows=(
                row(FLOOR, "xz, after the very same text", compressed_bits(train + test, test, "xz")),
                row(TRIVIAL, "how often each byte occurs", counted_bits(train, test, 0)),
                *packed,
                row(CLASSICAL, "counted runs of 6 bytes, Witten-Bell", counted_bits(train, test, 5)),
                row(
                    MODEL,
                    f"context {self.config.context}",
                    model_bits(nets["decoder"], tokens, self.config.context),
                ),
            ),
            notes=(f"{len(test)} held-out bytes; xz looks back over the whole training text",),
        )
