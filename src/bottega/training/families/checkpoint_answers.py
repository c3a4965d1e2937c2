"""A language model as Transformers saves it that learns from preference (DPO) or from rewards (GRPO); its base is itself, unadapted."""

from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from bottega.core.value import JsonObject
from bottega.networks import lora
from bottega.networks.noise import key
from bottega.networks.preference import token_logps
from bottega.training.data.base import Data
from bottega.training.data.records import unpacked
from bottega.training.families.answering import Answering, AnsweringConfig, in_lengths
from bottega.training.families.checkpoint import Checkpoint, CheckpointConfig, Logits
from bottega.training.families.dpo import Preferring, PreferringConfig
from bottega.training.families.grpo import Rewarded, RewardedConfig
from bottega.training.family import Made, Nets

SHOWN = 4  # held-out prompts whose answers lie in the run folder


class CheckpointAnswering(Checkpoint, Answering[CheckpointConfig]):
    """A checkpoint as one that answers prompts, up to its own end of a text."""

    @property
    def held(self) -> AnsweringConfig:
        """The config, as what it is."""
        return cast(AnsweringConfig, self.config)

    @classmethod
    def learn_codec(cls, config: CheckpointConfig, data: Data) -> JsonObject:
        """The prompts that it is shown with."""
        prompts = unpacked(data.test, "prompts")[:SHOWN]
        shown: list[str] = [prompt.decode(errors="replace") for prompt in prompts]
        return {**super().learn_codec(config, data), "shown": list(shown)}

    def closed(self, answer: bytes) -> Tensor:
        """Ended by the model's own token."""
        return torch.cat((self.encode(answer), torch.tensor([self.end])))

    def answer(self, tokens: Tensor) -> bytes | None:
        """What stands before the end, where there is one."""
        said = cast(list[int], tokens.tolist())
        return self.tokenizer.decode(said[: said.index(self.end)]).encode() if self.end in said else None

    def logps(self, net: nn.Module, tokens: Tensor) -> Tensor:
        """By the model's logits."""
        return token_logps(Logits(net), tokens)

    def known(self, nets: Nets, tokens: Tensor) -> Tensor:
        """By the same network without what it has learnt."""
        with lora.off(nets["model"]), torch.no_grad():
            return self.logps(nets["model"], tokens)

    def base_net(self) -> nn.Module:
        """The checkpoint, read again."""
        base = self.nets()
        self.before(base)
        return base["model"]

    def attempts(
        self, net: nn.Module, prompts: list[Tensor], generator: torch.Generator, temperature: float = 1.0
    ) -> list[Tensor]:
        """By the checkpoint's own ``generate``, from its cache."""
        from transformers import GenerationConfig

        drawn = {"do_sample": True, "temperature": temperature, "top_k": 0, "top_p": 1.0}
        how = GenerationConfig(
            max_new_tokens=self.held.length,
            eos_token_id=self.end,
            pad_token_id=self.end,
            **(drawn if temperature else {"do_sample": False}),
        )
        found, device = list(prompts), next(net.parameters()).device
        with torch.random.fork_rng(devices=[]), torch.no_grad(), parametrize.cached():  # sums are added once
            torch.manual_seed(generator.initial_seed())  # generate draws from the global generator
            for places in in_lengths(prompts):
                begun = torch.stack([prompts[place] for place in places]).to(device)
                read = torch.ones_like(begun)
                whole: Tensor = cast(Any, net).generate(begun, attention_mask=read, generation_config=how)
                for place, line in zip(places, whole[:, begun.shape[1] :].cpu(), strict=True):
                    ends = (line == self.end).nonzero()[:1, 0]
                    found[place] = line[: int(ends[0]) + 1] if len(ends) else line
        return found

    def show(self, nets: Nets) -> list[Made]:
        """Two answers to each of some held-out prompts."""
        text = b""
        for prompt in [each for each in cast(list[str], self.codec["shown"]) for _ in range(2)]:
            begun = self.encode(prompt.encode())
            (said,) = self.attempts(nets["model"], [begun], key(0, "show", len(text)))
            text += prompt.encode() + self.tokenizer.decode(said.tolist()).encode() + b"\n"
        return [Made("answers.txt", "text/plain", text)]


class CheckpointDpoConfig(PreferringConfig, CheckpointConfig, frozen=True):
    """Of a checkpoint."""


class CheckpointDpo(Preferring[CheckpointConfig], CheckpointAnswering):
    """Prefers what is wanted, more than it did."""

    config_type = CheckpointDpoConfig


class CheckpointGrpoConfig(RewardedConfig, CheckpointConfig, frozen=True):
    """Of a checkpoint."""


class CheckpointGrpo(Rewarded[CheckpointConfig], CheckpointAnswering):
    """Says more often what was rewarded."""

    config_type = CheckpointGrpoConfig
