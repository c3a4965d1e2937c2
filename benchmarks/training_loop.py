"""What the loop of training costs: beside a bare loop of torch and Hugging Face's Trainer, on the same model and data.

CPU seconds of one thread, each in every place of the turn, because whoever goes first meets another heap; three minutes in all on a quiet core; the ratios are what counts.
Ours keeps averaged
weights, metrics and a checkpoint every 25 steps (recipes: every 50 to 200), which the others do not. Transformers with accelerate is needed.

    OMP_NUM_THREADS=1 python benchmarks/training_loop.py
"""

import gc
import resource
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from bottega.networks.noise import key
from bottega.networks.transformer import Decoder, next_token_loss
from bottega.training.data.base import Data
from bottega.training.families.lm import Lm, LmConfig
from bottega.training.folder import RunFolder
from bottega.training.loop import fit
from bottega.training.recipe import Fit

STEPS, BATCH, ROUNDS = 25, 16, 9
CONFIG = LmConfig(width=128, layers=4, heads=4, context=128)
TEXT = Path(statistics.__file__).read_bytes()  # any text will do


def peak() -> float:
    """Most memory of this process so far, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def ours(family: Lm, data: Data, steps: int) -> None:
    """The loop as `bottega train` runs it, up to the written checkpoint."""
    with tempfile.TemporaryDirectory() as folder:
        how = Fit(steps=steps, batch=BATCH, save_every=steps)
        fit(cast(Any, family), data, how, 0, RunFolder(Path(folder)))


def bare(family: Lm, data: Data, steps: int) -> None:
    """The least that trains: batch, loss, gradient, clip, AdamW."""
    net = family.nets()["decoder"]
    optimiser = torch.optim.AdamW(net.parameters(), lr=2e-3, weight_decay=0.0)
    for step in range(steps):
        (tokens,) = family.batch(data, BATCH, key(0, step))
        optimiser.zero_grad()
        next_token_loss(net, tokens).backward()
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimiser.step()


class Told(nn.Module):
    """The network as Trainer asks it: a loss out of a batch."""

    def __init__(self, net: Decoder) -> None:
        super().__init__()
        self.net = net

    def forward(self, tokens: Tensor) -> dict[str, Tensor]:
        return {"loss": next_token_loss(self.net, tokens)}


def trainer(family: Lm, data: Data, steps: int) -> None:
    """Hugging Face's Trainer with the same optimiser, and nothing saved or reported."""
    from transformers import Trainer, TrainingArguments

    net = family.nets()["decoder"]
    assert isinstance(net, Decoder)
    lines = [family.batch(data, 1, key(0, i))[0][0] for i in range(steps * BATCH)]
    with tempfile.TemporaryDirectory() as folder:
        how = TrainingArguments(
            folder,
            max_steps=steps,
            per_device_train_batch_size=BATCH,
            learning_rate=2e-3,
            max_grad_norm=1.0,
            save_strategy="no",
            report_to=[],
            disable_tqdm=True,
            use_cpu=True,
            logging_strategy="no",
            dataloader_pin_memory=False,
        )
        Trainer(model=Told(net), args=how, train_dataset=[{"tokens": line} for line in lines]).train()


def main() -> None:
    """Print CPU seconds a step of each and the ratio to the bare loop."""
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    tokens = torch.frombuffer(bytearray(TEXT), dtype=torch.uint8)
    cut = len(tokens) * 9 // 10
    data = Data("text", "PSF-2.0", "", {"tokens": tokens[:cut]}, {"tokens": tokens[cut:]}, {})
    family = Lm(CONFIG, {}, (), {})
    ways: dict[str, Callable[[Lm, Data, int], None]] = {"bare": bare, "ours": ours, "Trainer": trainer}
    if len(sys.argv) > 1:  # the memory of one of them, in a process of its own
        before = peak()
        ways[sys.argv[1]](family, data, STEPS)
        print(f"{sys.argv[1]}: peak {peak():.0f} MiB, {peak() - before:.0f} above the imports")
        return
    spent: dict[str, list[float]] = {name: [] for name in ways}
    for way in ways.values():
        way(family, data, 2)  # imports, and warms up
    names = list(ways)
    for turn in range(ROUNDS):
        for name in (*names[turn % 3 :], *names[: turn % 3]):
            gc.collect()
            start = time.process_time()
            ways[name](family, data, STEPS)
            spent[name].append((time.process_time() - start) / STEPS)
    for name in ways:
        ratios = [one / other for one, other in zip(spent[name], spent["bare"], strict=True)]
        print(
            f"{name}: {1000 * statistics.median(spent[name]):.1f} ms a step, "
            f"{statistics.median(ratios):.3f} times the bare loop ({min(ratios):.3f} to {max(ratios):.3f})"
        )


if __name__ == "__main__":
    main()
