"""Measures of drawings made from words: they parse, they show something, they are recognised, they are new."""

import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load, save
from torch import Tensor
from torch.nn import functional as F

from bottega.core.errors import InvalidValue
from bottega.drawing.alphabet import END, SIZE, decode
from bottega.drawing.copies import NEAR, Bits, nearest, signature
from bottega.drawing.raster import raster
from bottega.drawing.shapes import Drawing
from bottega.networks.judge import Judge
from bottega.networks.noise import key
from bottega.storage.disk import appearing, disk

BATCH = 128
INK = 0.004  # share of the pixels from which a picture is not empty: four of 1024
ORDERS = 4  # longest run of tokens that is counted

MEASURES = {
    "parse": "share of the rows of tokens that are drawings",
    "drawn": "share that shows something",
    "top-5": "share of which our judge names a word of the prompt among its five likeliest",
    "new": f"share of which no training drawing is nearer than a near copy (Dice overlap {NEAR})",
    "bits": "bits a token of held-out drawings; lower is better",
}


def inked(drawings: Sequence[Drawing]) -> NDArray[np.uint8]:
    """How much ink is in each pixel, [N, 32, 32]."""
    return (
        np.stack([raster(drawing) for drawing in drawings]) if drawings else np.zeros((0, 32, 32), np.uint8)
    )


def signatures(inks: NDArray[np.uint8]) -> Bits:
    """What copies are looked up in: [N, 32, 32] -> [N, 4]."""
    parts = [signature(np.divide(part, 255, dtype=np.float32)) for part in np.array_split(inks, 16)]
    return np.concatenate(parts)


def pictures(inks: NDArray[np.uint8]) -> Tensor:
    """[N, 32, 32] -> float [N, 1, 32, 32], 1 where a pixel is mostly ink, else -1."""
    return torch.from_numpy(inks > 127).float()[:, None] * 2 - 1


def word_judge(train: NDArray[np.uint8], bags: Tensor, words: int, kept: Path, steps: int) -> Judge:
    """A classifier of words by the picture, loaded from ``kept`` or trained there.

    Args:
        train: ink of pictures [N, 32, 32].
        bags: words of each from 1 [N, W], 0 for none.
        words: how many there are.
        kept: its safetensors file.
        steps: of training, 128 pictures each, moved by up to two pixels.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(key(0, "word judge").initial_seed())
        net = Judge(1, words, width=32)
    if kept.is_file():
        net.load_state_dict(load(kept.read_bytes()))
        return net.eval()
    goals = torch.zeros(len(bags), words + 1).scatter_(1, bags.long(), 1.0)[:, 1:]
    rows = goals.sum(1).nonzero()[:, 0]
    optimiser = torch.optim.AdamW(net.parameters(), lr=3e-3, weight_decay=0.02)
    for step in range(steps):
        generator = key(0, "word judge", step)
        pick = rows[torch.randint(len(rows), (BATCH,), generator=generator)]
        moved = cast(list[int], torch.randint(-2, 3, (2,), generator=generator).tolist())
        for group in optimiser.param_groups:
            group["lr"] = 3e-3 * (1 - step / steps)
        optimiser.zero_grad()
        with torch.enable_grad():
            images = pictures(train[pick.numpy()]).roll(moved, (2, 3))
            F.cross_entropy(net(images), goals[pick] / goals[pick].sum(1, keepdim=True)).backward()
        optimiser.step()
    with disk(kept.parent), appearing(kept) as temporary:
        temporary.write_bytes(save(net.state_dict()))
    return net.eval()


@torch.no_grad()
def judged(rows: Sequence[Sequence[int]], asked: Tensor, net: Judge, known: Bits) -> dict[str, float]:
    """What each of these rows of tokens is worth.

    Args:
        rows: tokens of one drawing each.
        asked: words of the judge that its prompt has, from 1 [N, W], 0 for none.
        net: the judge.
        known: signatures of the training drawings.
    """
    parsed, drawings = list[int](), list[Drawing]()
    for place, row in enumerate(rows):
        try:
            drawings.append(decode(row))
            parsed.append(place)
        except InvalidValue:
            continue
    found = inked(drawings)
    shown = (found > 127).mean((1, 2)) > INK
    hits = 0
    if len(found):
        said = net(pictures(found))
        five = said.topk(min(5, said.shape[1])).indices + 1
        hit = (five[:, :, None] == asked[parsed][:, None, :]).any(2).any(1)
        hits = int((hit & torch.from_numpy(shown)).sum())
    new = [nearest(np.divide(ink, 255, dtype=np.float32), known)[1] < NEAR for ink in found[shown]]
    return {
        "parse": len(parsed) / len(rows),
        "drawn": int(shown.sum()) / len(rows),
        "top-5": hits / len(rows),
        "new": sum(new) / max(1, len(new)),
    }


def counted_bits(train: Sequence[Sequence[int]], test: Sequence[Sequence[int]], orders: int) -> float:
    """Bits a token of ``test`` under counted runs of up to ``orders`` tokens, Witten-Bell smoothed (1991)."""
    counts: list[dict[tuple[int, ...], Counter[int]]] = [{} for _ in range(orders)]
    for row in train:
        for place, token in enumerate(row):
            for order in range(min(orders, place + 1)):
                counts[order].setdefault(tuple(row[place - order : place]), Counter())[token] += 1
    spent, said = 0.0, 0
    for row in test:
        for place, token in enumerate(row):
            chance = 1 / SIZE
            for order in range(min(orders, place + 1)):
                seen = counts[order].get(tuple(row[place - order : place]))
                if seen:
                    total, kinds = seen.total(), len(seen)
                    chance = (seen[token] + kinds * chance) / (total + kinds)
            spent -= math.log2(chance)
            said += 1
    return spent / max(1, said)


def rows_of(drawings: Tensor) -> list[list[int]]:
    """[N, T] padded -> rows up to their END."""
    return [row[: row.index(END) + 1] for row in cast(list[list[int]], drawings.tolist())]
