"""A small language model that learns a larger one's odds of every token, beside the text itself."""

from functools import cached_property
from pathlib import Path
from typing import cast

import torch
from pydantic import Field
from torch import Tensor

from bottega.core.value import JsonObject, Value
from bottega.evaluation.table import MODEL, Table
from bottega.networks.transformer import distil_loss
from bottega.training import checkpoint
from bottega.training.data.base import Data
from bottega.training.families.lm import Lm, LmConfig
from bottega.training.family import Batch, Nets, Phase
from bottega.training.folder import RunFolder


class Teacher(Value, frozen=True):
    """Where the teacher lies, which it is, and how large."""

    weights: str = Field(description="its model.safetensors")
    sha256: str
    config: LmConfig


class LmStudentConfig(LmConfig, frozen=True):
    """The student's own size; tokenizer and context are the teacher's."""

    softness: float = Field(default=2.0, gt=0, le=20, description="temperature of both models' odds")
    taught: float = Field(default=0.9, ge=0, le=1, description="share of the teacher in the loss")
    teacher: Teacher


class LmStudent(Lm):
    """Learns the odds that another network gives, which say more about a token than which one came."""

    config_type = LmStudentConfig

    @property
    def how(self) -> LmStudentConfig:
        """The config, as what it is."""
        return cast(LmStudentConfig, self.config)

    @classmethod
    def learn_codec(cls, config: LmConfig, data: Data) -> JsonObject:
        """The teacher's tokenizer: both speak of the same tokens."""
        return RunFolder(Path(cast(LmStudentConfig, config).teacher.weights).parent).config().codec

    @cached_property
    def teacher(self) -> Nets:
        """The teacher's networks.

        Raises:
            InvalidValue: it is gone, or no longer the one that the run was begun with.
        """
        told = self.how.teacher
        path = checkpoint.unchanged(Path(told.weights), told.sha256, "teacher", "distil again")
        nets = Lm(told.config, self.shape, self.labels, self.codec).nets()
        checkpoint.load_nets(nets, checkpoint.read(path), "net", told.weights)
        return nets

    def phases(self) -> tuple[Phase, ...]:
        """Say of each token what the teacher says."""
        return (Phase("odds", "decoder", self._loss),)

    def _loss(self, nets: Nets, batch: Batch, _: torch.Generator) -> Tensor:
        (tokens,) = batch
        teacher = self.teacher["decoder"].to(tokens.device)
        return distil_loss(nets["decoder"], teacher, tokens, self.how.softness, self.how.taught)

    def evaluate(self, nets: Nets, data: Data, seed: int, home: Path) -> Table:
        """The table of a language model, with the teacher's row above the student's."""
        own = super().evaluate(nets, data, seed, home)
        told = self.how.teacher.config
        taught = Lm(told, self.shape, self.labels, self.codec).evaluate(self.teacher, data, seed, home)
        (theirs,) = (row for row in taught.rows if row.kind == MODEL)
        (ours,) = (row for row in own.rows if row.kind == MODEL)
        parameters = [sum(p.numel() for p in each["decoder"].parameters()) for each in (self.teacher, nets)]
        rows = (
            *(row for row in own.rows if row.kind != MODEL),
            theirs.model_copy(update={"what": f"teacher, {parameters[0]:,} parameters"}),
            ours.model_copy(update={"what": f"student, {parameters[1]:,} parameters"}),
        )
        return own.model_copy(update={"rows": rows})
