"""Bits a byte: of a model, of an order-n byte model, and of compressors that have seen the training text."""

import bz2
import lzma
import math
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bottega.evaluation.table import CLASSICAL, FLOOR, TRIVIAL

COMPRESSORS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": lambda data: zlib.compress(data, 9),
    "bz2": lambda data: bz2.compress(data, 9),
    "xz": lambda data: lzma.compress(data, preset=9 | lzma.PRESET_EXTREME),
}


def compressed_bits(train: bytes, test: bytes, name: str) -> float:
    """Bits that a compressor spends on a byte of ``test`` after ``train``: what ``test`` adds to the whole."""
    squeeze = COMPRESSORS[name]
    return 8 * (len(squeeze(train + test)) - len(squeeze(train))) / len(test)


def counted_bits(train: bytes, test: bytes, order: int) -> float:
    """Bits a byte of an order-n byte model with Witten-Bell smoothing (1991): each order backs off to the shorter one."""
    chances = [1 / 256] * len(test)
    for n in range(order + 1):
        seen: Counter[bytes] = Counter(train[i : i + n + 1] for i in range(len(train) - n))
        total: Counter[bytes] = Counter()
        kinds: Counter[bytes] = Counter()
        for gram, count in seen.items():
            total[gram[:-1]] += count
            kinds[gram[:-1]] += 1
        for i in range(len(test)):
            context = test[max(0, i - n) : i]
            if len(context) < n or context not in total:
                continue
            different = kinds[context]
            chances[i] = (seen[test[i - n : i + 1]] + different * chances[i]) / (total[context] + different)
    return -sum(map(math.log2, chances)) / len(test)


def known_bits(
    train: bytes, test: bytes, compressors: Iterable[str] = ()
) -> Iterator[tuple[str, str, float]]:
    """What needs no network, as kind of row, what it is, and bits a byte: a floor, counted bytes, and compressors."""
    yield FLOOR, "xz, after the very same text", compressed_bits(train + test, test, "xz")
    yield TRIVIAL, "how often each byte occurs", counted_bits(train, test, 0)
    for name in compressors:
        yield CLASSICAL, f"{name}, after the training text", compressed_bits(train, test, name)
    yield CLASSICAL, "counted runs of 6 bytes, Witten-Bell", counted_bits(train, test, 5)


@torch.no_grad()
def model_bits(
    model: nn.Module, tokens: Tensor, lengths: Tensor, context: int, *, apart: bool = False
) -> float:
    """Bits a byte of a model over tokens [N], whose ``lengths`` [vocabulary] are in bytes.

    Windows of ``context`` overlap by half: each token but those of the first has half a window or more before it. ``apart``, they
    stand behind each other, and a token has half a window before it on average, as training losses are reported. The
    bits are those of one way to cut the text into tokens, so they are never too few.
    """
    known, spent, counted = 0 if apart else context // 2, 0.0, 0
    starts = list(range(0, len(tokens) - context, context - known))
    for group in (starts[i : i + 64] for i in range(0, len(starts), 64)):
        windows = torch.stack([tokens[s : s + context + 1] for s in group])
        losses = F.cross_entropy(
            model(windows[:, :-1]).flatten(0, 1).float(), windows[:, 1:].flatten(), reduction="none"
        )
        for start, line, said in zip(group, losses.view(len(group), context), windows[:, 1:], strict=True):
            new = slice(0 if start == 0 else known, None)
            spent += float(line[new].sum())
            counted += int(lengths[said[new]].sum())
    return spent / counted / math.log(2)
