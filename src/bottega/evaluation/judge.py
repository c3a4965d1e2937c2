"""The judge of a data set: a classifier trained once from a fixed seed, kept under the data's SHA-256."""

from pathlib import Path

import torch
from safetensors.torch import load, save
from torch import Tensor
from torch.nn import functional as F

from bottega.networks.judge import Judge
from bottega.networks.noise import key
from bottega.storage.disk import appearing, disk

BATCH = 128


def judge(images: Tensor, labels: Tensor, classes: int, kept: Path, steps: int) -> Judge:
    """Load the judge from ``kept``, or train it there.

    Args:
        images: float [N, C, H, W] in -1..1.
        labels: int64 [N] from 0.
        classes: how many there are.
        kept: its safetensors file; the name carries data and steps.
        steps: of training, 128 images each.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(key(0, "judge").initial_seed())
        net = Judge(images.shape[1], classes)
    if kept.is_file():
        net.load_state_dict(load(kept.read_bytes()))
        return net.eval()
    optimiser = torch.optim.AdamW(net.parameters(), lr=3e-3, weight_decay=0.05)
    for step in range(steps):
        pick = torch.randint(len(images), (BATCH,), generator=key(0, "judge", step))
        for group in optimiser.param_groups:
            group["lr"] = 3e-3 * (1 - step / steps)
        optimiser.zero_grad()
        with torch.enable_grad():
            F.cross_entropy(net(images[pick]), labels[pick]).backward()
        optimiser.step()
    with disk(kept.parent), appearing(kept) as temporary:
        temporary.write_bytes(save(net.state_dict()))
    return net.eval()


@torch.no_grad()
def seen(net: Judge, images: Tensor, best: int = 1) -> tuple[Tensor, Tensor]:
    """Features [N, 64] and the ``best`` classes that the judge sees [N, best]."""
    features = torch.cat([net.features(images[i : i + 500]) for i in range(0, len(images), 500)])
    return features, net.head(features).topk(best).indices
