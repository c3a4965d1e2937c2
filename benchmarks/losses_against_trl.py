"""Our losses of fine-tuning beside TRL's own functions, on the same batch of the same network: values and gradients.

TRL is no dependency. It needs ``datasets`` beside it; into a folder of its own, without another torch:

    pip install --target DIR --no-deps trl datasets pyarrow xxhash dill multiprocess pandas python-dateutil six
    PYTHONPATH=DIR python benchmarks/losses_against_trl.py
"""

from collections import defaultdict
from importlib import import_module
from types import SimpleNamespace
from typing import Any
from unittest.mock import MagicMock

import torch
from torch import Tensor, nn

from bottega.networks.noise import key
from bottega.networks.preference import advantages, dpo_loss, grpo_loss, token_logps
from bottega.networks.transformer import Decoder

trl: Any = import_module("trl")
PAIRS, TOKENS, PROMPT, WORDS = 6, 12, 4, 50


class Told(nn.Module):
    """Our network, answering as TRL asks: log-probabilities of the tokens whose labels count."""

    is_gradient_checkpointing = False

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, input_ids: Tensor, labels: Tensor, **_: Any) -> SimpleNamespace:
        logps = self.net(input_ids).log_softmax(-1)[:, :-1].gather(-1, input_ids[:, 1:, None])[..., 0]
        kept = labels[:, 1:] != -100
        nothing = torch.zeros_like(logps)
        shown = {"entropy": nothing, "mean_logits": nothing, "is_top1": kept}  # for its log only
        return SimpleNamespace(log_probs=logps * kept, loss=torch.tensor(0.0), aux_loss=None, **shown)


def trainer(**settings: Any) -> MagicMock:
    """What a loss of TRL reads of its trainer: the settings given; the rest is for its log."""
    made = MagicMock(**settings)
    made.accelerator.device = torch.device("cpu")
    made.accelerator.num_processes = 1
    made.accelerator.gather_for_metrics = made.accelerator.gather = torch.clone
    made._metrics = {"train": defaultdict(list), "eval": defaultdict(list)}
    made.aux_loss_enabled = made.use_vllm = made.use_adaptive_entropy = False
    return made


def random_net(seed: int) -> Decoder:
    """A decoder whose layers are not at zero."""
    net = Decoder(WORDS, 32, 2, 2)
    for place, weight in enumerate(net.parameters()):
        nn.init.normal_(weight, std=0.2, generator=key(seed, place))
    return net


def dpo(net: Decoder, reference: Decoder) -> tuple[Tensor, Tensor]:
    """TRL's loss and ours."""
    tokens = torch.randint(1, WORDS, (2 * PAIRS, TOKENS), generator=key(0, "tokens"))
    ends = torch.randint(PROMPT + 3, TOKENS + 1, (2 * PAIRS, 1), generator=key(0, "ends"))
    place = torch.arange(TOKENS)
    mask = ((place >= PROMPT) & (place < ends)).long()
    theirs = trainer(beta=0.1, ld_alpha=None, precompute_ref_logps=False, f_divergence_type="reverse_kl")
    theirs.loss_types, theirs.loss_weights, theirs.label_smoothing = ["sigmoid"], [1.0], 0.0
    theirs.use_weighting, theirs._total_train_tokens = False, 0
    theirs.model, theirs.ref_model = Told(net), Told(reference)
    batch = {"input_ids": tokens, "attention_mask": torch.ones_like(tokens), "completion_mask": mask}

    def whole(model: Decoder) -> tuple[Tensor, Tensor]:
        chosen, rejected = (token_logps(model, tokens) * mask[:, 1:]).sum(1).chunk(2)
        return chosen, rejected

    with torch.no_grad():
        before = whole(reference)
    loss: Tensor = trl.DPOTrainer._compute_loss(theirs, theirs.model, batch, False)
    return loss, dpo_loss(*whole(net), before, 0.1)


def grpo(net: Decoder, reference: Decoder) -> tuple[Tensor, Tensor]:
    """TRL's loss with the divergence as in the paper (``use_bias_correction_kl`` off), and ours."""
    tokens = torch.randint(1, WORDS, (2 * PAIRS, TOKENS), generator=key(1, "tokens"))
    ends = torch.randint(2, TOKENS - PROMPT + 1, (2 * PAIRS, 1), generator=key(1, "ends"))
    mask = (torch.arange(TOKENS - PROMPT) < ends).long()
    found = torch.bernoulli(torch.full((3, 4), 0.5), generator=key(1, "rewards"))
    gains = advantages(found).flatten()
    theirs = trainer(beta=0.04, loss_type="grpo", importance_sampling_level="token", top_entropy_quantile=1.0)
    theirs.epsilon_low = theirs.epsilon_high = 0.2
    theirs.off_policy_mask_threshold = theirs.args.delta = None
    theirs.args.use_bias_correction_kl, theirs.current_gradient_accumulation_steps = False, 1
    theirs.entropy_coef = theirs._last_world_entropy = theirs.args.entropy_target = 0.0

    def said(model: Decoder) -> Tensor:
        return token_logps(model, tokens)[:, PROMPT - 1 :]

    with torch.no_grad():
        before = said(reference)
    theirs._get_per_token_logps_and_entropies.return_value = (said(net), torch.zeros(mask.shape), None)
    batch = {
        "prompt_ids": tokens[:, :PROMPT],
        "prompt_mask": torch.ones(2 * PAIRS, PROMPT),
        "completion_ids": tokens[:, PROMPT:],
        "completion_mask": mask,
        "advantages": gains,
        "ref_per_token_logps": before,
        "num_items_in_batch": mask.sum(),
    }
    loss: Tensor = trl.GRPOTrainer._compute_loss(theirs, net, batch)
    return loss, grpo_loss(said(net), before, gains, mask.float(), 0.04)


def main() -> None:
    """Print both, and end with an error where they differ by more than 1e-5."""
    net, reference = random_net(0), random_net(1)
    for name, losses in (("DPO", dpo(net, reference)), ("GRPO", grpo(net, reference))):
        slopes = [torch.autograd.grad(loss, list(net.parameters())) for loss in losses]
        apart = max(float((a - b).abs().max()) for a, b in zip(*slopes, strict=True))
        theirs, ours = (float(loss.detach()) for loss in losses)
        print(f"{name}: TRL {trl.__version__} {theirs:.8f}, ours {ours:.8f}; gradients differ by {apart:.1e}")
        assert abs(theirs - ours) < 1e-5 and apart < 1e-5


if __name__ == "__main__":
    main()
