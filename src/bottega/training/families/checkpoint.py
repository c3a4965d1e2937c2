"""A language model as Transformers saves it, adapted by low-rank sums; the merged weights come out in the same format."""

import shutil
import tempfile
from functools import cached_property, lru_cache
from inspect import signature
from pathlib import Path
from typing import Any, Literal, cast

import torch
from pydantic import Field
from torch import Tensor, nn

from bottega.core.errors import ExtraMissing, InvalidValue
from bottega.core.value import JsonObject, Value
from bottega.evaluation.table import CLASSICAL, FLOOR, MODEL, TRIVIAL, Row, Table
from bottega.evaluation.texts import compressed_bits, counted_bits
from bottega.networks import lora
from bottega.networks.noise import key
from bottega.networks.preference import supervised_loss, token_logps
from bottega.storage.disk import disk
from bottega.training.checkpoint import unchanged
from bottega.training.data.base import Data
from bottega.training.data.records import unpacked
from bottega.training.families.tuned import joined, picked
from bottega.training.family import Batch, Export, Family, Made, Nets, Phase, Wish

JUDGED = 20_000  # held-out bytes
MEASURES = {"bits": "bits a byte of held-out text, or of held-out answers; lower is better"}


class CheckpointConfig(Value, frozen=True):
    """The folder, the bytes that its weights had, and how it is adapted."""

    folder: str = Field(description="with config.json, tokenizer.json and *.safetensors; it must stay")
    sha256: dict[str, str] = Field(description="of each safetensors file")
    rank: int = Field(default=8, ge=1, le=1024)
    context: int = Field(default=64, ge=8, le=65536, description="tokens of a line of training")


