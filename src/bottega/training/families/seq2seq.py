"""A text into another: an encoder-decoder that first learns both to read by filling hidden spans (T5), then the task."""

from functools import cached_property, lru_cache
from pathlib import Path
from typing import Literal, cast

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from bottega.core.errors import InvalidValue
from bottega.core.value import JsonObject, Value
from bottega.evaluation.overlap import chrf, first_sentence, rouge_l
from bottega.evaluation.retrieval import nearest_texts, tf_idf_scores
from bottega.evaluation.table import CLASSICAL, FLOOR, MODEL, TRIVIAL, Row, Table
from bottega.networks.encoder_decoder import EncoderDecoder, corrupted, write
from bottega.networks.noise import key
from bottega.training.data.base import Data
from bottega.training.data.records import unpacked
from bottega.training.family import Batch, Export, Family, Made, Nets, Phase, Wish
from bottega.training.tokenizer import Tokenizer

SPANS, HIDDEN, SPAN = 16, 0.15, 3  # marks, share of tokens, tokens a span: those of T5
APART = 2  # no run of so many tokens is written twice
MEASURES = {
    "ROUGE-L": "F1 of the longest common subsequence of words with the answer that was held out; higher is better",
    "chrF": "F2 of runs of 1 to 6 letters, 0 to 100; higher is better",
    "exact": "share of answers that are the one that was held out, letter by letter",
}


class Seq2SeqConfig(Value, frozen=True):
    """The tokenizer, the size of both halves, how much is read and written, and how long it only fills spans."""

    vocabulary: int = Field(default=4096, ge=256, le=65536, description="tokens; 256 takes bytes as they are")
    width: int = Field(default=128, ge=8, le=8192, multiple_of=8)
    layers: int = Field(default=2, ge=1, le=128, description="of each half")
    heads: int = Field(default=4, ge=1, le=128)
    context: int = Field(
        default=64, ge=8, le=8192, description="tokens that are read: the beginning and the last third"
    )
    length: int = Field(default=24, ge=2, le=4096, description="tokens that are written at most")
    pretraining: float = Field(default=0.2, ge=0, lt=1, description="share of the steps that fill spans")
    judged: int = Field(default=1000, ge=8, description="held-out texts that the table is measured on")
    shown: tuple[str, ...] = Field(default=(), description="texts whose answers lie in the run folder")


