"""Muon in 32 bits: where a processor has no bfloat16, torch's own spends more on its matrices than the gradient costs."""

from collections.abc import Iterable

import torch
from torch import Tensor

STEPS = ((3.4445, -4.7750, 2.0315),) * 5  # of the Newton-Schulz iteration (Jordan 2024)


class Muon32(torch.optim.Optimizer):
    """Momentum (Nesterov) made orthogonal, as long as AdamW's updates are (Jordan 2024; Liu 2025)."""

    def __init__(
        self, params: Iterable[Tensor], lr: float, weight_decay: float = 0.0, momentum: float = 0.95
    ) -> None:
        super().__init__(params, {"lr": lr, "weight_decay": weight_decay, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Update every matrix that has a gradient."""
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is None:
                    continue
                state = self.state[weight]
                if "momentum_buffer" not in state:
                    state["momentum_buffer"] = torch.zeros_like(weight)
                kept = state["momentum_buffer"].lerp_(weight.grad, 1 - group["momentum"])
                ahead = weight.grad.lerp(kept, group["momentum"])
                weight.mul_(1 - group["lr"] * group["weight_decay"])
                flat = ahead.flatten(1)  # the filters of a convolution are rows
                update = orthogonal(flat).view_as(weight)
                weight.add_(update, alpha=-group["lr"] * 0.2 * max(flat.shape) ** 0.5)


def orthogonal(matrix: Tensor) -> Tensor:
    """The nearest matrix whose singular values are all about 1."""
    wide = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
    x: Tensor = wide / (wide.square().sum().sqrt() + 1e-7)
    for a, b, c in STEPS:
        square = x @ x.T
        x = a * x + (b * square + c * square @ square) @ x
    return x if wide is matrix else x.T
