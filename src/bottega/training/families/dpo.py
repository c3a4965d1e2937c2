"""Direct preference optimisation: pairs of a wanted and an unwanted answer (Rafailov 2023)."""

from typing import Literal, TypeVar, cast

import torch
from pydantic import Field
from torch import Tensor

from bottega.core.value import Value
from bottega.networks.preference import dpo_loss
from bottega.training.data.base import Data
from bottega.training.families.answering import Answering, AnsweringConfig, picked
from bottega.training.families.lm import LmConfig
from bottega.training.families.tuned import Tuned, TunedConfig
from bottega.training.family import Batch, Nets, Phase

C = TypeVar("C", bound=Value)


class PreferringConfig(AnsweringConfig, frozen=True):
    """And how near the base it stays."""

    beta: float = Field(default=0.1, gt=0, le=10, description="larger stays nearer to the base")


class Preferring(Answering[C]):
    """Prefers what is wanted, more than its base does; of any model that answers."""

    needs = frozenset({"prompts", "answers", "rejected"})

    def phases(self) -> tuple[Phase, ...]:
        """Widen the margin."""
        return (Phase("preference", self.net, self._loss),)

    def batch(self, data: Data, size: int, key: torch.Generator) -> Batch:
        """Tokens [B, T] and answer mask of the wanted answers, then of the unwanted."""
        count = len(self.texts(data, "train").prompts)
        return self._pairs(data, "train", picked(count, size, key))

    def _pairs(self, data: Data, part: Literal["train", "test"], pick: list[int]) -> Batch:
        texts = self.texts(data, part)
        prompts = [texts.prompts[i] for i in pick]
        wanted = self.lines(prompts, [texts.answers[i] for i in pick])
        return (*wanted, *self.lines(prompts, [texts.rejected[i] for i in pick]))

    def _loss(self, nets: Nets, batch: Batch, _: torch.Generator) -> Tensor:
        net, sides = nets[self.net].eval(), (batch[:2], batch[2:])  # dropout would be taken for preference
        known = cast(
            tuple[Tensor, Tensor],
            tuple((self.known(nets, tokens) * mask).sum(1) for tokens, mask in sides),
        )
        chosen, rejected = (self.whole(net, *side) for side in sides)
        return dpo_loss(chosen, rejected, known, cast(PreferringConfig, self.held).beta)

    def validate(self, nets: Nets, data: Data, key: torch.Generator) -> float | None:
        """The loss on held-out pairs."""
        count = min(256, len(self.texts(data, "test").prompts))
        return float(self._loss(nets, self._pairs(data, "test", list(range(count))), key))


class DpoConfig(PreferringConfig, TunedConfig, frozen=True):
    """Of a run of our language model."""


class Dpo(Preferring[LmConfig], Tuned):
    """Of a run of our language model."""

    config_type = DpoConfig
