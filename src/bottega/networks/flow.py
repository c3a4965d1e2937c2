"""Flow matching (Lipman 2023, rectified flow Liu 2023) with classifier-free guidance (Ho 2022)."""

from collections.abc import Callable

import torch
from torch import Tensor

from bottega.networks.noise import normal

Velocity = Callable[[Tensor, Tensor, Tensor], Tensor]
"""(x [B, ...], t [B], condition [B, words]) -> dx/dt [B, ...]."""


def flow_loss(velocity: Velocity, x: Tensor, bag: Tensor, key: torch.Generator, drop: float = 0.1) -> Tensor:
    """Mean squared error to the straight line from noise to data; ``drop`` of the conditions are left out.

    Times are logit-normal (Esser 2024): most in the middle, where the velocity is hardest to tell.
    """
    noise = normal(tuple(x.shape), key, x)
    t = torch.sigmoid(torch.randn(len(x), generator=key)).to(x.device)
    kept = (torch.rand(len(x), 1, generator=key) >= drop).to(x.device)
    along = t.view(-1, *[1] * (x.dim() - 1))
    guess = velocity(noise + along * (x - noise), t, bag * kept)
    return (guess.float() - (x - noise)).square().mean()


@torch.no_grad()
def flow_sample(velocity: Velocity, noise: Tensor, bag: Tensor, steps: int, guidance: float = 1.0) -> Tensor:
    """Euler's method from noise (t = 0) to data (t = 1); ``guidance`` above 1 sharpens what the condition adds."""
    x = noise
    for i in range(steps):
        t = torch.full((len(x),), i / steps, device=x.device)
        v = velocity(x, t, bag)
        if guidance != 1.0:
            free = velocity(x, t, torch.zeros_like(bag))
            v = free + guidance * (v - free)
        x = x + v / steps
    return x


def reflow_loss(velocity: Velocity, noise: Tensor, made: Tensor, bag: Tensor, key: torch.Generator) -> Tensor:
    """Learn the straight line between a noise and what a teacher made of it (guided reflow)."""
    t = torch.rand(len(noise), generator=key).to(noise.device)
    along = t.view(-1, *[1] * (noise.dim() - 1))
    guess = velocity(noise + along * (made - noise), t, bag)
    return (guess.float() - (made - noise)).square().mean()
