"""An encoder-only transformer: it first learns a language by filling masks, then to tell the class of a text."""

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
from bottega.evaluation.labels import TfIdf, accuracy, logistic_regression, macro_f1, nearest_centroid
from bottega.evaluation.table import CLASSICAL, FLOOR, MODEL, TRIVIAL, Row, Table
from bottega.networks.encoder import Classifier
from bottega.networks.noise import key
from bottega.training.data.base import Data
from bottega.training.data.records import unpacked
from bottega.training.family import Batch, Export, Family, Made, Nets, Phase, Wish
from bottega.training.tokenizer import Tokenizer

READ = 4_000_000  # bytes that the merges are learnt from
MEASURES = {
    "accuracy": "share of held-out texts whose class is told right; higher is better",
    "F1": "of each class, averaged, so that rare ones count as much; higher is better",
}


class EncoderConfig(Value, frozen=True):
    """The tokenizer, the size of the transformer, how much of a text it reads, and how long it only fills masks."""

    vocabulary: int = Field(default=4096, ge=256, le=65536, description="tokens; 256 takes bytes as they are")
    width: int = Field(default=128, ge=8, le=8192, multiple_of=8)
    layers: int = Field(default=2, ge=1, le=128)
    heads: int = Field(default=4, ge=1, le=128)
    context: int = Field(default=48, ge=8, le=8192, description="tokens that are read in depth")
    glance: int = Field(default=128, ge=8, le=8192, description="tokens that are read at all")
    pairs: int = Field(default=16384, ge=1, le=2**24, description="hashes of neighbours, for the glance")
    pretraining: float = Field(default=0.3, ge=0, lt=1, description="share of the steps that only fill masks")
    masks: float = Field(default=0.3, gt=0, lt=1, description="share of tokens that are hidden")
    judged: int = Field(default=100_000, ge=8, description="held-out texts that the table is measured on")


