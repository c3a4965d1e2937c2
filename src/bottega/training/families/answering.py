"""What families that answer prompts share: records, rewards and the table; DPO and GRPO lay their losses over them."""

from abc import abstractmethod
from collections import Counter
from functools import lru_cache
from pathlib import Path
from typing import ClassVar, Literal, TypeVar, cast

import torch
from pydantic import Field
from torch import Tensor, nn

from bottega.core.value import Value
from bottega.evaluation.rewards import Reward, nearest_answer, reward
from bottega.evaluation.table import CLASSICAL, FLOOR, MODEL, TRIVIAL, Row, Table
from bottega.networks.noise import key
from bottega.networks.preference import token_logps
from bottega.training.data.base import Data
from bottega.training.data.records import unpacked
from bottega.training.family import Family, Nets

C = TypeVar("C", bound=Value)
MEASURES = {
    "sampled": "reward of answers at temperature 1: share that holds; higher is better",
    "likeliest": "the same at temperature 0",
    "preferred": "share of held-out pairs whose wanted answer is the likelier one",
}


class AnsweringConfig(Value, frozen=True):
    """What answers are held to."""

    length: int = Field(default=16, ge=1, le=4096, description="tokens of an answer at most")
    reward: Reward = Field(default="answer", description="the record's answer, or any one sentence")
    judged: int = Field(default=400, ge=8, description="held-out prompts that the table is measured on")


class Texts(Value, frozen=True):
    """Prompts with their answers, and the unwanted ones, where there are."""

    prompts: list[bytes]
    answers: list[bytes]
    rejected: list[bytes]


