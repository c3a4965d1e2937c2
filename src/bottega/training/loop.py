"""The one loop. A step draws its batch and noise from (seed, step, stream), so a resumed run ends in the same bytes."""

import math
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor

from bottega.core.errors import EngineFailed
from bottega.core.value import Value
from bottega.networks.muon import Muon32
from bottega.networks.noise import key
from bottega.training import checkpoint
from bottega.training.data.base import Data
from bottega.training.family import Family, Nets
from bottega.training.folder import RunFolder
from bottega.training.recipe import Fit

SILENT_STEPS = 10  # between two lines of the metrics file


class Progress(NamedTuple):
    """How far a run is. ``left`` is an estimate in seconds."""

    step: int
    steps: int
    losses: dict[str, float]
    left: float
    validation: float | None = None


@dataclass(frozen=True)
class Fitted:
    """The averaged networks, the step it ended at, why, and what it took."""

    nets: Nets
    step: int
    ended: str
    cpu_seconds: float


class Share(NamedTuple):
    """Which of ``size`` processes this is; the first writes, all compute."""

    rank: int = 0
    size: int = 1

    def added(self, tensors: Sequence[Tensor]) -> None:
        """Put into every tensor the sum over all processes."""
        if self.size > 1:
            for tensor in tensors:
                dist.all_reduce(tensor)


def build_nets(family: Family[Value], seed: int) -> Nets:
    """New networks whose numbers depend on the seed alone; the global generator is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(key(seed, "nets").initial_seed())
        return family.nets()


def fit(
    family: Family[Value],
    data: Data,
    recipe_fit: Fit,
    seed: int,
    folder: RunFolder,
    watch: Callable[[Progress], None] = lambda progress: None,
    share: Share = Share(),  # noqa: B008 - two numbers
) -> Fitted:
    """Train from the folder's checkpoint, or from nothing, to the end.

    A batch is learnt in ``shards``, whose losses and gradients are averaged; several processes share them out.

    Raises:
        EngineFailed: a loss is no number; the last good checkpoint stays.
        InvalidValue: the folder's checkpoint is of another model.
        StorageFailed: the disk is full; the last checkpoint stays.
    """
    how = recipe_fit
    device = "cuda" if torch.cuda.is_available() else "cpu"
    nets, average = build_nets(family, seed), build_nets(family, seed)
    family.start(nets)
    family.start(average)
    for net in (*nets.values(), *average.values()):
        net.to(device)
    if how.compiled:
        for net in nets.values():
            net.compile()
    optimisers = {phase.name: _optimisers(nets[phase.net], how) for phase in family.phases()}
    step, best, waited = _restore(nets, average, optimisers, folder)
    if share.rank == 0:
        folder.cut_metrics(step)
    begun, first, before, cpu = time.monotonic(), step, folder.spent, time.process_time()
    over = bool(how.patience) and waited >= how.patience
    while step < how.steps and not over:
        rate = _rate(how, step)
        batch = tuple(part.to(device) for part in family.batch(data, how.batch, key(seed, step, "batch")))
        losses: dict[str, float] = {}
        for phase in family.phases():
            if not phase.since <= step / how.steps < phase.until:
                continue
            parameters = [p for p in nets[phase.net].parameters() if p.requires_grad]
            for parameter in parameters:
                parameter.grad = None
            told = torch.zeros((), device=device)
            for shard in range(share.rank, how.shards, share.size):
                part = tuple(whole.tensor_split(how.shards)[shard] for whole in batch)
                stream = (seed, step, phase.name, *((shard,) if how.shards > 1 else ()))
                with torch.autocast(device, torch.bfloat16) if device == "cuda" else nullcontext():
                    loss = phase.loss(nets, part, key(*stream)) / how.shards
                loss.backward(inputs=parameters)  # the other nets of a phase are only read
                told += loss.detach()
            share.added([told, *(p.grad for p in parameters if p.grad is not None)])
            losses[phase.name] = float(told)
            if not math.isfinite(losses[phase.name]):
                raise _diverged(f"the loss '{phase.name}' is {losses[phase.name]}", step, folder)
            _update(parameters, optimisers[phase.name], rate, how.clip)
        step += 1
        _average(average, nets, min(how.ema, (1 + step) / (10 + step)))
        validation = None
        if how.validate_every and step % how.validate_every == 0:
            validation = _validate(family, average, data, seed)
            if validation is not None:
                best, waited = (validation, 0) if validation < best else (best, waited + 1)
        over = bool(how.patience) and waited >= how.patience
        if step % how.save_every == 0 or step == how.steps or over:
            used = torch.tensor(time.process_time() - cpu, dtype=torch.float64)
            share.added([used])
            if share.rank == 0:
                _save(nets, average, optimisers, folder, step, best, waited)
                folder.spend(before + float(used))
        if share.rank == 0 and (step % SILENT_STEPS == 0 or step == how.steps or validation is not None):
            left = (time.monotonic() - begun) / (step - first) * (how.steps - step)
            held_out = {} if validation is None else {"validation": validation}
            folder.add_metrics(step, {**losses, **held_out})
            watch(Progress(step, how.steps, losses, left, validation))
    ended = f"no better validation in {waited} tries" if over else "all steps done"
    for net in average.values():
        net.cpu().eval()
    family.finish(average)
    return Fitted(average, step, ended, folder.spent)


def _optimisers(net: torch.nn.Module, how: Fit) -> tuple[torch.optim.Optimizer, ...]:
    """AdamW; or Muon for matrices and filters, with its updates as long as AdamW's (Liu 2025), and AdamW for the rest."""
    inside = [
        layer.weight
        for layer in net.modules()
        if how.optimiser == "muon32" and isinstance(layer, torch.nn.Linear | torch.nn.Conv2d)
    ]
    taken = {id(weight) for weight in inside}
    rest = [weight for weight in net.parameters() if weight.requires_grad and id(weight) not in taken]
    adamw = torch.optim.AdamW(rest, lr=how.rate, betas=(how.momentum, 0.99), weight_decay=how.decay)
    return (adamw, Muon32(inside, lr=how.rate, weight_decay=how.decay)) if inside else (adamw,)


