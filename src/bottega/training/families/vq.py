"""A VQ-VAE over labelled pictures: codes of a codebook, and a transformer that tells how likely codes are."""

from pathlib import Path
from typing import cast

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from bottega.core.value import JsonObject, Value
from bottega.evaluation.table import Table
from bottega.networks.codebook import VQ, usage
from bottega.networks.noise import key
from bottega.networks.transformer import Decoder, generate, next_token_loss
from bottega.training.data.base import Data
from bottega.training.families.densities import density_table, smooth
from bottega.training.families.pictures import files, grid, png, wanted
from bottega.training.family import Batch, Export, Family, Made, Nets, Phase, Wish

MORE = {
    "used": "share of the codes that held-out pictures use",
    "perplexity": "of how often each code is used; at most the number of codes",
}


class VqConfig(Value, frozen=True):
    """The autoencoder, its codebook, and the prior over codes."""

    width: int = Field(default=32, ge=8, le=512, description="channels of the finest level")
    codes: int = Field(default=128, ge=2, le=65536)
    size: int = Field(default=16, ge=1, le=4096, description="numbers of a code's vector")
    prior_width: int = Field(default=64, ge=8, le=8192, multiple_of=8)
    prior_layers: int = Field(default=2, ge=1, le=128)
    prior_heads: int = Field(default=2, ge=1, le=128)
    turn: float = Field(default=0.5, gt=0, lt=1, description="share of the steps before the prior is trained")
    judged: int = Field(default=1000, ge=8, description="pictures for each row of the table")


class Vq(Family[VqConfig]):
    """A picture becomes codes, row by row; the prior writes codes of a label, which become a picture."""

    config_type = VqConfig
    needs = frozenset({"images", "bags"})
    shards = False  # the codebook follows the mean of what it meets

    @classmethod
    def dial(cls, depth: int) -> JsonObject:
        """Sixteen channels, 32 numbers and a layer of the prior, and twice the codes a step of depth."""
        prior = {"prior_width": 32 * depth, "prior_layers": depth, "prior_heads": depth}
        return {"width": 16 * depth, "codes": min(65536, 32 * 2**depth), **prior}

    def nets(self) -> Nets:
        """The autoencoder, and the prior; its tokens are codes and then labels."""
        config, shape = self.config, self.shape
        words = config.codes + shape["words"] + 1
        return {
            "vq": VQ(shape["channels"], shape["side"], config.width, config.codes, config.size),
            "prior": Decoder(words, config.prior_width, config.prior_layers, config.prior_heads),
        }

    def phases(self) -> tuple[Phase, ...]:
        """First the autoencoder; then, when the codes mean what they mean, the prior."""
        turn = self.config.turn
        return (Phase("vq", "vq", self._vq, 0.0, turn), Phase("prior", "prior", self._prior, turn, 1.0))

    def _vq(self, nets: Nets, batch: Batch, generator: torch.Generator) -> Tensor:
        return cast(VQ, nets["vq"]).loss(batch[0], generator)

    def _prior(self, nets: Nets, batch: Batch, generator: torch.Generator) -> Tensor:
        return next_token_loss(nets["prior"], self.line(nets, *batch))

    def line(self, nets: Nets, images: Tensor, bags: Tensor) -> Tensor:
        """The label as a token, then the codes: [B, 1 + (S/4)^2]."""
        with torch.no_grad():
            codes = cast(VQ, nets["vq"]).codes(images)
        return torch.cat((bags[:, :1] + self.config.codes, codes), dim=1)

    def batch(self, data: Data, size: int, key: torch.Generator) -> Batch:
        """Images and labels."""
        pick = torch.randint(len(data.train["images"]), (size,), generator=key)
        return smooth(data.train["images"][pick], key), data.train["bags"][pick]

    def validate(self, nets: Nets, data: Data, key: torch.Generator) -> float | None:
        """The loss of the autoencoder on held-out pictures."""
        return float(cast(VQ, nets["vq"]).loss(smooth(data.test["images"][:512], key), key))

    def draw(self, nets: Nets, bags: Tensor, seed: int, temperature: float = 1.0) -> Tensor:
        """Pictures [N, C, S, S] for labels [N, 1], 100 at a time; only codes are written."""
        vq, prior, codes = cast(VQ, nets["vq"]), cast(Decoder, nets["prior"]), self.config.codes
        begun, made = bags[:, :1] + codes, list[Tensor]()
        for part in range(0, len(begun), 100):
            heads = begun[part : part + 100]
            said = generate(prior, heads, vq.small**2, key(seed, part), temperature, codes)
            made.append(vq.decode(said.view(-1, vq.small, vq.small)))
        return torch.cat(made).clamp(-1, 1).detach()

    def sample(self, nets: Nets, wish: Wish) -> list[Made]:
        """PNG files of the wanted class, or of all in turn."""
        bags = wanted(wish.prompt, self.labels, wish.count)
        return files(self.draw(nets, bags, wish.seed, wish.temperature), self.labels, bags)

    def show(self, nets: Nets) -> list[Made]:
        """A grid: a column for each class."""
        bags = wanted("", self.labels, 8 * len(self.labels))
        return [Made("grid.png", "image/png", png(grid(self.draw(nets, bags, 0))))]

    def exports(self, nets: Nets) -> dict[str, Export]:
        """The prior over a whole line, and the decoder of codes."""
        vq, size = cast(VQ, nets["vq"]), self.config.codes
        codes = torch.randint(size, (2, vq.small, vq.small), generator=key(0, "export"))
        return {"prior": (nets["prior"], (codes.flatten(1),)), "decoder": (_Decodes(vq), (codes,))}

    def evaluate(self, nets: Nets, data: Data, seed: int, home: Path) -> Table:
        """Bits a dimension of codes and pictures together, beside Gaussians; and how the codebook is used."""
        vq, config = cast(VQ, nets["vq"]), self.config
        codes = vq.codes(smooth(data.test["images"][: config.judged], key(seed, "codes")))
        used, perplexity = usage(codes, config.codes)
        what = f"{codes.shape[1]} codes out of {config.codes}"
        extra = {"used": used, "perplexity": perplexity}
        model = {what: _Coded(self, nets)}
        return density_table(data, home, seed, model, codes.shape[1], config.judged, MORE, extra)


