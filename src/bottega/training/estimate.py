"""What a run will take, measured before it starts by a few steps of throwaway networks."""

import time

import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks

from bottega.core.value import Value
from bottega.networks.noise import key
from bottega.training.data.base import Data
from bottega.training.family import Family
from bottega.training.loop import build_nets
from bottega.training.recipe import Fit

PROCESS = 450 * 2**20  # the interpreter with torch loaded
COPIES = 5  # weights, their average, gradient, and two moments of AdamW


class Estimate(Value, frozen=True):
    """Before a run: how many parameters, bytes of memory at the peak, seconds of training without evaluation."""

    parameters: int
    memory: int
    seconds: float


def estimate(family: Family[Value], data: Data, fit: Fit, steps: int) -> Estimate:
    """Run three steps without an update: what the first keeps for its gradient is counted, the faster of the others timed."""
    nets = build_nets(family, 0)
    family.start(nets)
    batch = family.batch(data, fit.batch, key(0, "estimate"))
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        kept[tensor.data_ptr()] = tensor.nbytes
        return tensor

    def step() -> float:
        spent = 0.0
        for phase in family.phases():
            begun = time.monotonic()
            parameters = [p for p in nets[phase.net].parameters() if p.requires_grad]
            torch.autograd.grad(phase.loss(nets, batch, key(0, phase.name)), parameters, allow_unused=True)
            spent += (time.monotonic() - begun) * (phase.until - phase.since)
        return spent

    with saved_tensors_hooks(keep, lambda tensor: tensor):
        step()
    parameters = sum(p.numel() for net in nets.values() for p in net.parameters())
    held = sum(t.nbytes for part in (data.train, data.test) for t in part.values())
    memory = PROCESS + held + 4 * COPIES * parameters + sum(kept.values())
    return Estimate(parameters=parameters, memory=memory, seconds=min(step(), step()) * steps * 1.1)
