"""What a flow and its student share: a velocity network, and how pictures are drawn along it."""

from collections.abc import Callable
from typing import Generic, TypeVar

import torch
from pydantic import Field
from torch import Tensor, nn

from bottega.core.value import Value
from bottega.networks.flow import flow_sample
from bottega.networks.noise import key
from bottega.networks.unet import UNet, channels_last
from bottega.training.families.pictures import files, grid, png, wanted
from bottega.training.family import Export, Family, Made, Nets, Wish


class VelocityConfig(Value, frozen=True):
    """The velocity network and how it is sampled by default."""

    width: int = Field(default=16, ge=8, le=512, multiple_of=8, description="channels of the first level")
    patch: int = Field(
        default=1, ge=1, le=4, description="pixels of a side that the network takes as one place"
    )
    steps: int = Field(default=10, ge=1, le=1000, description="of Euler's method")
    guidance: float = Field(default=2.0, ge=1, le=20, description="1 is none")
    judged: int = Field(default=1000, ge=8, description="pictures made for each row of the table")


V = TypeVar("V", bound=VelocityConfig)


class Velocity(Family[V], Generic[V]):
    """Noise flows to a picture of the label along dx/dt = net(x, t, label)."""

    exported = True

    def nets(self) -> Nets:
        """One velocity network."""
        shape, config = self.shape, self.config
        net = UNet(shape["channels"], config.width, shape["words"], config.patch)
        return {"velocity": channels_last(net)}

    def noise(self, seed: int, count: int) -> Tensor:
        """[N, C, S, S]; the noise of each picture depends on its number."""
        size = (1, self.shape["channels"], self.shape["side"], self.shape["side"])
        return torch.cat([torch.randn(size, generator=key(seed, i)) for i in range(count)])

    def draw(self, net: nn.Module, bags: Tensor, wish: Wish) -> Tensor:
        """Pictures [N, C, S, S] for labels [N, words], 100 at a time."""
        steps, guidance = wish.steps or self.config.steps, wish.guidance or self.config.guidance
        x = self.noise(wish.seed, len(bags))
        parts = [slice(i, i + 100) for i in range(0, len(x), 100)]
        return torch.cat([flow_sample(net, x[i], bags[i], steps, guidance) for i in parts]).clamp(-1, 1)

    def sample(self, nets: Nets, wish: Wish) -> list[Made]:
        """PNG files of the wanted class, or of all in turn."""
        bags = wanted(wish.prompt, self.labels, wish.count)
        return files(self.draw(nets["velocity"], bags, wish), self.labels, bags)

    def show(self, nets: Nets) -> list[Made]:
        """A grid: a column for each class."""
        bags = wanted("", self.labels, 8 * len(self.labels))
        return [Made("grid.png", "image/png", png(grid(self.draw(nets["velocity"], bags, Wish()))))]

    def exports(self, nets: Nets) -> dict[str, Export]:
        """The velocity: (x, t, label)."""
        x = self.noise(0, 2)
        return {"velocity": (nets["velocity"], (x, torch.tensor([0.3, 0.7]), torch.tensor([[1], [2]])))}

    def maker(self, net: nn.Module, seed: int, steps: int = 0) -> Callable[[Tensor], Tensor]:
        """Labels -> pictures, for a row of the table."""
        return lambda bags: self.draw(net, bags, Wish(seed=seed, steps=steps))
