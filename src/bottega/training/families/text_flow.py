"""Flow matching over pictures with words: the condition is a bag of the words, and of a style."""

import base64
import hashlib
import zlib
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from bottega.core.errors import InvalidValue
from bottega.core.value import JsonObject
from bottega.evaluation.table import Table
from bottega.networks.noise import key
from bottega.networks.unet import UNet, channels_last
from bottega.training import checkpoint
from bottega.training.data.base import Data
from bottega.training.families.flow import Flow, FlowConfig
from bottega.training.families.pictures import grid, picture_table, png, scaled, wanted_words
from bottega.training.family import Batch, Export, Made, Nets, Wish
from bottega.training.recipe import Base

CLASSES = 200  # of the words that it can draw: the most frequent, which the judge tells apart
PICTURES = 60_000  # of training that judge and table look at
FIRST = 5  # words of the judge that count
SHOWN = (
    "home",
    "heart",
    "cloud",
    "star",
    "camera",
    "mail",
    "lock",
    "bell",
    "car",
    "tree",
    "cup",
    "key",
    "phone",
    "book",
    "umbrella",
    "fish",
    "house",
    "flower",
    "clock",
    "robot",
)


class TextFlowConfig(FlowConfig, frozen=True):
    """A flow, which pictures it is shown, and the run that it begins as."""

    plain: int = Field(
        default=0,
        ge=0,
        description="show only pictures whose name is one word that so many have; 0 shows all",
    )
    hints: bool = Field(
        default=False,
        description="show the network the mean picture of each word, of 16 by 16, beside the noise",
    )
    base: Base | None = None


class TextFlow(Flow):
    """A flow that is asked in words."""

    config_type = TextFlowConfig
    exported = False  # words come in rows of several lengths

    @property
    def how(self) -> TextFlowConfig:
        """The config, as what it is."""
        return cast(TextFlowConfig, self.config)

    @classmethod
    def learn_codec(cls, config: FlowConfig, data: Data) -> JsonObject:
        """The mean picture of each word, over the pictures that are shown; words of too few have none."""
        how = cast(TextFlowConfig, config)
        if not how.hints:
            return {}
        styles, least = data.shape.get("styles", 0), max(1, how.plain)
        only, enough = plain_words(data.train["bags"], styles, least)
        means = torch.zeros(len(data.labels) + 1, 16, 16, dtype=torch.uint8)
        for word in cast(list[int], enough.tolist()):
            ink = 255 - data.train["images"][only == word].float().mean((0, 1))
            means[word] = F.adaptive_avg_pool2d(ink[None], 16)[0].round().clamp(1, 255).byte()
        return {"hints": base64.b64encode(zlib.compress(means.numpy().tobytes(), 9)).decode()}

    def nets(self) -> Nets:
        """One velocity network."""
        if not self.how.hints:
            return super().nets()
        packed = zlib.decompress(base64.b64decode(cast(str, self.codec["hints"])))
        hints = torch.frombuffer(bytearray(packed), dtype=torch.uint8).view(-1, 16, 16) / 255
        shape, config = self.shape, self.config
        net = UNet(shape["channels"], config.width, shape["words"], config.patch, hints)
        return {"velocity": channels_last(net)}

    def start(self, nets: Nets) -> None:
        """Begin as the base is, where there is one.

        Raises:
            InvalidValue: it is gone, or no longer the one that the run was begun with.
        """
        if (told := self.how.base) is None:
            return
        path = checkpoint.unchanged(Path(told.weights), told.sha256)
        state = checkpoint.read(path)
        if self.how.hints:  # a base without them: what they say counts nothing at first
            state["net.velocity.hints"] = cast(Tensor, nets["velocity"].hints)
            old, name = cast(UNet, nets["velocity"]).into.weight, "net.velocity.into.weight"
            state[name] = F.pad(state[name], (0, 0, 0, 0, 0, old.shape[1] - state[name].shape[1]))
        checkpoint.load_nets(nets, state, "net", told.weights)

    def batch(self, data: Data, size: int, key: torch.Generator) -> Batch:
        """Pictures and their words."""
        rows = self._shown(data)
        pick = rows[torch.randint(len(rows), (size,), generator=key)]
        return scaled(data.train["images"][pick]), data.train["bags"][pick]

    @lru_cache(maxsize=2)  # noqa: B019 - of this family's data, for as long as it trains
    def _shown(self, data: Data) -> Tensor:
        """Rows of the training split.

        Raises:
            InvalidValue: no word alone has so many pictures.
        """
        if not self.how.plain:
            return torch.arange(len(data.train["bags"]))
        only, _ = plain_words(data.train["bags"], self.shape.get("styles", 0), self.how.plain)
        rows = torch.isin(only, self.words(data)).nonzero()[:, 0]
        if not len(rows):
            raise InvalidValue(
                "no word alone has so many pictures", where="model.plain", remedy="ask for fewer"
            )
        return rows

    def words(self, data: Data) -> Tensor:
        """The numbers of the words that it learns to draw, frequent ones first."""
        styles = self.shape.get("styles", 0)
        if not self.how.plain:
            return torch.arange(styles + 1, len(self.labels) + 1)
        return plain_words(data.train["bags"], styles, self.how.plain)[1]

    @classmethod
    def dial(cls, depth: int) -> JsonObject:
        """Sixteen channels a step of depth; two pixels a place; more guidance, because a word says less than a class."""
        return {"width": 16 * depth, "patch": 2, "guidance": 3.0}

    def sample(self, nets: Nets, wish: Wish) -> list[Made]:
        """PNG files for the prompt, each from noise of its own.

        Raises:
            InvalidValue: it knows no word of the prompt.
        """
        bags = wanted_words(wish.prompt or self.labels[self.shape.get("styles", 0)], self.labels, wish.count)
        return [
            Made(f"{number:03d}.png", "image/png", png(image))
            for number, image in enumerate(self.draw(nets["velocity"], bags, wish))
        ]

    def show(self, nets: Nets) -> list[Made]:
        """A grid: a column for each of some words that it knows."""
        known = [word for word in SHOWN if word in self.labels] or list(
            self.labels[self.shape.get("styles", 0) :][:20]
        )
        bags = torch.cat([wanted_words(word, self.labels, 1) for word in known]).repeat(6, 1)
        return [
            Made(
                "grid.png",
                "image/png",
                png(grid(self.draw(nets["velocity"], bags, Wish()), columns=len(known))),
            )
        ]

    def exports(self, nets: Nets) -> dict[str, Export]:
        """The velocity: (x, t, words)."""
        bags = torch.cat([wanted_words(word, self.labels, 1) for word in self.labels[-2:]])
        return {"velocity": (nets["velocity"], (self.noise(0, 2), torch.tensor([0.3, 0.7]), bags))}

    def evaluate(self, nets: Nets, data: Data, seed: int, home: Path) -> Table:
        """The table of pictures, for prompts of one word in the styles of the training pictures."""
        view = judged_view(data, self.words(data)[:CLASSES], PICTURES)
        models = {
            f"{self.config.steps} steps, guidance {self.config.guidance:g}": self.maker_of(
                nets["velocity"], data, view, seed
            )
        }
        return picture_table(view, home, seed, models, self.config.judged, best=min(FIRST, len(view.labels)))

    def maker_of(self, net: nn.Module, data: Data, view: Data, seed: int, steps: int = 0):
        """Classes of the view [N, 1] -> pictures, for a row of the table."""

        def make(classes: Tensor) -> Tensor:
            words = torch.tensor([self.labels.index(view.labels[int(i) - 1]) + 1 for i in classes[:, 0]])[
                :, None
            ]
            styles = (
                data.train["bags"][:, :1]
                if self.shape.get("styles")
                else torch.zeros(1, 1, dtype=torch.int64)
            )
            drawn = styles[torch.randint(len(styles), (len(words),), generator=key(seed, "styles"))]
            return self.draw(net, torch.cat((drawn, words), 1), Wish(seed=seed, steps=steps))

        return make