class TextEncoder(Family[EncoderConfig]):
    """Texts to classes."""

    config_type = EncoderConfig
    needs = frozenset({"texts", "classes"})

    @classmethod
    def dial(cls, depth: int) -> JsonObject:
        """One layer and two heads of 32 numbers a step of depth."""
        return {"width": 64 * depth, "layers": depth, "heads": 2 * depth}

    @classmethod
    def learn_codec(cls, config: EncoderConfig, data: Data) -> JsonObject:
        """The merges of a byte-pair encoding."""
        return Tokenizer.learn(bytes(data.train["texts"][:READ].numpy()), config.vocabulary).codec

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """That of the run."""
        return Tokenizer(self.codec)

    def tokens(self, texts: list[bytes]) -> Tensor:
        """int64 [N, glance], padded."""
        return self.tokenizer.rows(texts, self.config.glance)

    @lru_cache(maxsize=4)  # noqa: B019 - of this family's data, for as long as it trains
    def _tokens(self, data: Data, part: Literal["train", "test"]) -> Tensor:
        return self.tokens(unpacked(data.train if part == "train" else data.test, "texts"))

    def nets(self) -> Nets:
        """One body with two heads."""
        config = self.config
        return {
            "encoder": Classifier(
                self.tokenizer.size,
                config.width,
                config.layers,
                config.heads,
                self.shape["classes"],
                config.context,
                config.pairs,
            )
        }

    def phases(self) -> tuple[Phase, ...]:
        """Fill masks; then tell classes."""
        turn = self.config.pretraining
        return (
            Phase("masked", "encoder", self._masked, 0.0, turn),
            Phase("class", "encoder", self._class, turn, 1.0),
        )

    def _masked(self, nets: Nets, batch: Batch, generator: torch.Generator) -> Tensor:
        return cast(Classifier, nets["encoder"]).masked_loss(
            batch[0][:, : self.config.context], self.config.masks, generator
        )

    def _class(self, nets: Nets, batch: Batch, _: torch.Generator) -> Tensor:
        tokens, classes = batch
        return F.cross_entropy(nets["encoder"](tokens), classes)

    def batch(self, data: Data, size: int, key: torch.Generator) -> Batch:
        """Tokens [B, T], cut to the longest text of the batch, and classes [B]."""
        tokens = self._tokens(data, "train")
        pick = torch.randint(len(tokens), (size,), generator=key)
        picked = tokens[pick]
        longest = int((picked != self.tokenizer.size).sum(1).max())
        return picked[:, :longest], data.train["classes"][pick]

    def validate(self, nets: Nets, data: Data, key: torch.Generator) -> float | None:
        """Nats a class on the first held-out texts; none before there is a class to tell."""
        net = cast(Classifier, nets["encoder"])
        if not net.head.weight.any():
            return None
        return float(F.cross_entropy(net(self._tokens(data, "test")[:512]), data.test["classes"][:512]))

    def told(self, nets: Nets, texts: list[bytes]) -> list[JsonObject]:
        """Label and shares of each text, the five largest."""
        shares = cast(Tensor, nets["encoder"](self.tokens(texts))).softmax(-1).detach()
        found: list[JsonObject] = []
        for text, line in zip(texts, shares, strict=True):
            best = cast(list[int], line.argsort(descending=True)[:5].tolist())
            found.append(
                {
                    "text": text.decode(errors="replace"),
                    "label": self.labels[best[0]],
                    "shares": {self.labels[i]: round(float(line[i]), 4) for i in best},
                }
            )
        return found

    def sample(self, nets: Nets, wish: Wish) -> list[Made]:
        """One JSON file with the label of every line of the prompt.

        Raises:
            InvalidValue: there is no text to tell the class of.
        """
        texts = [line.encode() for line in wish.prompt.splitlines() if line.strip()]
        if not texts:
            raise InvalidValue("no text to classify", where="prompt", remedy="give a text, or one a line")
        return [self._file(nets, texts)]

    def show(self, nets: Nets) -> list[Made]:
        """What it takes the mere name of each label for."""
        return [self._file(nets, [label.encode() for label in self.labels])]

    def _file(self, nets: Nets, texts: list[bytes]) -> Made:
        told = json.dumps(self.told(nets, texts), indent=2)
        return Made("labels.json", "application/json", told.encode() + b"\n")

    def exports(self, nets: Nets) -> dict[str, Export]:
        """The classifier over full texts."""
        tokens = torch.randint(self.tokenizer.size, (2, self.config.glance), generator=key(0, "export"))
        return {"encoder": (nets["encoder"], (tokens,))}

    def evaluate(self, nets: Nets, data: Data, seed: int, home: Path) -> Table:
        """Accuracy beside TF-IDF with two classifiers, which learn from all training texts."""
        judged = self.config.judged
        train, test = unpacked(data.train, "texts"), unpacked(data.test, "texts")[:judged]
        classes, true = data.train["classes"], data.test["classes"][:judged]
        vectors = TfIdf(train)
        known, asked = vectors(train), vectors(test)
        read = self._tokens(data, "test")[:judged]
        mine = torch.cat([nets["encoder"](read[i : i + 256]).argmax(-1) for i in range(0, len(read), 256)])

        def row(kind: str, what: str, said: Tensor) -> Row:
            return Row(
                kind=kind, what=what, values={"accuracy": accuracy(said, true), "F1": macro_f1(said, true)}
            )

        return Table(
            measures=MEASURES,
            rows=(
                row(FLOOR, "the labels themselves", true),
                row(
                    TRIVIAL,
                    "the most frequent class",
                    torch.full_like(true, int(classes.bincount().argmax())),
                ),
                row(CLASSICAL, "TF-IDF, nearest centroid", nearest_centroid(known, classes, asked)),
                row(CLASSICAL, "TF-IDF, logistic regression", logistic_regression(known, classes, asked)),
                row(MODEL, f"{self.tokenizer.size} tokens, context {self.config.context}", mine),
            ),
            notes=(
                f"{len(test)} held-out texts, {len(self.labels)} classes",
                f"the classical rows read the whole text, the model {self.config.glance} tokens, in depth the first {self.config.context}",
            ),
        )
