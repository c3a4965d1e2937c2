"""Texts as vectors: those of a description and of its synopsis shall be near to each other, and far from all others."""

import json
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Literal, cast

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from bottega.core.errors import InvalidValue
from bottega.core.value import JsonObject, Value
from bottega.evaluation.retrieval import bm25_scores, recalls, tf_idf_scores
from bottega.evaluation.table import CLASSICAL, FLOOR, MODEL, TRIVIAL, Row, Table
from bottega.networks.embedder import SentenceEncoder
from bottega.networks.noise import key
from bottega.training.data.base import Data
from bottega.training.data.records import unpacked
from bottega.training.family import Batch, Export, Family, Made, Nets, Phase, Wish
from bottega.training.words import Words

DEPTHS = {"recall@1": 1, "recall@10": 10}
MEASURES = {
    "recall@1": "share of held-out answers whose own prompt is found first among all held-out ones",
    "recall@10": "the same, among the first ten",
}


class EmbedderConfig(Value, frozen=True):
    """The words, the size, how much of a text is read, and how long it only fills masks."""

    vocabulary: int = Field(
        default=16384, ge=256, le=2**20, description="words; a quarter is for unknown ones"
    )
    width: int = Field(default=128, ge=8, le=8192, multiple_of=8)
    layers: int = Field(
        default=0, ge=0, le=128, description="of attention; without, a text is a bag of words"
    )
    heads: int = Field(default=4, ge=1, le=128)
    buckets: int = Field(
        default=4096, ge=1, le=2**20, description="numbers of a vector that are hashed counts of words"
    )
    near: int = Field(
        default=1,
        ge=1,
        le=4096,
        description="neighbours in the data that stand in a batch together, because they are hard to tell apart",
    )
    drop: float = Field(
        default=0.2, ge=0, lt=1, description="share of a prompt's words that are left out while it learns"
    )
    context: int = Field(default=160, ge=8, le=8192, description="words; what a text has more is not read")
    pretraining: float = Field(default=0.0, ge=0, lt=1, description="share of the steps that only fill masks")
    masks: float = Field(default=0.15, gt=0, lt=1, description="share of words that are hidden")
    judged: int = Field(default=100_000, ge=8, description="held-out pairs that the table is measured on")


