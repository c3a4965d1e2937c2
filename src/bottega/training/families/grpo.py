"""Group relative policy optimisation: answers of its own, rewarded when a machine finds that they hold (Shao 2024)."""

from typing import cast

import torch
from pydantic import Field
from torch import Tensor

from bottega.networks.preference import advantages, grpo_loss, token_logps
from bottega.networks.transformer import Decoder
from bottega.training.data.base import Data
from bottega.training.families.tuned import Tuned, TunedConfig, joined, picked, ragged
from bottega.training.family import Batch, Nets, Phase


class GrpoConfig(TunedConfig, frozen=True):
    """And how many answers it tries, and how near the base it stays."""

    group: int = Field(default=16, ge=2, le=1024, description="answers to each prompt")
    beta: float = Field(default=0.01, ge=0, le=10, description="larger stays nearer to the base")


class Grpo(Tuned):
    """Says more often what was rewarded, beside its other answers to the same prompt."""

    config_type = GrpoConfig

    @property
    def how(self) -> GrpoConfig:
        """The config, as what it is."""
        return cast(GrpoConfig, self.config)

    def phases(self) -> tuple[Phase, ...]:
        """Answer, have it checked, learn."""
        return (Phase("reward", "decoder", self._loss),)

    def batch(self, data: Data, size: int, key: torch.Generator) -> Batch:
        """Bytes of prompts and of answers [B, longest], each with the lengths [B]."""
        texts = self.texts(data, "train")
        pick = picked(len(texts.prompts), size, key)
        return (
            *_bytes([texts.prompts[i] for i in pick]),
            *_bytes([texts.answers[i] for i in pick]),
        )

    def _loss(self, nets: Nets, batch: Batch, generator: torch.Generator) -> Tensor:
        net, group = cast(Decoder, nets["decoder"]), self.how.group
        prompts = [self.tokenizer.encode(each) for each in _texts(*batch[:2]) for _ in range(group)]
        answers = [each for each in _texts(*batch[2:]) for _ in range(group)]
        said = self.attempts(net, prompts, generator)
        found = self.rewards([self.text(each) for each in said], answers)
        gains = advantages(torch.tensor(found).view(-1, group)).flatten()
        tokens, mask = joined(prompts, said)
        device = batch[0].device
        tokens, mask = tokens.to(device), mask.to(device)
        with torch.no_grad():
            before = token_logps(self.reference["decoder"].to(device), tokens)
        return grpo_loss(token_logps(net, tokens), before, gains.to(device), mask, self.how.beta)

    def validate(self, nets: Nets, data: Data, key: torch.Generator) -> float | None:
        """The share of held-out prompts whose answer does not hold, at temperature 1."""
        net = cast(Decoder, nets["decoder"])
        return 1 - self.mean_reward(net, self.texts(data, "test"), 100, 0, 1.0)


def _bytes(texts: list[bytes]) -> tuple[Tensor, Tensor]:
    return ragged([torch.tensor(list(text)) for text in texts]), torch.tensor([len(text) for text in texts])


def _texts(whole: Tensor, lengths: Tensor) -> list[bytes]:
    lines, sizes = cast(list[list[int]], whole.tolist()), cast(list[int], lengths.tolist())
    return [bytes(line[:size]) for line, size in zip(lines, sizes, strict=True)]
