"""A flow that goes in few steps, without guidance, where its trained teacher goes in many with it."""

import math
from functools import cached_property
from pathlib import Path

import torch
from pydantic import Field
from torch import Tensor

from bottega.core.errors import InvalidValue
from bottega.core.value import JsonObject, Value
from bottega.evaluation.table import Table
from bottega.networks.flow import distil_loss
from bottega.networks.noise import normal
from bottega.training import checkpoint
from bottega.training.data.base import Data
from bottega.training.families.flow import Flow, FlowConfig
from bottega.training.families.pictures import picture_batch, picture_table
from bottega.training.families.velocity import Velocity, VelocityConfig
from bottega.training.family import Batch, Nets, Phase, Wish


class Teacher(Value, frozen=True):
    """Where the teacher lies, which it is, and how it is sampled."""

    weights: str = Field(description="its model.safetensors")
    sha256: str
    config: FlowConfig


class StudentConfig(VelocityConfig, frozen=True):
    """The velocity network and its own steps; the guidance is inside the weights."""

    guidance: float = Field(default=1.0, ge=1, le=1)
    steps: int = Field(default=4, ge=1, le=100)
    teacher: Teacher


class FlowStudent(Velocity[StudentConfig]):
    """Learns the velocity from another network's paths."""

    config_type = StudentConfig
    needs = frozenset({"images", "bags"})

    @classmethod
    def dial(cls, depth: int) -> JsonObject:
        """Nothing: the size is the teacher's."""
        return {}

    @cached_property
    def teacher(self) -> Nets:
        """The teacher's networks.

        Raises:
            InvalidValue: it is gone, or no longer the one that the run was begun with.
        """
        told = self.config.teacher
        path = checkpoint.unchanged(Path(told.weights), told.sha256, "teacher", "distil again")
        nets = Flow(told.config, self.shape, self.labels, {}).nets()
        checkpoint.load_nets(nets, checkpoint.read(path), "net", told.weights)
        return nets

    def start(self, nets: Nets) -> None:
        """Begin as the teacher is."""
        nets["velocity"].load_state_dict(self.teacher["velocity"].state_dict())

    def phases(self) -> tuple[Phase, ...]:
        """Follow the teacher's paths in straight steps."""
        return (Phase("way", "velocity", self._loss),)

    def _loss(self, nets: Nets, batch: Batch, generator: torch.Generator) -> Tensor:
        images, bags = batch
        noise = normal(tuple(images.shape), generator, images)
        teacher = self.teacher["velocity"].to(images.device)
        told = self.config.teacher.config
        fine = math.ceil(told.steps / self.config.steps)
        return distil_loss(nets["velocity"], teacher, noise, bags, self.config.steps, fine, told.guidance)

    def batch(self, data: Data, size: int, key: torch.Generator) -> Batch:
        """Images, of which only the shape counts, and labels."""
        return picture_batch(data, size, key)

    def draw(self, net: torch.nn.Module, bags: Tensor, wish: Wish) -> Tensor:
        """Pictures, in the steps that it was trained for.

        Raises:
            InvalidValue: other steps or guidance.
        """
        if wish.steps not in (0, self.config.steps) or wish.guidance > 1:
            raise InvalidValue(
                f"a distilled model goes in {self.config.steps} steps and has its guidance inside",
                where="steps" if wish.steps not in (0, self.config.steps) else "guidance",
                remedy="leave it out, or sample the teacher",
            )
        return super().draw(net, bags, wish)

    def evaluate(self, nets: Nets, data: Data, seed: int, home: Path) -> Table:
        """The table of pictures, with the teacher in its own steps and in the student's."""
        told, steps = self.config.teacher.config, self.config.steps
        teacher = Flow(told, self.shape, self.labels, {})
        models = {
            f"teacher, {told.steps} steps, guidance {told.guidance:g}": teacher.maker(
                self.teacher["velocity"], seed
            ),
            f"teacher, {steps} steps, guidance {told.guidance:g}": teacher.maker(
                self.teacher["velocity"], seed, steps
            ),
            f"{steps} steps, no guidance": self.maker(nets["velocity"], seed),
        }
        return picture_table(data, home, seed, models, self.config.judged)
