"""Low-rank adaptation (LoRA, Hu 2022) of any network: its weights stay, and each matrix gets a sum of a few outer products."""

from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from bottega.networks.noise import key


class LowRank(nn.Module):
    """weight + up @ down, as a parametrisation of the weight; ``up`` begins at zero, so that nothing changes at first."""

    def __init__(self, weight: Tensor, rank: int, generator: torch.Generator) -> None:
        super().__init__()
        rows, columns = len(weight), weight[0].numel()
        rank = min(rank, rows, columns)
        self.down = nn.Parameter(torch.randn(rank, columns, generator=generator) * columns**-0.5)
        self.up = nn.Parameter(torch.zeros(rows, rank))

    def forward(self, weight: Tensor) -> Tensor:
        """[rows, ...] -> the same shape."""
        return weight + (self.up @ self.down).view_as(weight)


def adapt(net: nn.Module, rank: int, *, embeddings: bool = True) -> None:
    """Freeze a network and lay a ``LowRank`` over every matrix, convolution and, where wanted, embedding of it.

    Networks that tie their embedding to their last layer as one and the same tensor need ``embeddings=False``.
    """
    tied = (
        {id(m.weight) for m in net.modules() if isinstance(m, nn.Embedding)} if not embeddings else set[int]()
    )
    for parameter in net.parameters():
        parameter.requires_grad_(False)
    layers: dict[str, nn.Module] = dict(cast(Any, net).named_modules())
    for name, layer in layers.items():
        weight = dict(layer.named_parameters(recurse=False)).get("weight")
        if weight is not None and weight.dim() > 1 and id(weight) not in tied:
            low = LowRank(weight, rank, key(0, "lora", name))
            parametrize.register_parametrization(layer, "weight", low)


def merge(net: nn.Module) -> None:
    """Add what was learnt to the weights, and make the network a plain one again."""
    for layer in list(net.modules()):
        if parametrize.is_parametrized(layer, "weight"):
            before = cast(Tensor, cast(Any, layer).parametrizations.weight.original)
            laid = torch.empty_like(
                before
            )  # in the order in which its memory was: sums come out the same when it is loaded
            parametrize.remove_parametrizations(layer, "weight", leave_parametrized=True)
            laid.copy_(cast(Tensor, layer.weight))
            layer.weight = nn.Parameter(laid)
    for parameter in net.parameters():
        parameter.requires_grad_(True)
