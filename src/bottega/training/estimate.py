"""What a run will take, measured before it starts by a few steps of throwaway networks."""

import resource
import time

import torch

from bottega.core.value import Value
from bottega.networks.noise import key
from bottega.training.data.base import Data
from bottega.training.family import Family
from bottega.training.loop import build_nets
from bottega.training.recipe import Fit

LATER = (
    3  # copies of the weights that the steps here do not hold yet: their average, and two moments of AdamW
)


class Estimate(Value, frozen=True):
    """Before a run: how many parameters, bytes of memory at the peak, seconds of training without evaluation."""

    parameters: int
    memory: int
    seconds: float


def peak() -> int:
    """The most bytes of memory that this process has held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def estimate(family: Family[Value], data: Data, fit: Fit, steps: int) -> Estimate:
    """Run three steps without an update, and a validation: the faster of the last two steps is timed, and the process's peak taken."""
    nets = build_nets(family, 0)
    family.start(nets)
    batch = family.batch(data, fit.batch, key(0, "estimate"))

    def step() -> float:
        spent = 0.0
        for phase in family.phases():
            begun = time.monotonic()
            parameters = [p for p in nets[phase.net].parameters() if p.requires_grad]
            torch.autograd.grad(phase.loss(nets, batch, key(0, phase.name)), parameters, allow_unused=True)
            spent += (time.monotonic() - begun) * (phase.until - phase.since)
        return spent

    step()
    seconds = min(step(), step()) * steps * 1.1
    if fit.validate_every:
        with torch.no_grad():
            family.validate(nets, data, key(0, "estimate"))
    parameters = sum(p.numel() for net in nets.values() for p in net.parameters())
    return Estimate(parameters=parameters, memory=peak() + 4 * LATER * parameters, seconds=seconds)