class Answering(Family[C]):
    """A language model that answers prompts. A kind of it adds how tokens are made; a family, what it learns from."""

    needs = frozenset({"prompts", "answers"})
    net: ClassVar[str]
    """The language model's name among the networks."""

    @property
    @abstractmethod
    def held(self) -> AnsweringConfig:
        """What answers are held to."""

    @abstractmethod
    def encode(self, text: bytes) -> Tensor:
        """The tokens of a text, int64 [T]."""

    @abstractmethod
    def closed(self, answer: bytes) -> Tensor:
        """The tokens of an answer with its end, int64 [T]."""

    @abstractmethod
    def answer(self, tokens: Tensor) -> bytes | None:
        """The answer that tokens [T] are, without its end; none where they have no end."""

    @abstractmethod
    def attempts(
        self, net: nn.Module, prompts: list[Tensor], generator: torch.Generator, temperature: float = 1.0
    ) -> list[Tensor]:
        """The tokens that it says to each prompt, up to the end of the answer, or ``length`` of them."""

    @abstractmethod
    def known(self, nets: Nets, tokens: Tensor) -> Tensor:
        """What the base gave each token of [B, T] after the first while ``nets`` are trained: [B, T - 1]."""

    @abstractmethod
    def base_net(self) -> nn.Module | None:
        """The base, for the table; none where it began from nothing."""

    def logps(self, net: nn.Module, tokens: Tensor) -> Tensor:
        """Log-probability of each token of [B, T] after the first: [B, T - 1]."""
        return token_logps(net, tokens)

    def whole(self, net: nn.Module, tokens: Tensor, mask: Tensor) -> Tensor:
        """Log-probability of each answer: [B]."""
        return (self.logps(net, tokens) * mask).sum(1)

    @lru_cache(maxsize=4)  # noqa: B019 - of this family's data, for as long as it trains
    def texts(self, data: Data, part: Literal["train", "test"]) -> Texts:
        """The records of a split."""
        tensors = data.train if part == "train" else data.test
        rejected = unpacked(tensors, "rejected") if "rejected" in tensors else []
        return Texts(
            prompts=unpacked(tensors, "prompts"), answers=unpacked(tensors, "answers"), rejected=rejected
        )

    def lines(self, prompts: list[bytes], answers: list[bytes]) -> tuple[Tensor, Tensor]:
        """Tokens [B, T] of prompts with answers and their ends, and a mask [B, T - 1] of what is answer."""
        return joined([self.encode(each) for each in prompts], [self.closed(each) for each in answers])

    def rewards(self, said: list[bytes | None], answers: list[bytes]) -> list[float]:
        """1 or 0 for each; an answer without an end within the length is none."""
        return [
            0.0 if text is None else reward(self.held.reward, text, answer)
            for text, answer in zip(said, answers, strict=True)
        ]

    def mean_reward(self, net: nn.Module, texts: Texts, count: int, seed: int, temperature: float) -> float:
        """Over the first prompts of a split."""
        asked = [self.encode(prompt) for prompt in texts.prompts[:count]]
        said = self.attempts(net, asked, key(seed, "answers"), temperature)
        found = self.rewards([self.answer(each) for each in said], texts.answers[:count])
        return sum(found) / len(found)

    def evaluate(self, nets: Nets, data: Data, seed: int, home: Path) -> Table:
        """Rewards on held-out prompts, beside what needs no network, and beside the base."""
        train, test = self.texts(data, "train"), self.texts(data, "test")
        count = min(self.held.judged, len(test.prompts))
        asked, wanted = test.prompts[:count], test.answers[:count]

        def fixed(kind: str, what: str, said: list[bytes]) -> Row:
            share = sum(self.rewards(list(said), wanted)) / count
            return Row(kind=kind, what=what, values={"sampled": share, "likeliest": share})

        def model(what: str, net: nn.Module) -> Row:
            values = {
                "sampled": self.mean_reward(net, test, count, seed, 1.0),
                "likeliest": self.mean_reward(net, test, count, seed, 0.0),
            }
            if test.rejected:
                sides = (wanted, test.rejected[:count])
                good, bad = (self.whole(net, *self.lines(asked, side)) for side in sides)
                values["preferred"] = float((good > bad).float().mean())
            return Row(kind=MODEL, what=what, values=values)

        usual, base = Counter(train.answers).most_common(1)[0][0], self.base_net()
        return Table(
            measures={k: v for k, v in MEASURES.items() if test.rejected or k != "preferred"},
            rows=(
                fixed(FLOOR, "the records' own answers", wanted),
                fixed(TRIVIAL, "the most frequent answer", [usual] * count),
                fixed(
                    CLASSICAL,
                    "the answer of the training prompt most alike",
                    [nearest_answer(each, train.prompts, train.answers) for each in asked],
                ),
                *([model("before, the base", base.eval())] if base else []),
                model("after", nets[self.net]),
            ),
            notes=(f"{count} held-out prompts; reward: {self.held.reward}",),
        )


def in_lengths(prompts: list[Tensor]) -> list[list[int]]:
    """Places of prompts of one length each: they go through a network together, unpadded."""
    sizes = sorted({len(each) for each in prompts})
    return [[place for place, each in enumerate(prompts) if len(each) == size] for size in sizes]


def joined(heads: list[Tensor], tails: list[Tensor]) -> tuple[Tensor, Tensor]:
    """Tokens [B, T] of each head and tail, padded at the end, and a mask [B, T - 1] of the tails, as predicted."""
    tokens = ragged([torch.cat(pair) for pair in zip(heads, tails, strict=True)])
    place = torch.arange(1, tokens.shape[1])[None]
    begins = torch.tensor([[len(head)] for head in heads])
    ends = begins + torch.tensor([[len(tail)] for tail in tails])
    return tokens, ((place >= begins) & (place < ends)).float()


def ragged(parts: list[Tensor]) -> Tensor:
    """[B, longest], padded with 0 at the ends, which no token before them sees."""
    return torch.nn.utils.rnn.pad_sequence(parts, batch_first=True)


def picked(count: int, size: int, key: torch.Generator) -> list[int]:
    """``size`` places below ``count``."""
    return cast(list[int], torch.randint(count, (size,), generator=key).tolist())
