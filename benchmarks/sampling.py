"""Sampling a trained flow: our sampler and the exported ONNX file, beside the scheduler loop of diffusers, on the same weights.

CPU seconds of one thread, taken in turns. The pictures must be the same. diffusers is no dependency. Given a language model: its sampler one text at a
time and many, beside one that keeps nothing of the tokens before.

    bottega export runs/flow && OMP_NUM_THREADS=1 python benchmarks/sampling.py runs/flow
    OMP_NUM_THREADS=1 python benchmarks/sampling.py runs/lm
"""

import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import numpy as np
import onnxruntime
import torch
from diffusers.schedulers.scheduling_flow_match_euler_discrete import FlowMatchEulerDiscreteScheduler
from torch import Tensor

from bottega.networks.flow import flow_sample
from bottega.networks.noise import key
from bottega.networks.transformer import generate
from bottega.training.families.flow import Flow
from bottega.training.families.lm import Lm
from bottega.training.runs import Run, open_run

GUIDANCE, STEPS, ROUNDS, BATCH = 2.0, 10, 5, 32


def main() -> None:
    """Print what the samplers of a run cost."""
    torch.set_num_threads(1)
    run = open_run(Path(sys.argv[1]))
    pictures(run) if isinstance(run.family, Flow) else texts(run)


@torch.no_grad()
def texts(run: Run) -> None:
    """Print CPU milliseconds a token: kept or read again, one text at a time or `BATCH`."""
    net = run.nets["decoder"]
    length = cast(Lm, run.family).config.context // 2
    prompt = torch.full((BATCH, 1), 10)

    def again(rows: Tensor) -> Tensor:
        for place in range(length):
            odds = net(rows)[:, -1].float().softmax(-1)
            rows = torch.cat((rows, torch.multinomial(odds, 1, generator=key(0, place))), dim=1)
        return rows

    ways: dict[str, tuple[int, Callable[[], object]]] = {
        "all read again for each token, one text": (1, lambda: again(prompt[:1])),
        "kept, one text": (1, lambda: generate(net, prompt[:1], length, key(0))),
        f"kept, {BATCH} texts": (BATCH, lambda: generate(net, prompt, length, key(0))),
    }
    spent: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(ROUNDS + 1):
        for name, (count, way) in ways.items():
            start = time.process_time()
            way()
            spent[name].append(1000 * (time.process_time() - start) / (length * count))
    for name, each in spent.items():
        print(f"{name}: {statistics.median(each[1:]):.3f} ms a token")


def pictures(run: Run) -> None:
    """Print CPU milliseconds a picture for one picture and for 32 at a time."""
    net, family = run.nets["velocity"], run.family
    assert isinstance(family, Flow)
    session = _session(Path(sys.argv[1]) / "export" / "velocity.onnx")
    names = [each.name for each in session.get_inputs()]

    def velocity(x: Tensor, t: Tensor, bag: Tensor) -> Tensor:
        said = session.run(None, dict(zip(names, (x.numpy(), t.numpy(), bag.numpy()), strict=True)))
        return torch.from_numpy(np.asarray(said[0]))

    @torch.no_grad()
    def diffusers(x: Tensor, bag: Tensor) -> Tensor:
        """As its pipelines do: both halves of the guidance in one batch, and the scheduler's step. It goes from 1 to 0."""
        scheduler: Any = FlowMatchEulerDiscreteScheduler()
        scheduler.set_timesteps(sigmas=[1 - i / STEPS for i in range(STEPS)])
        for when in scheduler.timesteps:
            t = (1 - when / scheduler.config.num_train_timesteps).expand(2 * len(x))
            both = net(torch.cat((x, x)), t, torch.cat((torch.zeros_like(bag), bag)))
            free, told = both.chunk(2)
            x = scheduler.step(-(free + GUIDANCE * (told - free)), when, x).prev_sample
        return x

    ways: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
        "diffusers": diffusers,
        "ours": lambda x, bag: flow_sample(net, x, bag, STEPS, GUIDANCE),
        "ours, ONNX": lambda x, bag: flow_sample(velocity, x, bag, STEPS, GUIDANCE),
    }
    for count in (1, 32):
        x = family.noise(0, count)
        bag = torch.arange(count)[:, None] % len(family.labels) + 1
        spent: dict[str, list[float]] = {name: [] for name in ways}
        made: dict[str, Tensor] = {}
        for turn in range(ROUNDS + 1):
            for name, way in ways.items():
                start = time.process_time()
                made[name] = way(x, bag)
                if turn:
                    spent[name].append((time.process_time() - start) / count)
        for name in ways:
            ratios = [other / one for one, other in zip(spent[name], spent["diffusers"], strict=True)]
            apart = float((made[name] - made["diffusers"]).abs().max())
            assert apart < 1e-2, (name, apart)
            print(
                f"{count} at a time, {name}: {1000 * statistics.median(spent[name]):.1f} ms a picture, "
                f"{statistics.median(ratios):.2f} times as fast as diffusers, pictures differ by {apart:.0e}"
            )


def _session(path: Path) -> Any:
    options = cast(Any, onnxruntime).SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(path.read_bytes(), options, providers=["CPUExecutionProvider"])


if __name__ == "__main__":
    main()
