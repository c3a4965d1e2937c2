"""What fine-tuned language models share: prompts with answers, a base that they begin as, and the table."""

from collections import Counter
from functools import cached_property, lru_cache
from pathlib import Path
from typing import ClassVar, Literal, cast

import torch
from pydantic import Field
from torch import Tensor

from bottega.core.errors import InvalidValue
from bottega.core.value import JsonObject, Value
from bottega.evaluation.rewards import Reward, nearest_answer, reward
from bottega.evaluation.table import CLASSICAL, FLOOR, MODEL, TRIVIAL, Row, Table
from bottega.networks.noise import key
from bottega.networks.preference import token_logps
from bottega.networks.transformer import Decoder, generate
from bottega.training import checkpoint
from bottega.training.data.base import Data
from bottega.training.data.records import unpacked
from bottega.training.families.lm import Lm, LmConfig
from bottega.training.family import Made, Nets, Wish
from bottega.training.folder import RunFolder
from bottega.training.recipe import Base
from bottega.training.tokenizer import Tokenizer

END = b"\n"  # of an answer
MEASURES = {
    "sampled": "reward of answers at temperature 1: share that holds; higher is better",
    "likeliest": "the same at temperature 0",
    "preferred": "share of held-out pairs whose wanted answer is the likelier one",
}


class TunedConfig(LmConfig, frozen=True):
    """The language model, and what it is held to. Tokenizer and size are those of the base where there is one."""

    base: Base | None = None
    length: int = Field(default=16, ge=1, le=4096, description="tokens of an answer at most")
    reward: Reward = Field(default="answer", description="the record's answer, or any one sentence")
    judged: int = Field(default=400, ge=8, description="held-out prompts that the table is measured on")
    shown: tuple[str, ...] = Field(min_length=1, description="prompts whose answers lie in the run folder")


class Texts(Value, frozen=True):
    """Prompts with their answers, and the unwanted ones, where there are."""

    prompts: list[bytes]
    answers: list[bytes]
    rejected: list[bytes]


