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
def flow_sample(
    velocity: Velocity,
    x: Tensor,
    bag: Tensor,
    steps: int,
    guidance: float = 1.0,
    span: tuple[float, float] = (0, 1),
) -> Tensor:
    """Euler's method along ``span``, from noise (0) to data (1); ``guidance`` above 1 sharpens what the condition adds."""
    begin, end = span
    for i in range(steps):
        t = torch.full((len(x),), begin + (end - begin) * i / steps, device=x.device)
        v = velocity(x, t, bag)
        if guidance != 1.0:
            free = velocity(x, t, torch.zeros_like(bag))
            v = free + guidance * (v - free)
        x = x + v * ((end - begin) / steps)
    return x


def distil_loss(
    student: Velocity, teacher: Velocity, noise: Tensor, bag: Tensor, steps: int, fine: int, guidance: float
) -> Tensor:
    """Go in ``steps`` straight steps, without guidance, where the guided teacher goes in ``fine`` times as many.

    Progressive distillation (Salimans 2022) of a guided model (Meng 2023), in one stage and along the teacher's own
    paths: the student learns, from the teacher's point at each of its own times, the way to the teacher's next one.
    """
    x, starts, ways = noise, list[Tensor](), list[Tensor]()
    for k in range(steps):
        after = flow_sample(teacher, x, bag, fine, guidance, (k / steps, (k + 1) / steps))
        starts.append(x)
        ways.append((after - x) * steps)
        x = after
    t = torch.arange(steps, device=x.device).repeat_interleave(len(noise)) / steps
    guess = student(torch.cat(starts), t, bag.repeat(steps, 1))
    return (guess.float() - torch.cat(ways)).square().mean()