def _diverged(what: str, step: int, folder: RunFolder) -> EngineFailed:
    remedy = "the last good checkpoint stays; lower fit.rate, or look for NaN in the data"
    return EngineFailed(f"diverged: {what} at step {step}", where=str(folder.path), remedy=remedy)


def _update(
    parameters: Sequence[torch.nn.Parameter],
    optimisers: Sequence[torch.optim.Optimizer],
    rate: float,
    clip: float,
) -> None:
    torch.nn.utils.clip_grad_norm_(parameters, clip)
    for optimiser in optimisers:
        for group in optimiser.param_groups:
            group["lr"] = rate
        optimiser.step()


@torch.no_grad()
def _average(average: Nets, nets: Nets, memory: float) -> None:
    for name, net in average.items():
        for old, new in zip(net.parameters(), nets[name].parameters(), strict=True):
            old.lerp_(new, 1 - memory)
        for old, new in zip(net.buffers(), nets[name].buffers(), strict=True):
            old.copy_(new)


def _rate(how: Fit, step: int) -> float:
    if step < how.warmup:
        return how.rate * (step + 1) / how.warmup
    return how.rate * (1 - 0.95 * (step - how.warmup) / max(1, how.steps - how.warmup))


def _validate(family: Family[Value], nets: Nets, data: Data, seed: int) -> float | None:
    for net in nets.values():
        net.eval()
    with torch.no_grad():
        found = family.validate(nets, data, key(seed, "validation"))
    for net in nets.values():
        net.train()
    return found


def _save(
    nets: Nets,
    average: Nets,
    optimisers: checkpoint.Optimisers,
    folder: RunFolder,
    step: int,
    best: float,
    waited: int,
) -> None:
    loop = torch.tensor([float(step), best, float(waited)], dtype=torch.float64)
    state = {**checkpoint.flat(nets, "net"), **checkpoint.flat(average, "ema")}
    for name, tensor in state.items():
        if not tensor.isfinite().all():  # the last update broke it, before any loss could show it
            raise _diverged(f"'{name}' is no longer finite", step, folder)
    checkpoint.write(folder.training_file, {**state, **checkpoint.optimiser_state(optimisers), "loop": loop})


def _restore(
    nets: Nets, average: Nets, optimisers: checkpoint.Optimisers, folder: RunFolder
) -> tuple[int, float, int]:
    if not folder.training_file.is_file():
        return 0, math.inf, 0
    state = checkpoint.read(folder.training_file)
    checkpoint.load_nets(nets, state, "net", str(folder.training_file))
    checkpoint.load_nets(average, state, "ema", str(folder.training_file))
    checkpoint.load_optimisers(optimisers, state)
    step, best, waited = (float(number) for number in state["loop"])
    return int(step), best, int(waited)
