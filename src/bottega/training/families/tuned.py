"""A run of our language model, fine-tuned: a base that it begins as, and answers that end with the line."""

from functools import cached_property
from pathlib import Path
from typing import ClassVar, cast

import torch
from pydantic import Field
from torch import Tensor, nn

from bottega.core.errors import InvalidValue
from bottega.core.value import JsonObject
from bottega.networks.noise import key
from bottega.networks.preference import token_logps
from bottega.networks.transformer import Decoder, generate
from bottega.training import checkpoint
from bottega.training.data.base import Data
from bottega.training.families.answering import Answering, AnsweringConfig, in_lengths
from bottega.training.families.lm import Lm, LmConfig
from bottega.training.family import Made, Nets, Wish
from bottega.training.folder import RunFolder
from bottega.training.recipe import Base
from bottega.training.tokenizer import Tokenizer

END = b"\n"  # of an answer


class TunedConfig(AnsweringConfig, LmConfig, frozen=True):
    """The language model, and what it is held to. Tokenizer and size are those of the base where there is one."""

    base: Base | None = None
    shown: tuple[str, ...] = Field(min_length=1, description="prompts whose answers lie in the run folder")


class Tuned(Answering[LmConfig], Lm):
    """Our language model as one that answers prompts. A family of it adds what it learns from."""

    config_type = TunedConfig
    exported = False  # answers are written from the cache
    net = "decoder"
    needs_base: ClassVar[bool] = True

    @property
    def held(self) -> TunedConfig:
        """The config, as what it is."""
        return cast(TunedConfig, self.config)

    @classmethod
    def learn_codec(cls, config: LmConfig, data: Data) -> JsonObject:
        """The base's; without one, merges of prompts and answers.

        Raises:
            InvalidValue: it needs a base and has none.
        """
        base = cast(TunedConfig, config).base
        if cls.needs_base and not base:
            raise InvalidValue(
                "it needs a trained language model to begin with", where="from", remedy="give --from RUN"
            )
        if base:
            return RunFolder(Path(base.weights).parent).config().codec
        text = bytes(torch.cat([data.train["prompts"], data.train["answers"]]).numpy())
        return Tokenizer.learn(text, config.vocabulary).codec

    @cached_property
    def reference(self) -> Nets:
        """The base's networks.

        Raises:
            InvalidValue: it is gone, or no longer the one that the run was begun with.
        """
        told = self.held.base
        assert told is not None
        path = checkpoint.unchanged(Path(told.weights), told.sha256)
        nets = self.nets()
        checkpoint.load_nets(nets, checkpoint.read(path), "net", told.weights)
        return nets

    def base_net(self) -> nn.Module | None:
        """The base's decoder."""
        return self.reference["decoder"] if self.held.base else None

    def known(self, nets: Nets, tokens: Tensor) -> Tensor:
        """By the base's own decoder."""
        with torch.no_grad():
            return token_logps(self.reference["decoder"].to(tokens.device), tokens)

    def start(self, nets: Nets) -> None:
        """Begin as the base is."""
        if self.held.base:
            nets["decoder"].load_state_dict(self.reference["decoder"].state_dict())

    def encode(self, text: bytes) -> Tensor:
        """By the base's tokenizer."""
        return self.tokenizer.encode(text)

    def closed(self, answer: bytes) -> Tensor:
        """Ended by the line."""
        return self.encode(answer + END)

    def text(self, tokens: Tensor) -> bytes:
        """The bytes of tokens [T]."""
        return self.tokenizer.decode(cast(list[int], tokens.tolist()))

    def answer(self, tokens: Tensor) -> bytes | None:
        """The first line, where it ended."""
        line, end, _ = self.text(tokens).partition(END)
        return line if end else None

    def attempts(
        self, net: nn.Module, prompts: list[Tensor], generator: torch.Generator, temperature: float = 1.0
    ) -> list[Tensor]:
        """Up to the token that ends a line, or ``length`` of them."""
        found = list(prompts)
        device = next(net.parameters()).device
        for places in in_lengths(prompts):
            begun = torch.stack([prompts[place] for place in places]).to(device)
            said = generate(cast(Decoder, net), begun, self.held.length, generator, temperature).cpu()
            over = self.ends[said].int().cumsum(1)
            kept = (over - self.ends[said].int() == 0).sum(1)  # all before the first end, and that
            for place, line, size in zip(places, said, cast(list[int], kept.tolist()), strict=True):
                found[place] = line[:size]
        return found

    @cached_property
    def ends(self) -> Tensor:
        """Which tokens end a line: [vocabulary]."""
        return torch.tensor([END in token for token in self.tokenizer.tokens])

    def sample(self, nets: Nets, wish: Wish) -> list[Made]:
        """Answers to the prompt, each a text file of its own.

        Raises:
            InvalidValue: there is no prompt.
        """
        if not wish.prompt:
            raise InvalidValue("no prompt to answer", where="prompt", remedy="give one")
        prompt = wish.prompt.encode()
        return [
            Made(
                f"{i:03d}.txt",
                "text/plain",
                self._line(nets, prompt, key(wish.seed, i), wish.temperature),
            )
            for i in range(wish.count)
        ]

    def show(self, nets: Nets) -> list[Made]:
        """Four answers to each of the prompts that the recipe shows."""
        lines = b""
        for prompt in [shown.encode() for shown in self.held.shown for _ in range(4)]:
            lines += self._line(nets, prompt, key(0, "show", len(lines)))
        return [Made("answers.txt", "text/plain", lines)]

    def _line(self, nets: Nets, prompt: bytes, generator: torch.Generator, temperature: float = 1.0) -> bytes:
        (said,) = self.attempts(nets["decoder"], [self.encode(prompt)], generator, temperature)
        return prompt + self.text(said).partition(END)[0] + END
