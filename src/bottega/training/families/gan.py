"""A conditional GAN with the relativistic loss and both gradient penalties (R3GAN, Huang 2024)."""

from functools import partial
from pathlib import Path
from typing import cast

import torch
from pydantic import Field
from torch import Tensor

from bottega.core.errors import InvalidValue
from bottega.core.value import JsonObject, Value
from bottega.evaluation.table import Table
from bottega.networks.gan import Critic, Generator, critic_loss, generator_loss
from bottega.networks.noise import key, normal
from bottega.training.data.base import Data
from bottega.training.families.modes import modes_table
from bottega.training.families.pictures import files, grid, picture_batch, picture_table, png, wanted
from bottega.training.family import Batch, Export, Family, Made, Nets, Phase, Wish


class GanConfig(Value, frozen=True):
    """Both networks, and the weight of the penalties."""

    width: int = Field(default=32, ge=8, le=512, description="channels of the finest level")
    latent: int = Field(default=64, ge=1, le=4096, description="numbers of noise")
    gamma: float = Field(default=1.0, ge=0, le=1000, description="weight of R1 and R2")
    told: bool = Field(default=True, description="whether both networks are told the class")
    judged: int = Field(default=1000, ge=8, description="pictures made for each row of the table")


class Gan(Family[GanConfig]):
    """A generator whose pictures shall look more real to a critic than real ones, and the critic."""

    config_type = GanConfig
    compiles = False
    needs = frozenset({"images", "bags"})
    exported = True

    @classmethod
    def dial(cls, depth: int) -> JsonObject:
        """Sixteen channels a step of depth."""
        return {"width": 16 * depth}

    def nets(self) -> Nets:
        """Generator and critic."""
        size = (self.shape["channels"], self.shape["side"], self.config.width, self.shape["words"])
        return {"generator": Generator(*size, self.config.latent), "critic": Critic(*size)}

    def phases(self) -> tuple[Phase, ...]:
        """The critic learns first, then the generator from it."""
        return (Phase("critic", "critic", self._critic), Phase("generator", "generator", self._generator))

    def _fake(self, nets: Nets, labels: Tensor, generator: torch.Generator) -> Tensor:
        z = normal((len(labels), self.config.latent), generator, next(nets["generator"].parameters()))
        return nets["generator"](z, labels)

    def _critic(self, nets: Nets, batch: Batch, generator: torch.Generator) -> Tensor:
        real, labels = batch
        with torch.no_grad():
            fake = self._fake(nets, labels, generator)
        return critic_loss(cast(Critic, nets["critic"]), real, fake, labels, self.config.gamma)

    def _generator(self, nets: Nets, batch: Batch, generator: torch.Generator) -> Tensor:
        real, labels = batch
        fake = self._fake(nets, labels, generator)
        return generator_loss(cast(Critic, nets["critic"]), real, fake, labels)

    def batch(self, data: Data, size: int, key: torch.Generator) -> Batch:
        """Images and labels, all 0 where none are told."""
        images, bags = picture_batch(data, size, key)
        return images, self._told(bags)

    def _told(self, bags: Tensor) -> Tensor:
        return bags if self.config.told else torch.zeros_like(bags)

    def draw(self, nets: Nets, seed: int, bags: Tensor) -> Tensor:
        """Pictures [N, C, S, S] for labels [N, 1]; the noise of each depends on its number."""
        z = torch.cat([torch.randn(1, self.config.latent, generator=key(seed, i)) for i in range(len(bags))])
        parts = [slice(i, i + 200) for i in range(0, len(z), 200)]
        with torch.no_grad():
            return torch.cat([nets["generator"](z[i], self._told(bags[i])) for i in parts]).clamp(-1, 1)

    def sample(self, nets: Nets, wish: Wish) -> list[Made]:
        """PNG files of the wanted class, or of all in turn; without a class where none was told.

        Raises:
            InvalidValue: the prompt is no label, or no classes were told.
        """
        if not self.config.told:
            if wish.prompt:
                raise InvalidValue("it was told no classes", where="prompt", remedy="leave it out")
            drawn = self.draw(nets, wish.seed, torch.zeros(wish.count, 1, dtype=torch.int64))
            return [Made(f"{i:03d}.png", "image/png", png(image)) for i, image in enumerate(drawn)]
        bags = wanted(wish.prompt, self.labels, wish.count)
        return files(self.draw(nets, wish.seed, bags), self.labels, bags)

    def show(self, nets: Nets) -> list[Made]:
        """A grid: a column for each class."""
        bags = wanted("", self.labels, 8 * len(self.labels))
        return [Made("grid.png", "image/png", png(grid(self.draw(nets, 0, bags))))]

    def exports(self, nets: Nets) -> dict[str, Export]:
        """The generator: (noise, label)."""
        z = torch.randn(2, self.config.latent, generator=key(0, "export"))
        return {"generator": (nets["generator"], (z, torch.tensor([[1], [2]])))}

    def evaluate(self, nets: Nets, data: Data, seed: int, home: Path) -> Table:
        """Frechet distance, judged accuracy, precision, recall and copies; of several digits in a picture the kinds found."""
        if data.train["bags"].shape[1] > 1 and not self.config.told:

            def drawn(count: int) -> Tensor:
                return self.draw(nets, seed, torch.zeros(count, 1, dtype=torch.int64))

            return modes_table(data, home, seed, {"one pass of the generator": drawn}, self.config.judged)
        models = {"one pass of the generator": partial(self.draw, nets, seed)}
        return picture_table(data, home, seed, models, self.config.judged)
