"""Direct preference optimisation: pairs of a wanted and an unwanted answer (Rafailov 2023)."""

from typing import Literal, cast

import torch
from pydantic import Field
from torch import Tensor

from bottega.networks.preference import dpo_loss
from bottega.training.data.base import Data
from bottega.training.families.tuned import Tuned, TunedConfig, picked
from bottega.training.family import Batch, Nets, Phase


class DpoConfig(TunedConfig, frozen=True):
    """And how near the base it stays."""

    beta: float = Field(default=0.1, gt=0, le=10, description="larger stays nearer to the base")


class Dpo(Tuned):
    """Prefers what is wanted, more than its base does."""

    config_type = DpoConfig
    needs = frozenset({"prompts", "answers", "rejected"})

    @property
    def how(self) -> DpoConfig:
        """The config, as what it is."""
        return cast(DpoConfig, self.config)

    def phases(self) -> tuple[Phase, ...]:
        """Widen the margin."""
        return (Phase("preference", "decoder", self._loss),)

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
        reference = self.reference["decoder"].to(batch[0].device)
        with torch.no_grad():
            before = self.whole(reference, *batch[:2]), self.whole(reference, *batch[2:])
        chosen, rejected = (self.whole(nets["decoder"], *side) for side in (batch[:2], batch[2:]))
        return dpo_loss(chosen, rejected, before, self.how.beta)

    def validate(self, nets: Nets, data: Data, key: torch.Generator) -> float | None:
        """The loss on held-out pairs."""
        count = min(256, len(self.texts(data, "test").prompts))
        return float(self._loss(nets, self._pairs(data, "test", list(range(count))), key))
