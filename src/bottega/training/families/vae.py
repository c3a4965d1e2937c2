"""A variational autoencoder over pictures; its bound in bits a dimension is comparable with exact models of density."""

import math
from pathlib import Path
from typing import cast

import torch
from pydantic import Field
from torch import Tensor, nn

from bottega.core.value import JsonObject, Value
from bottega.evaluation.density import mean_gaussian, principal_gaussian
from bottega.evaluation.judge import seen
from bottega.evaluation.pictures import frechet
from bottega.evaluation.table import CLASSICAL, FLOOR, MODEL, TRIVIAL, Row, Table
from bottega.networks.autoencoder import VAE
from bottega.networks.noise import key
from bottega.training.data.base import Data
from bottega.training.families.pictures import grid, judge_of, png, scaled
from bottega.training.family import Batch, Export, Family, Made, Nets, Phase, Wish

LEVELS = 256
MEASURES = {
    "bits": "bits a dimension of held-out pictures (the model's is its bound); lower is better",
    "MSE": "mean squared error of held-out pictures after the bottleneck, pixels in -1..1",
    "FD": "Frechet distance of samples in the 64 features of our judge network, to training pictures",
}


class VaeConfig(Value, frozen=True):
    """Size of encoder, decoder and bottleneck."""

    width: int = Field(default=32, ge=8, le=512, description="channels of the finest level")
    latent: int = Field(default=32, ge=1, le=4096, description="numbers that a picture becomes")
    judged: int = Field(default=1000, ge=8, description="pictures for each row of the table")


class Vae(Family[VaeConfig]):
    """A picture becomes ``latent`` normal numbers, and those a picture."""

    config_type = VaeConfig

    @classmethod
    def dial(cls, depth: int) -> JsonObject:
        """Sixteen channels and as many latent numbers a step of depth."""
        return {"width": 16 * depth, "latent": 16 * depth}

    def nets(self) -> Nets:
        """Encoder and decoder in one."""
        config = self.config
        return {"vae": VAE(self.shape["channels"], self.shape["side"], config.width, config.latent)}

    def phases(self) -> tuple[Phase, ...]:
        """Raise the evidence bound."""
        return (Phase("bound", "vae", self._loss),)

    def _loss(self, nets: Nets, batch: Batch, generator: torch.Generator) -> Tensor:
        (images,) = batch
        return cast(VAE, nets["vae"]).bound(images, generator)[0].mean() / images[0].numel()

    def batch(self, data: Data, size: int, key: torch.Generator) -> Batch:
        """Images."""
        pick = torch.randint(len(data.train["images"]), (size,), generator=key)
        return (smooth(data.train["images"][pick], key),)

    def validate(self, nets: Nets, data: Data, key: torch.Generator) -> float | None:
        """The negative bound on held-out pictures, nats a dimension."""
        return float(self._loss(nets, (smooth(data.test["images"][:512], key),), key))

    def draw(self, nets: Nets, seed: int, count: int, temperature: float = 1.0) -> Tensor:
        """Pictures [N, C, S, S]."""
        z = torch.cat([torch.randn(1, self.config.latent, generator=key(seed, i)) for i in range(count)])
        with torch.no_grad():
            return cast(VAE, nets["vae"]).decode(z * temperature).clamp(-1, 1)

    def sample(self, nets: Nets, wish: Wish) -> list[Made]:
        """PNG files; it knows no classes."""
        drawn = self.draw(nets, wish.seed, wish.count, wish.temperature)
        return [Made(f"{i:03d}.png", "image/png", png(image)) for i, image in enumerate(drawn)]

    def show(self, nets: Nets) -> list[Made]:
        """Samples; and walks between two samples, a row each."""
        z = torch.randn(2, 8, 1, self.config.latent, generator=key(0, "walk"))
        share = torch.linspace(0, 1, 10)[:, None] * math.pi / 2
        walk = (z[0] * share.cos() + z[1] * share.sin()).flatten(0, 1)  # stays as long as normal numbers are
        with torch.no_grad():
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
        net, count, generator = cast(VAE, nets["vae"]), self.config.judged, key(seed, "baselines")
        judge = judge_of(data, home)
        train, test = smooth(data.train["images"], generator), smooth(data.test["images"], generator)[:count]
        pick = torch.randperm(len(train), generator=generator)[:10_000]
        base, _ = seen(judge, scaled(data.train["images"][pick]))

        def distance(images: Tensor) -> float:
            return frechet(base, seen(judge, images)[0])

        trivial = mean_gaussian(train, test, len(test), generator)
        classical = principal_gaussian(train, test, self.config.latent, len(test), generator)
        bound, error = net.bound(test, generator)
        mine = {
            "bits": float(bound.mean()) / test[0].numel() / math.log(2) + math.log2(LEVELS / 2),
            "MSE": float(error.mean()),
            "FD": distance(self.draw(nets, seed, len(test))),
        }

        def baseline(kind: str, what: str, found: tuple[float, float, Tensor]) -> Row:
            nats, error, drawn = found
            bits = nats / math.log(2) + math.log2(LEVELS / 2)
            return Row(kind=kind, what=what, values={"bits": bits, "MSE": error, "FD": distance(drawn)})

        real = scaled(data.test["images"][:count])
        return Table(
            measures=MEASURES,
            rows=(
                Row(kind=FLOOR, what="held-out pictures", values={"MSE": 0.0, "FD": distance(real)}),
                baseline(TRIVIAL, "the mean picture, one variance", trivial),
                baseline(
                    CLASSICAL, f"{self.config.latent} principal components (probabilistic PCA)", classical
                ),
                Row(kind=MODEL, what=f"{self.config.latent} latent numbers", values=mine),
            ),
            notes=(f"{len(test)} held-out pictures with uniform noise of one grey level; seed {seed}",),
        )


def smooth(images: Tensor, generator: torch.Generator) -> Tensor:
    """uint8 -> -1..1 with uniform noise of one grey level, which makes a density of grey levels (Theis 2016)."""
    return (images.float() + torch.rand(images.shape, generator=generator)) / (LEVELS / 2) - 1
