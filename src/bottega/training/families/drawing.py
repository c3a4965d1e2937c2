"""A language model over vector drawings: words and a style, then the drawing's tokens."""

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple, cast

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from bottega.core.errors import InvalidValue
from bottega.core.value import JsonObject, Value
from bottega.drawing.alphabet import BEGIN, PAD, SIZE, decode
from bottega.drawing.copies import Bits
from bottega.drawing.sampler import How, Network, sample
from bottega.drawing.shapes import svg
from bottega.drawing.words import needed
from bottega.evaluation.drawings import MEASURES, counted_bits, inked, judged, rows_of, signatures, word_judge
from bottega.evaluation.table import CLASSICAL, FLOOR, MODEL, TRIVIAL, Row, Table
from bottega.networks.judge import Judge
from bottega.networks.transformer import Decoder, told_loss
from bottega.training.data.base import Data
from bottega.training.family import Batch, Export, Family, Made, Nets, Phase, Wish

ALIKE = 512  # drawings of about the same length, from which a batch is drawn
USUAL = 32  # tokens: of a batch as large as the recipe says; of longer drawings it has fewer
JUDGED = 40  # training drawings that a word needs for the judge to know it
JUDGE_STEPS = 1500
SHOWN = (
    "outline house", "outline coffee cup", "outline arrow right circle", "outline calendar check",
    "outline user plus", "outline cloud rain", "filled heart", "filled star", "filled folder lock",
    "outline bicycle", "outline camera off", "filled phone", "outline file search", "outline tree",
    "filled bell", "outline shopping cart",
)  # fmt: skip


class DrawingConfig(Value, frozen=True):
    """The size of the transformer, and how it is sampled by default."""

    width: int = Field(default=128, ge=8, le=8192, multiple_of=8)
    layers: int = Field(default=4, ge=1, le=128)
    heads: int = Field(default=4, ge=1, le=128)
    drop: float = Field(default=0.1, ge=0, lt=1, description="share of drawings learnt without their words")
    guidance: float = Field(default=1.5, ge=1, le=20, description="over 1 goes beyond the words")
    judged: int = Field(default=400, ge=8, description="drawings that the table is measured on")


