"""A language model as Transformers saves it, adapted by low-rank sums; the merged weights come out in the same format."""

import shutil
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from functools import cached_property
from inspect import signature
from pathlib import Path
from typing import Any, cast

import torch
from pydantic import Field
from safetensors import SafetensorError
from torch import Tensor, nn

from bottega.core.errors import ExtraMissing, InvalidValue
from bottega.core.value import JsonObject
from bottega.networks.noise import key
from bottega.storage.disk import whole_folder
from bottega.training import adapters
from bottega.training.checkpoint import read
from bottega.training.data.base import Data
from bottega.training.families.saved import Saved, SavedConfig
from bottega.training.family import Export, Made, Nets, Wish
from bottega.training.folder import RunFolder


class CheckpointConfig(SavedConfig, frozen=True):
    """A folder with config.json and tokenizer.json, and how much of a text is read."""

    context: int = Field(default=64, ge=8, le=65536, description="tokens of a line of training")


class Checkpoint(Saved[CheckpointConfig]):
    """Any causal language model of Transformers; only safetensors are read, and no code of the folder is run.

    A family of it adds what it learns from.
    """

    config_type = CheckpointConfig
    net = "model"

    @classmethod
    def learn_codec(cls, config: CheckpointConfig, data: Data) -> JsonObject:
        """The tokenizer stays in its folder.

        Raises:
            InvalidValue: it is no language model of Transformers, or has none of the layers wanted.
        """
        with torch.device("meta"):
            adapters.chosen(cls(config, {}, (), {}).nets()["model"], config.modules, config.folder)
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
            from transformers.utils import logging
        except ImportError as error:
            raise ExtraMissing(
                "transformers is not installed", remedy="pip install 'bottega[image]'"
            ) from error
        config: Any = AutoConfig
        cast(Any, logging).disable_progress_bar()
        with self._readable():
            return config.from_pretrained(self.config.folder, local_files_only=True, trust_remote_code=False)

    @contextmanager
    def _readable(self) -> Generator[None]:
        try:
            yield
        except (OSError, ValueError, RuntimeError, SafetensorError) as error:
            raise InvalidValue(
                f"not a language model that Transformers reads: {str(error).splitlines()[0]}",
                where=self.config.folder,
                remedy="give a folder as save_pretrained writes it, with safetensors and no code of its own",
            ) from error

    def nets(self) -> Nets:
        """The model with random weights; ``start`` or the run's own file fill it."""
        settings = self.settings
        from transformers import AutoModelForCausalLM

        model: Any = AutoModelForCausalLM
        with self._readable():
            return {"model": model.from_config(settings, trust_remote_code=False, dtype=torch.float32)}

    def weights(self) -> Mapping[str, Tensor]:
        """As Transformers reads them."""
        from transformers import AutoModelForCausalLM

        model: Any = AutoModelForCausalLM
        with self._readable():
            there = model.from_pretrained(
                self.config.folder,
                local_files_only=True,
                trust_remote_code=False,
                use_safetensors=True,
                dtype=torch.float32,
            )
        return there.state_dict()

    def leave(self, nets: Nets, folder: Path) -> None:
        """``merged/``: a checkpoint that Transformers reads, with the tokenizer of before; ``adapter/``: what PEFT reads."""
        with whole_folder(folder / "merged") as merged:
            cast(Any, nets["model"]).save_pretrained(merged)
            for name in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"):
                if (Path(self.config.folder) / name).is_file():
                    shutil.copy(Path(self.config.folder) / name, merged / name)
        state = read(RunFolder(folder).training_file)
        with whole_folder(folder / "adapter") as adapter:
            for name, data in adapters.files(
                nets["model"], state, self.config.rank, self.config.folder
            ).items():
                (adapter / name).write_bytes(data)

    @property
    def end(self) -> int:
        """The token that ends an answer: the model's own, or that of a line break."""
        own = getattr(self.settings, "eos_token_id", None)
        own = cast(Any, own[0] if isinstance(own, list) else own)
        return int(own) if own is not None else int(self.encode(b"\n")[-1])

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
        return {"model": (Logits(nets["model"]), (tokens,))}


class Logits(nn.Module):
    """Tokens [B, T] -> logits [B, T, vocabulary]."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, tokens: Tensor) -> Tensor:
        """What the model says, without its cache."""
        return self.model(input_ids=tokens, use_cache=False).logits
