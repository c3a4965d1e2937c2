"""Sums of two numbers of two digits: prompts with a right answer that can be checked, and one that is not wanted."""

from pathlib import Path
from typing import cast

import torch

from bottega.networks.noise import key
from bottega.training.data.base import Data, Watch
from bottega.training.data.records import Prompted, prompted

FACTS = {"licence": "CC0-1.0", "attribution": "made by a rule, in Bottega"}


def prepare(home: Path, watch: Watch) -> Data:
    """All 8,100, a tenth held out. What is not wanted is a sentence around the number, or a wrong number."""
    del home, watch
    return prompted(
        [Prompted(f"{a}+{b}=", str(a + b), _unwanted(a + b, chance), held) for a, b, chance, held in pairs()],
        name="sums",
        **FACTS,
    )


def _unwanted(right: int, chance: int) -> str:
    if chance % 2:
        return f"it is {right}"
    off = 1 + chance // 4 % 9
    return str(right + off if chance // 2 % 2 else right - off)  # as often above as below


def pairs() -> list[tuple[int, int, int, bool]]:
    """Both numbers, a random number, and whether the sum is held out; in random order."""
    order = cast(list[int], torch.randperm(8100, generator=key(0, "sums")).tolist())
    return [(10 + n // 90, 10 + n % 90, n * 7919 % 1009, place % 10 == 9) for place, n in enumerate(order)]