class Embedder(Family[EmbedderConfig]):
    """One network for prompts and answers."""

    config_type = EmbedderConfig
    needs = frozenset({"prompts", "answers"})

    @classmethod
    def dial(cls, depth: int) -> JsonObject:
        """128 numbers and two heads a step of depth."""
        return {"width": 128 * depth, "heads": 2 * depth}

    @classmethod
    def learn_codec(cls, config: EmbedderConfig, data: Data) -> JsonObject:
        """The words of prompts, and how rare each is."""
        return Words.learn(unpacked(data.train, "prompts"), config.vocabulary).codec

    @cached_property
    def words(self) -> Words:
        """Those of the run."""
        return Words(self.codec)

    def nets(self) -> Nets:
        """One encoder."""
        config = self.config
        size = (self.words.size, config.width, config.layers, config.heads, config.buckets)
        return {"encoder": SentenceEncoder(*size, self.words.rarity)}

    def tokens(self, texts: list[bytes]) -> Tensor:
        """int64 [N, context], padded."""
        return self.words.rows(texts, self.config.context)

    @lru_cache(maxsize=4)  # noqa: B019 - of this family's data, for as long as it trains
    def _pairs(self, data: Data, part: Literal["train", "test"]) -> tuple[Tensor, Tensor]:
        tensors = data.train if part == "train" else data.test
        one, other = (self.tokens(unpacked(tensors, name)) for name in ("prompts", "answers"))
        return one, other

    def phases(self) -> tuple[Phase, ...]:
        """Fill masks, where there are layers to learn it; then tell pairs from others."""
        turn = self.config.pretraining
        return (
            Phase("masked", "encoder", self._masked, 0.0, turn),
            Phase("pair", "encoder", self._paired, turn, 1.0),
        )

    def _paired(self, nets: Nets, batch: Batch, generator: torch.Generator) -> Tensor:
        prompts, answers = batch
        kept = torch.rand(prompts.shape, generator=generator) >= self.config.drop
        kept[:, 0] = True  # of every prompt something
        return _net(nets).loss(prompts.masked_fill(~kept.to(prompts.device), self.words.size), answers)

    def _masked(self, nets: Nets, batch: Batch, generator: torch.Generator) -> Tensor:
        return _net(nets).encoder.masked_loss(batch[0], self.config.masks, generator)

    def batch(self, data: Data, size: int, key: torch.Generator) -> Batch:
        """Tokens of prompts [B, T] and of answers [B, S], cut to the longest."""
        sides = self._pairs(data, "train")
        near = min(self.config.near, size)
        starts = torch.randperm(len(sides[0]) // near, generator=key)[: -(-size // near)] * near
        pick = (starts[:, None] + torch.arange(near)).flatten()[
            :size
        ]  # none twice: it would be its own negative
        return tuple(self._cut(side[pick]) for side in sides)

    def _cut(self, tokens: Tensor) -> Tensor:
        return tokens[:, : int((tokens != self.words.size).sum(1).max())]

    def validate(self, nets: Nets, data: Data, key: torch.Generator) -> float | None:
        """The loss on the first held-out pairs."""
        one, other = self._pairs(data, "test")
        return float(_net(nets).loss(one[:512], other[:512]))

    def vectors(self, nets: Nets, tokens: Tensor) -> Tensor:
        """[N, context] -> [N, width + buckets]."""
        return torch.cat([nets["encoder"](self._cut(part)) for part in torch.split(tokens, 256)]).detach()

    def sample(self, nets: Nets, wish: Wish) -> list[Made]:
        """One JSON file with the vector of every line of the prompt, and the cosines between them.

        Raises:
            InvalidValue: there is no text.
        """
        texts = [line.encode() for line in wish.prompt.splitlines() if line.strip()]
        if not texts:
            raise InvalidValue("no text to embed", where="prompt", remedy="give a text, or one a line")
        found = F.normalize(self.vectors(nets, self.tokens(texts)), dim=-1)
        told: JsonObject = {
            "texts": [text.decode(errors="replace") for text in texts],
            "cosines": _rounded(found @ found.T, 4),
            "vectors": _rounded(found, 5),
        }
        return [Made("vectors.json", "application/json", json.dumps(told).encode() + b"\n")]

    def show(self, nets: Nets) -> list[Made]:
        """Three texts, of which two are alike."""
        return self.sample(nets, Wish(prompt="web server\nfast server for HTTP\nfonts for Arabic"))

    def exports(self, nets: Nets) -> dict[str, Export]:
        """Texts of full length to vectors."""
        tokens = torch.randint(self.words.size, (2, self.config.context), generator=key(0, "export"))
        return {"encoder": (nets["encoder"], (tokens,))}

    def evaluate(self, nets: Nets, data: Data, seed: int, home: Path) -> Table:
        """Recall among all held-out prompts, beside words counted by TF-IDF and BM25."""
        judged = self.config.judged
        prompts, answers = (unpacked(data.test, name)[:judged] for name in ("prompts", "answers"))
        known, asked = (self.vectors(nets, side[:judged]) for side in self._pairs(data, "test"))

        def row(kind: str, what: str, found: list[float]) -> Row:
            return Row(kind=kind, what=what, values=dict(zip(DEPTHS, found, strict=True)))

        depths = tuple(DEPTHS.values())
        own = (asked * known).sum(1, keepdim=True)
        ranks = torch.cat(
            [
                (part @ known.T >= mine).sum(1)
                for part, mine in zip(torch.split(asked, 256), torch.split(own, 256), strict=True)
            ]
        )
        chance = [min(1.0, depth / len(prompts)) for depth in depths]
        config = self.config
        return Table(
            measures=MEASURES,
            rows=(
                row(FLOOR, "the answers' own prompts", [1.0] * len(depths)),
                row(TRIVIAL, "chance", chance),
                row(CLASSICAL, "TF-IDF, cosine", recalls(tf_idf_scores(prompts), answers, depths)),
                row(CLASSICAL, "BM25", recalls(bm25_scores(prompts), answers, depths)),
                row(
                    MODEL,
                    f"{config.width} + {config.buckets} numbers a text, {config.layers} layers, {self.words.size} words",
                    [float((ranks <= depth).float().mean()) for depth in depths],
                ),
            ),
            notes=(
                f"{len(prompts)} held-out pairs",
                "the classical rows count words in the held-out prompts",
            ),
        )


def _rounded(numbers: Tensor, places: int) -> list[list[float]]:
    lines = cast(list[list[float]], numbers.tolist())
    return [[round(number, places) for number in line] for line in lines]


def _net(nets: Nets) -> SentenceEncoder:
    return cast(SentenceEncoder, nets["encoder"])
