"""Flow matching over pictures with words: the condition is a bag of the words, and of a style."""

from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from bottega.core.value import JsonObject
from bottega.evaluation.table import Table
from bottega.networks.noise import key
from bottega.training.data.base import Data
from bottega.training.families.flow import Flow
from bottega.training.families.pictures import grid, picture_table, png, wanted_words
from bottega.training.family import Export, Made, Nets, Wish

CLASSES = 200  # of the most frequent words that the judge tells apart
PICTURES = 60_000  # of training that judge and table look at
FIRST = 5  # words of the judge that count
SHOWN = tuple(
    "home heart cloud star camera mail lock bell car tree cup key phone book umbrella"
    " fish house flower clock robot".split()
)


class TextFlow(Flow):
    """A flow that is asked in words."""

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
        known = [word for word in SHOWN if word in self.labels] or list(self.labels[self.shape.get("styles", 0) :][:20])
        bags = torch.cat([wanted_words(word, self.labels, 1) for word in known]).repeat(6, 1)
        return [Made("grid.png", "image/png", png(grid(self.draw(nets["velocity"], bags, Wish()), columns=len(known))))]

    def exports(self, nets: Nets) -> dict[str, Export]:
        """The velocity: (x, t, words)."""
        bags = torch.cat([wanted_words(word, self.labels, 1) for word in self.labels[-2:]])
        return {"velocity": (nets["velocity"], (self.noise(0, 2), torch.tensor([0.3, 0.7]), bags))}

    def evaluate(self, nets: Nets, data: Data, seed: int, home: Path) -> Table:
        """The table of pictures, for prompts of one word in the styles of the training pictures."""
        view = judged_view(data, CLASSES, PICTURES)
        models = {f"{self.config.steps} steps, guidance {self.config.guidance:g}": self.maker_of(nets["velocity"], data, view, seed)}
        return picture_table(view, home, seed, models, self.config.judged, best=min(FIRST, len(view.labels)))

    def maker_of(self, net: nn.Module, data: Data, view: Data, seed: int, steps: int = 0):
        """Classes of the view [N, 1] -> pictures, for a row of the table."""

        def make(classes: Tensor) -> Tensor:
            words = torch.tensor([self.labels.index(view.labels[int(i) - 1]) + 1 for i in classes[:, 0]])[:, None]
            styles = data.train["bags"][:, :1] if self.shape.get("styles") else torch.zeros(1, 1, dtype=torch.int64)
            drawn = styles[torch.randint(len(styles), (len(words),), generator=key(seed, "styles"))]
            return self.draw(net, torch.cat((drawn, words), 1), Wish(seed=seed, steps=steps))

        return make


def judged_view(data: Data, classes: int, pictures: int) -> Data:
    """The pictures that have one of the most frequent words, with the rarest of these as their class.

    Args:
        data: pictures with bags of words.
        classes: how many words.
        pictures: how many of the training pictures, at most.
    """
    first = data.shape.get("styles", 0)
    last = min(first + classes, len(data.labels))

    def part(tensors: dict[str, Tensor], most: int) -> dict[str, Tensor]:
        bags = tensors["bags"]
        rarest = (bags * ((bags > first) & (bags <= last))).amax(1)
        rows = (rarest > 0).nonzero()[:, 0]
        rows = rows[torch.randperm(len(rows), generator=key(0, "view"))[:most]]
        return {"images": tensors["images"][rows], "bags": rarest[rows][:, None] - first}

    return replace(
        data, train=part(data.train, pictures), test=part(data.test, pictures), labels=data.labels[first:last]
    )