class Tuned(Lm):
    """A language model that answers prompts. A family of it adds what it learns from."""

    config_type = TunedConfig
    needs = frozenset({"prompts", "answers"})
    exported = False  # answers are written from the cache
    needs_base: ClassVar[bool] = True

    @property
    def how(self) -> TunedConfig:
        """The config, as what it is."""
        return cast(TunedConfig, self.config)

    @classmethod
    def learn_codec(cls, config: LmConfig, data: Data) -> JsonObject:
        """The base's; without one, merges of prompts and answers.

        Raises:
            InvalidValue: it needs a base and has none.
        """
        base = cast(TunedConfig, config).base
        if cls.needs_base and not base:
            raise InvalidValue(
                "it needs a trained language model to begin with", where="from", remedy="give --from RUN"
            )
        if base:
            return RunFolder(Path(base.weights).parent).config().codec
        text = bytes(torch.cat([data.train["prompts"], data.train["answers"]]).numpy())
        return Tokenizer.learn(text, config.vocabulary).codec

    @cached_property
    def reference(self) -> Nets:
        """The base's networks.

        Raises:
            InvalidValue: it is gone, or no longer the one that the run was begun with.
        """
        told = self.how.base
        assert told is not None
        path = checkpoint.unchanged(Path(told.weights), told.sha256)
        nets = self.nets()
        checkpoint.load_nets(nets, checkpoint.read(path), "net", told.weights)
        return nets

    def start(self, nets: Nets) -> None:
        """Begin as the base is."""
        if self.how.base:
            nets["decoder"].load_state_dict(self.reference["decoder"].state_dict())

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
        return joined(
            [self.tokenizer.encode(prompt) for prompt in prompts],
            [self.tokenizer.encode(answer + END) for answer in answers],
        )

    def attempts(
        self, net: Decoder, prompts: list[Tensor], generator: torch.Generator, temperature: float = 1.0
    ) -> list[Tensor]:
        """The tokens that it says to each prompt, up to the one that ends a line, or ``length`` of them."""
        found = list(prompts)
        device = next(net.parameters()).device
        for length in sorted({len(each) for each in prompts}):  # prompts of one length go together, unpadded
            places = [place for place, each in enumerate(prompts) if len(each) == length]
            begun = torch.stack([prompts[place] for place in places]).to(device)
            said = generate(net, begun, self.how.length, generator, temperature).cpu()
            over = self.ends[said].int().cumsum(1)
            kept = (over - self.ends[said].int() == 0).sum(1)  # all before the first end, and that
            for place, line, size in zip(places, said, cast(list[int], kept.tolist()), strict=True):
                found[place] = line[:size]
        return found

    @cached_property
    def ends(self) -> Tensor:
        """Which tokens end a line: [vocabulary]."""
        return torch.tensor([END in token for token in self.tokenizer.tokens])

    def answers(
        self, net: Decoder, prompts: list[bytes], generator: torch.Generator, temperature: float = 1.0
    ) -> list[bytes]:
        """What it says to each prompt, as text."""
        asked = [self.tokenizer.encode(prompt) for prompt in prompts]
        return [self.text(said) for said in self.attempts(net, asked, generator, temperature)]

    def text(self, tokens: Tensor) -> bytes:
        """The bytes of tokens [T]."""
        return self.tokenizer.decode(cast(list[int], tokens.tolist()))

    def rewards(self, said: list[bytes], answers: list[bytes]) -> list[float]:
        """1 or 0 for each; an answer without an end within the length is none."""
        return [
            reward(self.how.reward, text.partition(END)[0], answer) if END in text else 0.0
            for text, answer in zip(said, answers, strict=True)
        ]

    def mean_reward(self, net: Decoder, texts: Texts, count: int, seed: int, temperature: float) -> float:
        """Over the first prompts of a split."""
        said = self.answers(net, texts.prompts[:count], key(seed, "answers"), temperature)
        found = self.rewards(said, texts.answers[:count])
        return sum(found) / len(found)

    def sample(self, nets: Nets, wish: Wish) -> list[Made]:
        """Answers to the prompt, each a text file of its own.

        Raises:
            InvalidValue: there is no prompt.
        """
        if not wish.prompt:
            raise InvalidValue("no prompt to answer", where="prompt", remedy="give one")
        prompt, net = wish.prompt.encode(), cast(Decoder, nets["decoder"])
        said = [
            self.answers(net, [prompt], key(wish.seed, i), wish.temperature)[0] for i in range(wish.count)
        ]
        return [
            Made(f"{i:03d}.txt", "text/plain", prompt + text.partition(END)[0] + END)
            for i, text in enumerate(said)
        ]

    def show(self, nets: Nets) -> list[Made]:
        """Four answers to each of the prompts that the recipe shows."""
        net, lines = cast(Decoder, nets["decoder"]), b""
        for prompt in [shown.encode() for shown in self.how.shown for _ in range(4)]:
            (said,) = self.answers(net, [prompt], key(0, "show", len(lines)))
            lines += prompt + said.partition(END)[0] + END
        return [Made("answers.txt", "text/plain", lines)]

    def evaluate(self, nets: Nets, data: Data, seed: int, home: Path) -> Table:
        """Rewards on held-out prompts, beside what needs no network, and beside the base."""
        train, test = self.texts(data, "train"), self.texts(data, "test")
        count = min(self.how.judged, len(test.prompts))
        asked, wanted = test.prompts[:count], test.answers[:count]

        def fixed(kind: str, what: str, said: list[bytes]) -> Row:
            found = self.rewards([text + END for text in said], wanted)
            share = sum(found) / count
            return Row(kind=kind, what=what, values={"sampled": share, "likeliest": share})

        def model(what: str, net: Decoder) -> Row:
            values = {
                "sampled": self.mean_reward(net, test, count, seed, 1.0),
                "likeliest": self.mean_reward(net, test, count, seed, 0.0),
            }
            if test.rejected:
                sides = (wanted, test.rejected[:count])
                good, bad = (self.whole(net, *self.lines(asked, side)) for side in sides)
                values["preferred"] = float((good > bad).float().mean())
            return Row(kind=MODEL, what=what, values=values)

        usual = Counter(train.answers).most_common(1)[0][0]
        before = (
            [model("before, the base", cast(Decoder, self.reference["decoder"]))] if self.how.base else []
        )
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
                *before,
                model("after", cast(Decoder, nets["decoder"])),
            ),
            notes=(f"{count} held-out prompts; reward: {self.how.reward}",),
        )

    def whole(self, net: torch.nn.Module, tokens: Tensor, mask: Tensor) -> Tensor:
        """Log-probability of each answer: [B]."""
        return (token_logps(net, tokens) * mask).sum(1)


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