class DrawingLm(Family[DrawingConfig]):
    """The next token of a drawing from its words and the tokens before it."""

    config_type = DrawingConfig
    needs = frozenset({"drawings", "bags"})

    @classmethod
    def dial(cls, depth: int) -> JsonObject:
        """One layer and one head of 32 numbers a step of depth."""
        return {"width": 32 * depth, "layers": depth, "heads": depth}

    def nets(self) -> Nets:
        """One decoder, that reads labels and says only tokens of drawings."""
        config = self.config
        return {"decoder": Decoder(SIZE + len(self.labels), config.width, config.layers, config.heads, SIZE)}

    def phases(self) -> tuple[Phase, ...]:
        """Predict the next token of the drawing."""
        return (Phase("next", "decoder", lambda nets, batch, _: told_loss(nets["decoder"], *batch)),)

    @lru_cache(maxsize=2)  # noqa: B019 - of this family's data, for as long as it trains
    def _by_length(self, data: Data) -> tuple[Tensor, Tensor]:
        """Training drawings from the shortest to the longest, and how many tokens they have up to each."""
        lengths = (data.train["drawings"] != PAD).sum(1)
        order = torch.argsort(lengths, stable=True)
        return order, lengths[order].cumsum(0)

    def batch(self, data: Data, size: int, key: torch.Generator) -> Batch:
        """Drawings of about one length: tokens [B, T], and what comes after each [B, T]."""
        order, sums = self._by_length(data)
        token = torch.randint(int(sums[-1]), (1,), generator=key)
        middle = int(torch.searchsorted(sums, token, right=True))
        alike = order[max(0, middle - ALIKE // 2) : middle + ALIKE // 2]
        longest = int((data.train["drawings"][alike[-1]] != PAD).sum())
        rows = max(1, size * USUAL // longest)
        pick = alike[torch.randint(len(alike), (rows,), generator=key)]
        dropped = torch.rand(rows, generator=key) < self.config.drop
        return _told(data.train["bags"][pick], data.train["drawings"][pick], dropped)

    def validate(self, nets: Nets, data: Data, key: torch.Generator) -> float | None:
        """Nats a token of the first held-out drawings."""
        bags, drawings = data.test["bags"][:256], data.test["drawings"][:256]
        return float(
            told_loss(nets["decoder"], *_told(bags, drawings, torch.zeros(len(bags), dtype=torch.bool)))
        )

    def network(self, nets: Nets) -> Network:
        """The sampler's copy of the decoder."""
        state = cast(Decoder, nets["decoder"]).state_dict()
        return Network({name: weight.numpy() for name, weight in state.items()}, self.config.heads)

    def sample(self, nets: Nets, wish: Wish) -> list[Made]:
        """SVG files of the prompt's words."""
        prompt = needed(wish.prompt, self.labels).prompt
        how = How(temperature=wish.temperature, guidance=wish.guidance or self.config.guidance)
        seeds = [wish.seed + i for i in range(wish.count)]
        made = sample(self.network(nets), [prompt] * wish.count, how, seeds)
        return [
            Made(f"{i:03d}.svg", "image/svg+xml", svg(decode(each.tokens), title=wish.prompt).encode())
            for i, each in enumerate(made)
        ]

    def show(self, nets: Nets) -> list[Made]:
        """One drawing for each prompt of a fixed list, as far as its words are known."""
        prompts: dict[str, list[int]] = {}
        for text in SHOWN:
            try:
                prompts[text] = needed(text, self.labels).prompt
            except InvalidValue:
                continue
        if not prompts:  # other words than those of the shipped recipe
            prompts = {text: needed(text, self.labels).prompt for text in self.labels[2:8]}
        made = (
            sample(self.network(nets), list(prompts.values()), How(), range(len(prompts))) if prompts else []
        )
        return [
            Made(
                f"{i:02d}-{text.replace(' ', '-')}.svg",
                "image/svg+xml",
                svg(decode(each.tokens), title=text).encode(),
            )
            for i, (text, each) in enumerate(zip(prompts, made, strict=True))
        ]

    def evaluate(self, nets: Nets, data: Data, seed: int, home: Path) -> Table:
        """Whether drawings parse, show something, are recognised and are new; bits a token."""
        styles, (train, known, words, judge) = 2, judge_of(data, home)
        place, asked_for = judged_places(data.test["bags"], words, self.config.judged)
        bags, held = data.test["bags"][place], rows_of(data.test["drawings"][place])
        rng = np.random.default_rng(seed)
        same = [np.flatnonzero((data.train["bags"][:, 0] == 1 + style).numpy()) for style in range(styles)]
        prompted = cast(list[list[int]], bags.tolist())
        random = [train[int(rng.choice(same[bag[0] - 1]))] for bag in prompted]
        fitting = [train[place] for place in _fitting(data, bags)]
        prompts = [[label for label in bag if label] for bag in prompted]
        seeds = [seed * 1_000_003 + place for place in range(len(prompts))]
        network, how = self.network(nets), How(guidance=self.config.guidance)
        free = sample(network, prompts, replace(how, masked=False), seeds)
        held_to = sample(network, prompts, how, seeds)
        several = [
            sample(network, prompts, how, [other * 7_919 + each for each in seeds]) for other in (1, 2, 3)
        ]
        best = [max(few, key=lambda each: each.fit) for few in zip(held_to, *several, strict=True)]

        def row(kind: str, what: str, rows: Sequence[Sequence[int]], **more: float) -> Row:
            return Row(kind=kind, what=what, values={**judged(rows, asked_for, judge, known), **more})

        loss = float(
            told_loss(nets["decoder"], *_told(bags, data.test["drawings"][place], torch.zeros(len(bags)) > 0))
        )
        return Table(
            measures=MEASURES,
            rows=(
                row(FLOOR, "the held-out drawings themselves", held),
                row(TRIVIAL, "any training drawing of the style; how often each token occurs", random, bits=counted_bits(train, held, 1)),
                row(CLASSICAL, "the training drawing whose words fit best; counted runs of 4 tokens", fitting, bits=counted_bits(train, held, 4)),
                row(MODEL, "without the grammar", [each.tokens for each in free]),
                row(MODEL, "under the grammar", [each.tokens for each in held_to]),
                row(MODEL, "under the grammar, the likeliest of 4", [each.tokens for each in best], bits=loss / math.log(2)),
            ),
            notes=(
                f"{len(bags)} prompts of held-out drawings; no training drawing has the same words; seed {seed}",
                f"the judge knows {len(words)} words and has seen the training drawings",
                "a training drawing is by definition not new",
            ),
        )  # fmt: skip

    def exports(self, nets: Nets) -> dict[str, Export]:
        """The decoder over 64 tokens, without its cache."""
        tokens = torch.arange(128).view(2, 64) + SIZE // 2
        return {"decoder": (nets["decoder"], (tokens,))}


class Judging(NamedTuple):
    """Rows of the training drawings, their signatures [N, 4], labels that the judge knows, and the judge."""

    train: list[list[int]]
    known: Bits
    words: list[int]
    judge: Judge


def judge_of(data: Data, home: Path) -> Judging:
    """The judge of a data set's drawings, of words that have enough of them; trained once, and kept."""
    train = rows_of(data.train["drawings"])
    inks = inked([decode(row) for row in train])
    counts = torch.bincount(data.train["bags"][:, 1:].flatten().long(), minlength=len(data.labels) + 1)
    words = [label for label in range(3, len(data.labels) + 1) if int(counts[label]) >= JUDGED]
    steps = min(JUDGE_STEPS, 50 + len(train) // 15)
    kept = home / "data" / "judges" / f"{data.sha256[:16]}-words-{len(words)}-{steps}.safetensors"
    judge = word_judge(inks, _renamed(data.train["bags"], words), len(words), kept, steps)
    return Judging(train, signatures(inks), words, judge)


def judged_places(bags: Tensor, words: Sequence[int], most: int) -> tuple[Tensor, Tensor]:
    """The first rows of ``bags`` with a word that the judge knows [N], and these words as the judge counts them [N, W]."""
    told = _renamed(bags, words)
    place = told.sum(1).nonzero()[:most, 0]
    return place, told[place]


def _renamed(bags: Tensor, words: Sequence[int]) -> Tensor:
    """Labels [N, W] as places in ``words`` from 1; 0 for the style and for words that are not among them."""
    table = torch.zeros(max(int(bags.max()), max(words, default=0)) + 1, dtype=torch.int64)
    table[list(words)] = torch.arange(1, len(words) + 1)
    return table[bags[:, 1:].long()]


def _fitting(data: Data, bags: Tensor) -> list[int]:
    """For each prompt the training drawing of its style whose words fit best: cosine of rarity-weighted words."""
    labels = max(int(data.train["bags"].max()), int(bags.max())) + 1

    def spread(given: Tensor) -> Tensor:
        return torch.zeros(len(given), labels).scatter_(1, given.long(), 1.0)

    known = spread(data.train["bags"])
    rarity = torch.log(len(known) / (1 + known.sum(0)))
    rarity[0], rarity[1:3] = 0.0, 10.0  # the style must fit
    known = torch.nn.functional.normalize(known * rarity, dim=1)
    best = (torch.nn.functional.normalize(spread(bags) * rarity, dim=1) @ known.T).argmax(1)
    return cast(list[int], best.tolist())


def _told(bags: Tensor, drawings: Tensor, dropped: Tensor) -> Batch:
    """Prompts and drawings as rows of tokens, and what comes after each; words are left out of the rows ``dropped``."""
    rows: list[list[int]] = []
    begins: list[int] = []
    told = cast(list[list[int]], bags.tolist())
    for bag, drawing, alone in zip(told, drawings.numpy(), cast(list[bool], dropped.tolist()), strict=True):
        labels = [SIZE + label - 1 for label in (bag[:1] if alone else bag) if label]
        rows.append([*labels, BEGIN, *drawing[: int(np.count_nonzero(drawing != PAD))].tolist()])
        begins.append(len(labels))
    wide = max(map(len, rows))
    whole = torch.tensor([[*row, *[PAD] * (wide - len(row))] for row in rows])
    tokens, targets = whole[:, :-1], whole[:, 1:].clone()
    read = torch.arange(wide - 1)[None] < torch.tensor(begins)[:, None]
    targets[read | (targets == PAD)] = -100
    return tokens, targets
