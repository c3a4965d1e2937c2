"""Supervised fine-tuning: the record's answers, token by token."""

from typing import ClassVar

import torch
from torch import Tensor

from bottega.networks.preference import supervised_loss, token_logps
from bottega.training.data.base import Data
from bottega.training.families.answering import picked
from bottega.training.families.tuned import Tuned
from bottega.training.family import Batch, Nets, Phase


class Sft(Tuned):
    """Says what the answers say; from a base, or from nothing."""

    needs_base: ClassVar[bool] = False

    def phases(self) -> tuple[Phase, ...]:
        """Predict the tokens of the answers; the prompts are only read."""
        return (Phase("answer", "decoder", _loss),)

    def batch(self, data: Data, size: int, key: torch.Generator) -> Batch:
        """Tokens [B, T] and what of them is answer."""
        texts = self.texts(data, "train")
        pick = picked(len(texts.prompts), size, key)
        return self.lines([texts.prompts[i] for i in pick], [texts.answers[i] for i in pick])

    def validate(self, nets: Nets, data: Data, key: torch.Generator) -> float | None:
        """Nats a token of held-out answers."""
        texts = self.texts(data, "test")
        return float(_loss(nets, self.lines(texts.prompts[:256], texts.answers[:256]), key))


def _loss(nets: Nets, batch: Batch, _: torch.Generator) -> Tensor:
    tokens, mask = batch
    return supervised_loss(token_logps(nets["decoder"], tokens), mask)