def plain_words(bags: Tensor, styles: int, least: int) -> tuple[Tensor, Tensor]:
    """The only word of each bag [N], 0 where there are several or none; and the words that are so of ``least`` bags."""
    words = bags * (bags > styles)
    only = words.amax(1) * ((words > 0).sum(1) == 1)
    found, counts = cast(tuple[Tensor, Tensor], cast(Any, only).unique(return_counts=True))
    return only, found[(counts >= least) & (found > 0)]


def judged_view(data: Data, words: Tensor, pictures: int) -> Data:
    """The pictures that have one of some words, with the rarest of these as their class.

    Args:
        data: pictures with bags of words.
        words: their numbers in the vocabulary, rising, so that rarer ones come later.
        pictures: how many of the training pictures, at most.
    """
    places = torch.zeros(len(data.labels) + 1, dtype=torch.int64)
    places[words] = torch.arange(1, len(words) + 1)

    def part(tensors: dict[str, Tensor], most: int) -> dict[str, Tensor]:
        classes = places[tensors["bags"]].amax(1)
        rows = (classes > 0).nonzero()[:, 0]
        rows = rows[torch.randperm(len(rows), generator=key(0, "view"))[:most]]
        return {"images": tensors["images"][rows], "bags": classes[rows][:, None]}

    return replace(
        data,
        train=part(data.train, pictures),
        test=part(data.test, pictures),
        labels=tuple(data.labels[word - 1] for word in cast(list[int], words.tolist())),
        sha256=hashlib.sha256(f"{data.sha256} {words.tolist()} {pictures}".encode()).hexdigest(),
    )