class Checkpoint(Family[CheckpointConfig]):
    """Any causal language model of Transformers; only safetensors are read, and no code of the folder is run."""

    config_type = CheckpointConfig
    needs = frozenset[str]()

    @classmethod
    def dial(cls, depth: int) -> JsonObject:
        """The checkpoint has its size."""
        return {}

    @classmethod
    def learn_codec(cls, config: CheckpointConfig, data: Data) -> JsonObject:
        """The tokenizer stays in its folder.

        Raises:
            InvalidValue: the data are no texts.
        """
        if "tokens" not in data.train and "prompts" not in data.train:
            raise InvalidValue(
                "a language model needs a text, or prompts with answers",
                where=data.name,
                remedy='give a text file, or a .jsonl file of {"prompt": "...", "answer": "..."}',
            )
        return {}

    @cached_property
    def tokenizer(self) -> Any:
        """The folder's."""
        from tokenizers import Tokenizer

        return Tokenizer.from_file(str(Path(self.config.folder) / "tokenizer.json"))

    def encode(self, text: bytes) -> Tensor:
        """int64 [N], without the marks that the tokenizer would put around it."""
        said = self.tokenizer.encode(text.decode(errors="replace"), add_special_tokens=False)
        return torch.tensor(said.ids, dtype=torch.int64)

    @cached_property
    def settings(self) -> Any:
        """Those of the model, read from the folder; no code from it."""
        try:
            from transformers import AutoConfig
        except ImportError as error:
            raise ExtraMissing(
                "transformers is not installed", remedy="pip install 'bottega[image]'"
            ) from error
        config: Any = AutoConfig
        return config.from_pretrained(self.config.folder, local_files_only=True, trust_remote_code=False)

    def nets(self) -> Nets:
        """The model with random weights; ``start`` or the run's own file fill it."""
        from transformers import AutoModelForCausalLM

        model: Any = AutoModelForCausalLM
        return {"model": model.from_config(self.settings, trust_remote_code=False, dtype=torch.float32)}

    def start(self, nets: Nets) -> None:
        """The checkpoint's weights, frozen, under low-rank sums that are zero."""
        self.before(nets)
        lora.adapt(nets["model"], self.config.rank, embeddings=False)

    def before(self, nets: Nets) -> None:
        """Fill it with the checkpoint's weights.

        Raises:
            InvalidValue: they are gone, or have changed.
        """
        folder = Path(self.config.folder)
        for name, sha256 in self.config.sha256.items():
            unchanged(folder / name, sha256, "checkpoint")
        from transformers import AutoModelForCausalLM

        model: Any = AutoModelForCausalLM
        there = model.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False, use_safetensors=True, dtype=torch.float32
        )
        nets["model"].load_state_dict(there.state_dict())

    def finish(self, nets: Nets) -> None:
        """Merged."""
        lora.merge(nets["model"])

    def leave(self, nets: Nets, folder: Path) -> None:
        """``merged/``: a checkpoint that Transformers reads, with the tokenizer of before."""
        target = folder / "merged"
        with disk(folder):
            temporary = Path(tempfile.mkdtemp(dir=folder, prefix="."))
            try:
                cast(Any, nets["model"]).save_pretrained(temporary)
                for name in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"):
                    if (Path(self.config.folder) / name).is_file():
                        shutil.copy(Path(self.config.folder) / name, temporary / name)
                temporary.chmod(0o755)
                shutil.rmtree(target, ignore_errors=True)
                temporary.replace(target)
            finally:
                shutil.rmtree(temporary, ignore_errors=True)

    def phases(self) -> tuple[Phase, ...]:
        """Predict the next token: of the text, or of the answers."""
        return (Phase("next", "model", self._loss),)

    def _loss(self, nets: Nets, batch: Batch, generator: torch.Generator) -> Tensor:
        tokens, mask = batch
        with torch.random.fork_rng(devices=[]):  # dropout draws from the global generator
            torch.manual_seed(generator.initial_seed())
            return supervised_loss(token_logps(_Logits(nets["model"]), tokens), mask)

    @lru_cache(maxsize=4)  # noqa: B019 - of this family's data, for as long as it trains
    def _lines(self, data: Data, part: Literal["train", "test"]) -> tuple[list[Tensor], list[Tensor]]:
        """Heads that are only read, and tails that are learnt; a text has one tail."""
        tensors = data.train if part == "train" else data.test
        if "prompts" not in tensors:
            return [], [self.encode(bytes(tensors["tokens"].numpy()))]
        end = torch.tensor([self.end], dtype=torch.int64)
        heads = [self.encode(text) for text in unpacked(tensors, "prompts")]
        return heads, [torch.cat((self.encode(text), end)) for text in unpacked(tensors, "answers")]

    @property
    def end(self) -> int:
        """The token that ends an answer: the model's own, or that of a line break."""
        own = getattr(self.settings, "eos_token_id", None)
        own = cast(Any, own[0] if isinstance(own, list) else own)
        return int(own) if own is not None else int(self.encode(b"\n")[-1])

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
                nats -= float((token_logps(_Logits(net), tokens) * mask).sum())
            return nats, size
        said = self.encode(bytes(data.test["tokens"][:JUDGED].numpy()))
        windows = said[: (len(said) - 1) // self.config.context * self.config.context + 1]
        lines = windows.unfold(0, self.config.context + 1, self.config.context)
        nats = -sum(float(token_logps(_Logits(net), part).sum()) for part in torch.split(lines, 16))
        return nats, len(self.tokenizer.decode(windows[1:].tolist()).encode())

    def validate(self, nets: Nets, data: Data, key: torch.Generator) -> float | None:
        """Nats a byte of held-out text."""
        nats, size = self.spent(nets["model"], data)
        return nats / size

    def sample(self, nets: Nets, wish: Wish) -> list[Made]:
        """Text files that begin with the prompt, of at most ``length`` bytes, or tokens, after it.

        Raises:
            InvalidValue: there is no prompt.
        """
        if not wish.prompt:
            raise InvalidValue("no prompt to go on from", where="prompt", remedy="give one")
        begun, made = self.encode(wish.prompt.encode()), list[Made]()
        for i in range(wish.count):
            said = self._written(nets["model"], begun, wish, key(wish.seed, i))
            text = wish.prompt + self.tokenizer.decode(said)
            made.append(Made(f"{i:03d}.txt", "text/plain", text.encode()))
        return made

    def _written(self, net: nn.Module, begun: Tensor, wish: Wish, generator: torch.Generator) -> list[int]:
        from transformers import DynamicCache

        name = "cache" if "cache" in signature(net.forward).parameters else "past_key_values"  # before 5.24
        past: dict[str, Any] = {name: DynamicCache(config=self.settings)}
        tokens, found = begun[None], list[int]()
        with torch.no_grad():
            for _ in range(wish.length):
                logits = net(input_ids=tokens, use_cache=True, **past).logits[0, -1].float()
                chances = (logits / max(wish.temperature, 1e-4)).softmax(-1)
                token = int(torch.multinomial(chances, 1, generator=generator))
                if token == self.end:
                    break
                found.append(token)
                tokens = torch.tensor([[token]])
                if len(self.tokenizer.decode(found).encode()) >= wish.length:
                    break
        return found

    def show(self, nets: Nets) -> list[Made]:
        """What it says after a line break."""
        (made,) = self.sample(nets, Wish(count=1, prompt="\n", length=200, temperature=0.8))
        return [Made("sample.txt", made.media_type, made.data)]

    def exports(self, nets: Nets) -> dict[str, Export]:
        """The model over a full context, without its cache."""
        tokens = torch.randint(
            int(self.settings.vocab_size), (2, self.config.context), generator=key(0, "export")
        )
        return {"model": (_Logits(nets["model"]), (tokens,))}

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
                row(FLOOR, "xz, after the very same text", compressed_bits(train + test, test, "xz")),
                row(TRIVIAL, "how often each byte occurs", counted_bits(train, test, 0)),
                row(CLASSICAL, "counted runs of 6 bytes, Witten-Bell", counted_bits(train, test, 5)),
                model("before", base["model"]),
                model(f"after, rank {self.config.rank}", nets["model"]),
            ),
            notes=(f"{part} of {len(test)} held-out bytes",),
        )


class _Logits(nn.Module):
    """Tokens [B, T] -> logits [B, T, vocabulary]."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, tokens: Tensor) -> Tensor:
        return self.model(input_ids=tokens, use_cache=False).logits