class _Coded:
    """The model's row; no label is given, so the least surprising one counts, and which it was is paid for."""

    def __init__(self, family: Vq, nets: Nets) -> None:
        self.family, self.nets, self.vq = family, nets, cast(VQ, nets["vq"])

    def nats(self, images: Tensor) -> Tensor:
        words = self.family.shape["words"]
        each = list[Tensor]()
        for label in range(1, words + 1):
            bags = torch.full((len(images), 1), label)
            each.append(-self._codes(self.family.line(self.nets, images, bags)))
        chance = (
            torch.stack(each).logsumexp(0) - torch.tensor(float(words)).log()
        )  # labels are equally likely
        return self.vq.nats(images) - chance

    def _codes(self, line: Tensor) -> Tensor:
        found = list[Tensor]()
        for part in torch.split(line, 250):
            said = self.nets["prior"](part[:, :-1])[..., : self.family.config.codes]
            found.append(F.cross_entropy(said.transpose(1, 2), part[:, 1:], reduction="none").sum(1))
        return torch.cat(found)

    def rebuilt(self, images: Tensor) -> Tensor:
        return self.vq.decode(self.vq.encode(images)[1])

    def between(self, one: Tensor, other: Tensor) -> Tensor:
        """Half-way between the vectors, then to the nearest codes."""
        middle = (self.vq.encode(one)[0] + self.vq.encode(other)[0]) / 2
        far = self.vq.book.square().sum(1) - 2 * middle @ self.vq.book.T
        return self.vq.decode(far.argmin(-1))

    def drawn(self, count: int, seed: int) -> Tensor:
        return self.family.draw(self.nets, wanted("", self.family.labels, count), seed)


class _Decodes(nn.Module):
    """Codes [B, S/4, S/4] -> pictures."""

    def __init__(self, net: VQ) -> None:
        super().__init__()
        self.net = net

    def forward(self, codes: Tensor) -> Tensor:
        return self.net.decode(codes)
