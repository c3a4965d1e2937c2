"""A language model as Transformers saves it that learns a text, or the answers to prompts (supervised fine-tuning)."""

from functools import lru_cache
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from bottega.core.errors import InvalidValue
from bottega.core.value import JsonObject
from bottega.evaluation.table import MODEL, Row, Table
from bottega.evaluation.texts import known_bits
from bottega.networks.preference import supervised_loss, token_logps
from bottega.training.data.base import Data
from bottega.training.data.records import unpacked
from bottega.training.families.answering import joined, picked
from bottega.training.families.checkpoint import Checkpoint, CheckpointConfig, Logits
from bottega.training.family import Batch, Nets, Phase

JUDGED = 20_000  # held-out bytes
MEASURES = {"bits": "bits a byte of held-out text, or of held-out answers; lower is better"}


class CheckpointText(Checkpoint):
    """Says what the text, or the answers, say."""

    needs = frozenset[str]()

    @classmethod
    def learn_codec(cls, config: CheckpointConfig, data: Data) -> JsonObject:
        """Nothing.

        Raises:
            InvalidValue: the data are no texts; and all that a checkpoint raises.
        """
        if "tokens" not in data.train and "prompts" not in data.train:
            raise InvalidValue(
                "a language model needs a text, or prompts with answers",
                where=data.name,
                remedy='give a text file, or a .jsonl file of {"prompt": "...", "answer": "..."}',
            )
        return super().learn_codec(config, data)

    def phases(self) -> tuple[Phase, ...]:
        """Predict the next token: of the text, or of the answers."""
        return (Phase("next", "model", self._loss),)

    def _loss(self, nets: Nets, batch: Batch, generator: torch.Generator) -> Tensor:
        tokens, mask = batch
        with torch.random.fork_rng(devices=[]):  # dropout draws from the global generator
            torch.manual_seed(generator.initial_seed())
            return supervised_loss(token_logps(Logits(nets["model"]), tokens), mask)

    @lru_cache(maxsize=4)  # noqa: B019 - of this family's data, for as long as it trains
    def _lines(self, data: Data, part: Literal["train", "test"]) -> tuple[list[Tensor], list[Tensor]]:
        """Heads that are only read, and tails that are learnt; a text has one tail."""
        tensors = data.train if part == "train" else data.test
        if "prompts" not in tensors:
            return [], [self.encode(bytes(tensors["tokens"].numpy()))]
        end = torch.tensor([self.end], dtype=torch.int64)
        heads = [self.encode(text) for text in unpacked(tensors, "prompts")]
        return heads, [torch.cat((self.encode(text), end)) for text in unpacked(tensors, "answers")]

    def batch(self, data: Data, size: int, key: torch.Generator) -> Batch:
        """Tokens [B, T] and what of them is learnt, [B, T - 1]."""
        heads, tails = self._lines(data, "train")
        if heads:
            pick = picked(len(heads), size, key)
            return joined([heads[i] for i in pick], [tails[i] for i in pick])
        length = min(self.config.context, len(tails[0]) - 2) + 1
        starts = torch.randint(len(tails[0]) - length, (size,), generator=key)
        tokens = tails[0][starts[:, None] + torch.arange(length)]
        return tokens, torch.ones(size, length - 1)

    def spent(self, net: nn.Module, data: Data) -> tuple[float, int]:
        """Nats of held-out text, and how many bytes it has."""
        heads, tails = self._lines(data, "test")
        if heads:
            count = min(200, len(heads))
            size = sum(map(len, unpacked(data.test, "answers")[:count]))
            parts = [(heads[i : i + 20], tails[i : i + 20]) for i in range(0, count, 20)]
            nats = 0.0
            for tokens, mask in (joined(*part) for part in parts):
                nats -= float((token_logps(Logits(net), tokens) * mask).sum())
            return nats, size
        said = self.encode(bytes(data.test["tokens"][:JUDGED].numpy()))
        windows = said[: (len(said) - 1) // self.config.context * self.config.context + 1]
        lines = windows.unfold(0, self.config.context + 1, self.config.context)
        nats = -sum(float(token_logps(Logits(net), part).sum()) for part in torch.split(lines, 16))
        return nats, len(self.tokenizer.decode(windows[1:].tolist()).encode())

    def validate(self, nets: Nets, data: Data, key: torch.Generator) -> float | None:
        """Nats a byte of held-out text."""
        nats, size = self.spent(nets["model"], data)
        return nats / size

    def evaluate(self, nets: Nets, data: Data, seed: int, home: Path) -> Table:
        """Bits a byte before and after, beside a compressor and counted models that have seen the training text."""
        part = "tokens" if "tokens" in data.train else "answers"
        train, test = bytes(data.train[part].numpy()), bytes(data.test[part].numpy())[:JUDGED]
        base = self.nets()
        self.before(base)

        def row(kind: str, what: str, bits: float) -> Row:
            return Row(kind=kind, what=what, values={"bits": bits})

        def model(what: str, net: nn.Module) -> Row:
            nats, size = self.spent(net.eval(), data)
            return row(MODEL, what, nats / size / torch.log(torch.tensor(2.0)).item())

        return Table(
            measures=MEASURES,
            rows=(
                *(row(*each) for each in known_bits(train, test)),
                model("before", base["model"]),
                model(f"after, rank {self.config.rank}", nets["model"]),
            ),
            notes=(f"{part} of {len(test)} held-out bytes",),
        )