class Seq2Seq(Family[Seq2SeqConfig]):
    """Prompts to answers."""

    config_type = Seq2SeqConfig
    needs = frozenset({"prompts", "answers"})

    @classmethod
    def dial(cls, depth: int) -> JsonObject:
        """One layer of each half and two heads of 32 numbers a step of depth."""
        return {"width": 64 * depth, "layers": depth, "heads": 2 * depth}

    @classmethod
    def learn_codec(cls, config: Seq2SeqConfig, data: Data) -> JsonObject:
        """The merges of prompts and answers together."""
        return Tokenizer.learn_pairs(data.train["prompts"], data.train["answers"], config.vocabulary).codec

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """That of the run."""
        return Tokenizer(self.codec)

    def nets(self) -> Nets:
        """Both halves in one."""
        config = self.config
        size = (self.tokenizer.size, config.width, config.layers, config.heads)
        return {"writer": EncoderDecoder(*size, SPANS)}

    def read(self, text: bytes) -> Tensor:
        """Tokens of a text; of a long one the beginning and, for a third, the end."""
        near = 4 * self.config.context  # bytes: more are never read, and tokens of them need not be known
        tokens = self.tokenizer.encode(text if len(text) <= 2 * near else text[:near] + text[-near:])
        if len(tokens) <= self.config.context:
            return tokens
        last = self.config.context // 3
        return torch.cat((tokens[: self.config.context - last], tokens[-last:]))

    @lru_cache(maxsize=4)  # noqa: B019 - of this family's data, for as long as it trains
    def _pairs(self, data: Data, part: Literal["train", "test"]) -> tuple[list[Tensor], list[Tensor]]:
        tensors = data.train if part == "train" else data.test
        end = torch.tensor([self.tokenizer.size + 1])
        answers = [self.tokenizer.encode(text) for text in unpacked(tensors, "answers")]
        targets = [torch.cat((end, tokens[: self.config.length - 1], end)) for tokens in answers]
        return [self.read(text) for text in unpacked(tensors, "prompts")], targets

    def padded(self, texts: list[Tensor]) -> Tensor:
        """[B, longest]."""
        return pad_sequence(texts, batch_first=True, padding_value=self.tokenizer.size)

    def phases(self) -> tuple[Phase, ...]:
        """Fill spans of prompts; then write answers."""
        turn = self.config.pretraining
        return (
            Phase("spans", "writer", lambda nets, batch, _: _loss(nets, batch[2:]), 0.0, turn),
            Phase("answer", "writer", lambda nets, batch, _: _loss(nets, batch[:2]), turn, 1.0),
        )

    def batch(self, data: Data, size: int, key: torch.Generator) -> Batch:
        """Sources [B, S] and targets [B, T] of the task, then of the spans hidden in those sources."""
        sources, targets = self._pairs(data, "train")
        pick = cast(list[int], torch.randint(len(sources), (size,), generator=key).tolist())
        pad = self.tokenizer.size
        hidden = [corrupted(sources[i], pad, SPANS, HIDDEN, SPAN, key) for i in pick]
        parts = (
            [sources[i] for i in pick],
            [targets[i] for i in pick],
            *map(list, zip(*hidden, strict=True)),
        )
        return tuple(self.padded(part) for part in parts)

    def validate(self, nets: Nets, data: Data, key: torch.Generator) -> float | None:
        """Nats a token of the first held-out answers; few at a time, because the odds of every word take much memory."""
        sources, targets = (side[:256] for side in self._pairs(data, "test"))
        nats = 0.0
        for part in (slice(i, i + 32) for i in range(0, len(targets), 32)):
            tokens = sum(len(target) - 1 for target in targets[part])
            nats += tokens * float(_loss(nets, (self.padded(sources[part]), self.padded(targets[part]))))
        return nats / sum(len(target) - 1 for target in targets)

    def answers(self, nets: Nets, texts: list[bytes], wish: Wish) -> list[bytes]:
        """What it writes for each text, 100 at a time; the texts of like length go together."""
        net, read = cast(EncoderDecoder, nets["writer"]), [self.read(text) for text in texts]
        found = [b""] * len(texts)
        order = sorted(range(len(texts)), key=lambda i: len(read[i]))
        for part in (order[i : i + 100] for i in range(0, len(order), 100)):
            source = self.padded([read[i] for i in part])
            said = write(net, source, self.config.length, key(wish.seed, part[0]), wish.temperature, APART)
            for i, line in zip(part, said, strict=True):
                found[i] = self.tokenizer.decode(cast(list[int], line[line < net.words].tolist()))
        return found

    def sample(self, nets: Nets, wish: Wish) -> list[Made]:
        """One text file: an answer to every line of the prompt; every file is drawn anew unless the temperature is 0.

        Raises:
            InvalidValue: there is no text.
        """
        texts = [line.encode() for line in wish.prompt.splitlines() if line.strip()]
        if not texts:
            raise InvalidValue("no text to read", where="prompt", remedy="give a text, or one a line")
        found: list[Made] = []
        for i in range(wish.count):
            said = self.answers(nets, texts, wish.model_copy(update={"seed": wish.seed + i}))
            found.append(Made(f"{i:03d}.txt", "text/plain", b"\n".join(said) + b"\n"))
        return found

    def show(self, nets: Nets) -> list[Made]:
        """The likeliest answers to the texts that the recipe shows."""
        texts = [text.encode() for text in self.config.shown]
        said = self.answers(nets, texts, Wish(temperature=0)) if texts else []
        lines = [text + b"\n  -> " + answer + b"\n" for text, answer in zip(texts, said, strict=True)]
        return [Made("answers.txt", "text/plain", b"".join(lines))]

    def exports(self, nets: Nets) -> dict[str, Export]:
        """What is read once, and the step of writing: (source, its memory, target)."""
        net, config = cast(EncoderDecoder, nets["writer"]), self.config
        source = torch.randint(net.words, (2, config.context), generator=key(0, "export"))
        target = torch.randint(net.words, (2, config.length), generator=key(0, "export", "target"))
        reader, writer = _Reads(net), _Writes(net)
        return {
            "reader": (reader, (source,)),
            "writer": (writer, (source, net.encode(source).detach(), target)),
        }

    def evaluate(self, nets: Nets, data: Data, seed: int, home: Path) -> Table:
        """Overlap with held-out answers, beside the first sentence, and the answer of the prompt most alike."""
        judged = self.config.judged
        asked, wanted = (unpacked(data.test, name)[:judged] for name in ("prompts", "answers"))
        train, known = unpacked(data.train, "prompts"), unpacked(data.train, "answers")
        alike = nearest_texts(tf_idf_scores(train), asked)

        def row(kind: str, what: str, said: list[bytes]) -> Row:
            mine, theirs = ([text.decode(errors="replace") for text in side] for side in (said, wanted))
            values = {
                "ROUGE-L": sum(map(rouge_l, mine, theirs)) / len(mine),
                "chrF": chrf(mine, theirs),
                "exact": sum(a == b for a, b in zip(said, wanted, strict=True)) / len(mine),
            }
            return Row(kind=kind, what=what, values=values)

        lead = [first_sentence(text.decode(errors="replace")).encode() for text in asked]
        config = self.config
        return Table(
            measures=MEASURES,
            rows=(
                row(FLOOR, "the records' own answers", wanted),
                row(TRIVIAL, "the first sentence that is read, as it stands", lead),
                row(
                    CLASSICAL,
                    "the answer of the training text most alike (TF-IDF)",
                    [known[i] for i in alike],
                ),
                row(
                    MODEL,
                    f"{config.layers} + {config.layers} layers, the likeliest word each time",
                    self.answers(nets, asked, Wish(temperature=0)),
                ),
            ),
            notes=(f"{len(asked)} held-out texts; the model reads {config.context} tokens of each",),
        )


def _loss(nets: Nets, batch: Batch) -> Tensor:
    return cast(EncoderDecoder, nets["writer"]).loss(*batch)


class _Reads(nn.Module):
    """[B, S] -> memory."""

    def __init__(self, net: EncoderDecoder) -> None:
        super().__init__()
        self.net = net

    def forward(self, source: Tensor) -> Tensor:
        return self.net.encode(source)


class _Writes(nn.Module):
    """Source [B, S], memory [B, S, width], target [B, T] -> log-probabilities [B, T, vocabulary]."""

    def __init__(self, net: EncoderDecoder) -> None:
        super().__init__()
        self.net = net

    def forward(self, source: Tensor, memory: Tensor, target: Tensor) -> Tensor:
        return self.net.write(source, memory, self.net.read(memory), target)
