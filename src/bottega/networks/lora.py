"""Low-rank adaptation (LoRA, Hu 2022) of any network: its weights stay, and each matrix gets a sum of a few outer products."""

from collections.abc import Collection, Generator
from contextlib import contextmanager
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
        self.on = True

    def forward(self, weight: Tensor) -> Tensor:
        """[rows, ...] -> the same shape."""
        return weight + (self.up @ self.down).view_as(weight) if self.on else weight


def matrices(net: nn.Module) -> dict[str, nn.Module]:
    """Every layer of a network whose ``weight`` is a matrix, a convolution or an embedding, by name."""
    layers: dict[str, nn.Module] = dict(cast(Any, net).named_modules())
    return {
        name: layer
        for name, layer in layers.items()
        if (weight := dict(layer.named_parameters(recurse=False)).get("weight")) is not None
        and weight.dim() > 1
    }


def adapt(net: nn.Module, rank: int, layers: Collection[str] | None = None) -> None:
    """Freeze a network and lay a ``LowRank`` over the ``layers`` named, or over all that have a matrix.

    Layers that are tied, as one and the same tensor, cannot be among them.
    """
    for parameter in net.parameters():
        parameter.requires_grad_(False)
    for name, layer in matrices(net).items():
        if layers is None or name in layers:
            low = LowRank(cast(Tensor, layer.weight), rank, key(0, "lora", name))
            parametrize.register_parametrization(layer, "weight", low)


@contextmanager
def off(net: nn.Module) -> Generator[None]:
    """The network as it was before it was adapted, for as long as this lasts."""
    sums = [each for each in net.modules() if isinstance(each, LowRank)]
    for each in sums:
        each.on = False
    try:
        yield
    finally:
        for each in sums:
            each.on = True


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
