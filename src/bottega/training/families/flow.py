"""Flow matching over labelled pictures, with classifier-free guidance and a U-Net."""

from functools import partial
from pathlib import Path

import torch
from pydantic import Field
from torch import Tensor, nn

from bottega.core.value import JsonObject, Value
from bottega.evaluation.table import Table
from bottega.networks.flow import flow_loss, flow_sample
from bottega.networks.noise import key
from bottega.networks.unet import UNet
from bottega.training.data.base import Data
from bottega.training.families.pictures import files, grid, picture_batch, picture_table, png, scaled, wanted
from bottega.training.family import Batch, Export, Family, Made, Nets, Phase, Wish


class FlowConfig(Value, frozen=True):
    """The velocity network and how it is sampled by default."""

    width: int = Field(default=16, ge=8, le=512, multiple_of=8, description="channels of the first level")
    drop: float = Field(default=0.1, ge=0, lt=1, description="share of steps that learn without the label")
    steps: int = Field(default=10, ge=1, le=1000, description="of Euler's method")
    guidance: float = Field(default=2.0, ge=1, le=20, description="1 is none")
    judged: int = Field(default=1000, ge=8, description="pictures made for each row of the table")


class Flow(Family[FlowConfig]):
    """Noise flows to a picture of the label along dx/dt = net(x, t, label)."""

    config_type = FlowConfig

    @classmethod
    def dial(cls, depth: int) -> JsonObject:
        """Eight channels a step of depth."""
        return {"width": 8 * depth}

    def nets(self) -> Nets:
        """One velocity network."""
        return {"velocity": UNet(self.shape["channels"], self.config.width, self.shape["words"])}

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

    def draw(self, net: nn.Module, bags: Tensor, wish: Wish) -> Tensor:
        """Pictures [N, C, S, S] for labels [N, words], 100 at a time; the noise of each depends on its number."""
        side, channels = self.shape["side"], self.shape["channels"]
        steps, guidance = wish.steps or self.config.steps, wish.guidance or self.config.guidance
        noise = [torch.randn(1, channels, side, side, generator=key(wish.seed, i)) for i in range(len(bags))]
        x = torch.cat(noise)
        parts = [slice(i, i + 100) for i in range(0, len(x), 100)]
        return torch.cat([flow_sample(net, x[i], bags[i], steps, guidance) for i in parts]).clamp(-1, 1)

    def sample(self, nets: Nets, wish: Wish) -> list[Made]:
        """PNG files of the wanted class, or of all in turn."""
        bags = wanted(wish.prompt, self.labels, wish.count)
        return files(self.draw(nets["velocity"], bags, wish), self.labels, bags)

    def show(self, nets: Nets) -> list[Made]:
        """A grid: a column for each class."""
        bags = wanted("", self.labels, 8 * len(self.labels))
        return [Made("grid.png", "image/png", png(grid(self._make(nets["velocity"], 0, bags))))]

    def exports(self, nets: Nets) -> dict[str, Export]:
        """The velocity: (x, t, label)."""
        side, channels = self.shape["side"], self.shape["channels"]
        x = torch.randn(2, channels, side, side, generator=key(0, "export"))
        return {"velocity": (nets["velocity"], (x, torch.tensor([0.3, 0.7]), torch.tensor([[1], [2]])))}

    def evaluate(self, nets: Nets, data: Data, seed: int, home: Path) -> Table:
        """Frechet distance, judged accuracy, precision, recall and copies."""
        what = f"{self.config.steps} steps, guidance {self.config.guidance:g}"
        make = partial(self._make, nets["velocity"], seed)
        return picture_table(data, home, seed, make, what, self.config.judged)

    def _make(self, net: nn.Module, seed: int, bags: Tensor) -> Tensor:
        return self.draw(net, bags, Wish(seed=seed))
