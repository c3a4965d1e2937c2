"""Group relative policy optimisation: answers of its own, rewarded when a machine finds that they hold (Shao 2024)."""

from typing import TypeVar, cast

import torch
from pydantic import Field
from torch import Tensor

from bottega.core.value import Value
from bottega.networks.preference import advantages, grpo_loss
from bottega.training.data.base import Data
from bottega.training.families.answering import Answering, AnsweringConfig, joined, picked, ragged
from bottega.training.families.lm import LmConfig
from bottega.training.families.tuned import Tuned, TunedConfig
from bottega.training.family import Batch, Nets, Phase

C = TypeVar("C", bound=Value)


class RewardedConfig(AnsweringConfig, frozen=True):
    """And how many answers it tries, and how near the base it stays."""

    group: int = Field(default=16, ge=2, le=1024, description="answers to each prompt")
    beta: float = Field(default=0.01, ge=0, le=10, description="larger stays nearer to the base")


class Rewarded(Answering[C]):
    """Says more often what was rewarded, beside its other answers to the same prompt; of any model that answers."""

    def phases(self) -> tuple[Phase, ...]:
        """Answer, have it checked, learn."""
        return (Phase("reward", self.net, self._loss),)

    def batch(self, data: Data, size: int, key: torch.Generator) -> Batch:
        """Bytes of prompts and of answers [B, longest], each with the lengths [B]."""
        texts = self.texts(data, "train")
        pick = picked(len(texts.prompts), size, key)
        return (
            *_bytes([texts.prompts[i] for i in pick]),
            *_bytes([texts.answers[i] for i in pick]),
        )

    def _loss(self, nets: Nets, batch: Batch, generator: torch.Generator) -> Tensor:
        net, how = nets[self.net].eval(), cast(RewardedConfig, self.held)  # what answers is what learns
        prompts = [self.encode(each) for each in _texts(*batch[:2]) for _ in range(how.group)]
        answers = [each for each in _texts(*batch[2:]) for _ in range(how.group)]
        said = self.attempts(net, prompts, generator)
        found = self.rewards([self.answer(each) for each in said], answers)
        gains = advantages(torch.tensor(found).view(-1, how.group)).flatten()
        device = batch[0].device
        tokens, mask = (part.to(device) for part in joined(prompts, said))
        known = self.known(nets, tokens)
        return grpo_loss(self.logps(net, tokens), known, gains.to(device), mask, how.beta)

    def validate(self, nets: Nets, data: Data, key: torch.Generator) -> float | None:
        """The share of held-out prompts whose answer does not hold, at temperature 1."""
        return 1 - self.mean_reward(nets[self.net], self.texts(data, "test"), 100, 0, 1.0)


class GrpoConfig(RewardedConfig, TunedConfig, frozen=True):
    """Of a run of our language model."""


class Grpo(Rewarded[LmConfig], Tuned):
    """Of a run of our language model."""

    config_type = GrpoConfig


def _bytes(texts: list[bytes]) -> tuple[Tensor, Tensor]:
    return ragged([torch.tensor(list(text)) for text in texts]), torch.tensor([len(text) for text in texts])


def _texts(whole: Tensor, lengths: Tensor) -> list[bytes]:
    lines, sizes = cast(list[list[int]], whole.tolist()), cast(list[int], lengths.tolist())
    return [bytes(line[:size]) for line, size in zip(lines, sizes, strict=True)]
