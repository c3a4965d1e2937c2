"""A variational autoencoder over pictures; its bound in bits a dimension is comparable with exact models of density."""

from pathlib import Path
from typing import cast

import torch
from pydantic import Field
from torch import Tensor, nn

from bottega.core.value import JsonObject, Value
from bottega.evaluation.table import Table
from bottega.networks.autoencoder import VAE
from bottega.networks.noise import key
from bottega.training.data.base import Data
from bottega.training.families.densities import density_table, smooth
from bottega.training.families.pictures import grid, png
from bottega.training.family import Batch, Export, Family, Made, Nets, Phase, Wish


class VaeConfig(Value, frozen=True):
    """Size of encoder, decoder and bottleneck."""

    width: int = Field(default=32, ge=8, le=512, description="channels of the finest level")
    latent: int = Field(default=32, ge=1, le=4096, description="numbers that a picture becomes")
    parts: int = Field(default=64, ge=1, le=4096, description="Gaussians of the prior")
    judged: int = Field(default=1000, ge=8, description="pictures for each row of the table")


class Vae(Family[VaeConfig]):
    """A picture becomes ``latent`` numbers, and those a picture."""

    config_type = VaeConfig
    needs = frozenset({"images", "bags"})
    shards = False  # the prior and the variance follow the batches that they meet

    @classmethod
    def dial(cls, depth: int) -> JsonObject:
        """Sixteen channels and as many latent numbers a step of depth."""
        return {"width": 16 * depth, "latent": 16 * depth}

    def nets(self) -> Nets:
        """Encoder and decoder in one."""
        config = self.config
        size = (self.shape["channels"], self.shape["side"], config.width, config.latent, config.parts)
        return {"vae": VAE(*size)}

    def phases(self) -> tuple[Phase, ...]:
        """Raise the evidence bound."""
        return (Phase("bound", "vae", self._loss),)

    def _loss(self, nets: Nets, batch: Batch, generator: torch.Generator) -> Tensor:
        (images,) = batch
        return cast(VAE, nets["vae"]).bound(images, generator).mean() / images[0].numel()

    def batch(self, data: Data, size: int, key: torch.Generator) -> Batch:
        """Images."""
        pick = torch.randint(len(data.train["images"]), (size,), generator=key)
        return (smooth(data.train["images"][pick], key),)

    def validate(self, nets: Nets, data: Data, key: torch.Generator) -> float | None:
        """The negative bound on held-out pictures, nats a dimension."""
        return float(self._loss(nets, (smooth(data.test["images"][:512], key),), key))

    def latents(self, nets: Nets, seed: int, count: int, temperature: float = 1.0) -> Tensor:
        """[N, latent] of the prior; those of each picture depend on its number."""
        chance = torch.cat([torch.rand(1, generator=key(seed, i, "part")) for i in range(count)])
        noise = torch.cat([torch.randn(1, self.config.latent, generator=key(seed, i)) for i in range(count)])
        return cast(VAE, nets["vae"]).draw(chance, noise * temperature)

    def draw(self, nets: Nets, seed: int, count: int, temperature: float = 1.0) -> Tensor:
        """Pictures [N, C, S, S]."""
        with torch.no_grad():
            z = self.latents(nets, seed, count, temperature)
            return cast(VAE, nets["vae"]).decode(z).clamp(-1, 1)

    def sample(self, nets: Nets, wish: Wish) -> list[Made]:
        """PNG files; it knows no classes."""
        drawn = self.draw(nets, wish.seed, wish.count, wish.temperature)
        return [Made(f"{i:03d}.png", "image/png", png(image)) for i, image in enumerate(drawn)]

    def show(self, nets: Nets) -> list[Made]:
        """Samples; and walks between two samples, a row each."""
        with torch.no_grad():
            ends = self.latents(nets, 0, 16).view(2, 8, 1, -1)
            walk = ends[0].lerp(ends[1], torch.linspace(0, 1, 10)[:, None]).flatten(0, 1)
            between = cast(VAE, nets["vae"]).decode(walk)
        grids = {"grid.png": self.draw(nets, 0, 80), "walk.png": between}
        return [Made(name, "image/png", png(grid(images))) for name, images in grids.items()]

    def exports(self, nets: Nets) -> dict[str, Export]:
        """The decoder: latent numbers."""
        net = cast(VAE, nets["vae"])
        z = torch.randn(2, self.config.latent, generator=key(0, "export"))
        return {
            "decoder": (
                nn.Sequential(net.out, nn.Unflatten(1, (8, net.small, net.small)), net.decode_map),
                (z,),
            )
        }

    def evaluate(self, nets: Nets, data: Data, seed: int, home: Path) -> Table:
        """Bits a dimension and error beside principal components of the same size, whose likelihood is exact."""
        latent = self.config.latent
        what = f"{latent} latent numbers, {self.config.parts} Gaussians"
        models = {what: _Bound(self, nets, seed)}
        return density_table(data, home, seed, models, latent, self.config.judged, {}, {})


class _Bound:
    """The model's row."""

    def __init__(self, family: Vae, nets: Nets, seed: int) -> None:
        self.family, self.nets, self.net = family, nets, cast(VAE, nets["vae"])
        self.key = key(seed, "bound")

    def nats(self, images: Tensor) -> Tensor:
        return self.net.bound(images, self.key)

    def rebuilt(self, images: Tensor) -> Tensor:
        return self.net.decode(self.net.encode(images)[0])

    def between(self, one: Tensor, other: Tensor) -> Tensor:
        return self.net.decode((self.net.encode(one)[0] + self.net.encode(other)[0]) / 2)

    def drawn(self, count: int, seed: int) -> Tensor:
        return self.family.draw(self.nets, seed, count)
