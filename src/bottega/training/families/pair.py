"""Pictures and the words for them in one space, by contrast."""

import json
from pathlib import Path
from typing import Any, cast

import torch
from pydantic import Field
from torch import Tensor

from bottega.core.value import JsonObject, Value
from bottega.evaluation.picture_search import found_at, overlap_scores
from bottega.evaluation.table import CLASSICAL, FLOOR, MODEL, TRIVIAL, Row, Table
from bottega.networks.noise import key
from bottega.networks.pair import Pair, pair_loss
from bottega.networks.unet import channels_last
from bottega.training.data.base import Data
from bottega.training.families.pictures import picture_batch, scaled, wanted_words
from bottega.training.family import Batch, Export, Family, Made, Nets, Phase, Wish

NEAR = 10  # names that are looked through
MEASURES = {
    "recall@1": "share of held-out pictures whose own name is the nearest of all held-out names",
    "recall@10": "share whose own name is among the ten nearest",
    "times chance": "recall@10 over what ten names drawn at random reach",
}


class PairConfig(Value, frozen=True):
    """The size of both towers."""

    width: int = Field(default=32, ge=8, le=512, multiple_of=8, description="channels of the first level")
    size: int = Field(default=128, ge=8, le=4096, description="of the space that they share")
    judged: int = Field(default=2000, ge=8, description="held-out pictures that the table is measured on")


class TextPicturePair(Family[PairConfig]):
    """Learns which words belong to which picture."""

    config_type = PairConfig
    needs = frozenset({"images", "bags"})

    @classmethod
    def dial(cls, depth: int) -> JsonObject:
        """Sixteen channels and 64 numbers a step of depth."""
        return {"width": 16 * depth, "size": 64 * depth}

    def nets(self) -> Nets:
        """Both towers as one network, because one loss trains them."""
        shape, config = self.shape, self.config
        net = Pair(shape["channels"], shape["side"], config.width, shape["words"], config.size)
        return {"pair": channels_last(net)}

    def phases(self) -> tuple[Phase, ...]:
        """Tell each picture's words from those of the batch."""
        return (Phase("contrast", "pair", lambda nets, batch, _: pair_loss(nets["pair"], *batch)),)

    def batch(self, data: Data, size: int, key: torch.Generator) -> Batch:
        """Pictures and their words, without those that name a style."""
        images, bags = picture_batch(data, size, key)
        return images, self._words(bags)

    def _words(self, bags: Tensor) -> Tensor:
        return bags * (bags > self.shape.get("styles", 0))

    def validate(self, nets: Nets, data: Data, key: torch.Generator) -> float | None:
        """The loss on 512 held-out pictures."""
        return float(
            pair_loss(nets["pair"], scaled(data.test["images"][:512]), self._words(data.test["bags"][:512]))
        )

    def sample(self, nets: Nets, wish: Wish) -> list[Made]:
        """One JSON file: the words whose pictures look like those of the prompt.

        Raises:
            InvalidValue: it knows no word of the prompt.
        """
        bag = self._words(wanted_words(wish.prompt or self.labels[-1], self.labels, 1))
        return [self._file(nets, bag, wish.count)]

    def show(self, nets: Nets) -> list[Made]:
        """The same for the most frequent words."""
        first = self.shape.get("styles", 0)
        return [self._file(nets, torch.arange(first + 1, min(first + 17, len(self.labels) + 1))[:, None], 8)]

    def _file(self, nets: Nets, bags: Tensor, count: int) -> Made:
        text, first = cast(Pair, nets["pair"]).text, self.shape.get("styles", 0)
        every = text(torch.arange(first + 1, len(self.labels) + 1)[:, None])
        likeness, count = text(bags) @ every.T, min(count, len(every))
        told = [
            {
                "words": [self.labels[i - 1] for i in cast(list[int], bag.tolist()) if i],
                "near": [self.labels[first + i] for i in cast(list[int], line.topk(count).indices.tolist())],
            }
            for bag, line in zip(bags, likeness, strict=True)
        ]
        return Made("words.json", "application/json", json.dumps(told, indent=1).encode() + b"\n")

    def exports(self, nets: Nets) -> dict[str, Export]:
        """Each tower."""
        pair, shape = cast(Pair, nets["pair"]), self.shape
        images = torch.randn(2, shape["channels"], shape["side"], shape["side"], generator=key(0, "export"))
        return {
            "picture": (pair.picture, (images,)),
            "text": (pair.text, (torch.tensor([[1, 2, 0, 0, 0, 0, 0], [2, 0, 0, 0, 0, 0, 0]]),)),
        }

    def evaluate(self, nets: Nets, data: Data, seed: int, home: Path) -> Table:
        """Held-out pictures look for their name among all held-out names; those of no known word have none."""
        bags = self._words(data.test["bags"]).sort(dim=1, descending=True).values
        named = bags.any(1).nonzero()[:, 0]
        names, own = cast(tuple[Tensor, Tensor], cast(Any, bags[named]).unique(dim=0, return_inverse=True))
        pick = torch.randperm(len(own), generator=key(seed, "pick"))[: self.config.judged]
        images, own = scaled(data.test["images"][named[pick]]), own[pick]
        pair = cast(Pair, nets["pair"])
        text = pair.text(names)
        mine = torch.cat([pair.picture(images[i : i + 500]) for i in range(0, len(images), 500)]) @ text.T
        train = torch.randperm(len(data.train["images"]), generator=key(seed, "train"))[:60_000]
        pixels = overlap_scores(
            images,
            scaled(data.train["images"][train]),
            self._words(data.train["bags"][train]),
            names,
            len(self.labels),
        )
        chance = min(1.0, NEAR / len(names))

        def row(kind: str, what: str, first: float, near: float) -> Row:
            values = {"recall@1": first, "recall@10": near, "times chance": near / chance}
            return Row(kind=kind, what=what, values=values)

        return Table(
            measures=MEASURES,
            rows=(
                row(FLOOR, "the names themselves", 1.0, 1.0),
                row(TRIVIAL, "ten names at random", chance / NEAR, chance),
                row(
                    CLASSICAL,
                    "names that share rare words with the picture nearest by pixels",
                    *(found_at(pixels, own, n) for n in (1, NEAR)),
                ),
                row(
                    MODEL,
                    f"{self.config.size} numbers a picture",
                    *(found_at(mine, own, n) for n in (1, NEAR)),
                ),
            ),
            notes=(
                f"{len(images)} held-out pictures, {len(names)} held-out names, none of which is in training; seed {seed}",
            ),
        )
