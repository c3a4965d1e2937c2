"""Flow matching over labelled pictures, with classifier-free guidance and a U-Net."""

from pathlib import Path

import torch
from pydantic import Field
from torch import Tensor

from bottega.core.value import JsonObject
from bottega.evaluation.table import Table
from bottega.networks.flow import flow_loss
from bottega.training.data.base import Data
from bottega.training.families.pictures import picture_batch, picture_table, scaled
from bottega.training.families.velocity import Velocity, VelocityConfig
from bottega.training.family import Batch, Nets, Phase


class FlowConfig(VelocityConfig, frozen=True):
    """The velocity network, how it is sampled by default, and how it learns to do without a label."""

    drop: float = Field(
        default=0.1, ge=0, lt=1, description="share of examples that are learnt without the label"
    )


class Flow(Velocity[FlowConfig]):
    """Learns the velocity from pictures."""

    config_type = FlowConfig
    needs = frozenset({"images", "bags"})

    @classmethod
    def dial(cls, depth: int) -> JsonObject:
        """Eight channels a step of depth."""
        return {"width": 8 * depth}

    def phases(self) -> tuple[Phase, ...]:
        """Match the velocity of straight lines from noise to pictures."""
        return (Phase("velocity", "velocity", self._loss),)

    def _loss(self, nets: Nets, batch: Batch, generator: torch.Generator) -> Tensor:
        images, bags = batch
        return flow_loss(nets["velocity"], images, bags, generator, self.config.drop)

    def batch(self, data: Data, size: int, key: torch.Generator) -> Batch:
        """Images and labels."""
        return picture_batch(data, size, key)

    def validate(self, nets: Nets, data: Data, key: torch.Generator) -> float | None:
        """The loss on held-out pictures, without dropping labels."""
        images, bags = scaled(data.test["images"][:256]), data.test["bags"][:256]
        return float(flow_loss(nets["velocity"], images, bags, key, 0.0))

    def evaluate(self, nets: Nets, data: Data, seed: int, home: Path) -> Table:
        """Frechet distance, judged accuracy, precision, recall and copies."""
        what = f"{self.config.steps} steps, guidance {self.config.guidance:g}"
        models = {what: self.maker(nets["velocity"], seed)}
        return picture_table(data, home, seed, models, self.config.judged)
