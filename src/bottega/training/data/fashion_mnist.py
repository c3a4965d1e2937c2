"""Fashion-MNIST (Xiao 2017): 60,000 and 10,000 grey pictures of 28 by 28 in ten classes; MIT; from Debian."""

import gzip
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from bottega.training.data import debian
from bottega.training.data.base import Data, Watch

PACKAGE, VERSION = "dataset-fashion-mnist", "0.0~git20200523.55506a9-1"
SHA256 = "39e172fe32dd318ebb3e512220c3beea2fa47d7e20bab348fb4e0922d6beefc0"
LABELS = ("t-shirt", "trousers", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "boot")


def prepare(home: Path, watch: Watch) -> Data:
    """Fetch and unpack; the split is the authors' own."""
    watch(f"fetching {PACKAGE}, 31 MB, from Debian")
    file = debian.fetch(PACKAGE, VERSION, SHA256, home / "data" / "archives")
    base = "./usr/share/datasets/fashion-mnist"
    paths = {
        part: (f"{base}/{word}-images-idx3-ubyte.gz", f"{base}/{word}-labels-idx1-ubyte.gz")
        for part, word in (("train", "train"), ("test", "t10k"))
    }
    found = debian.members(file, tuple(path for pair in paths.values() for path in pair))

    def split(part: str) -> dict[str, Tensor]:
        images, labels = (gzip.decompress(found[path]) for path in paths[part])
        pixels = np.frombuffer(images, np.uint8, offset=16).reshape(-1, 1, 28, 28)
        return {
            "images": torch.from_numpy(pixels.copy()),
            "bags": torch.from_numpy(np.frombuffer(labels, np.uint8, offset=8).astype(np.int64) + 1)[:, None],
        }

    return Data(
        name="fashion-mnist",
        licence="MIT",
        attribution="Zalando SE, Fashion-MNIST (2017)",
        train=split("train"),
        test=split("test"),
        shape={"channels": 1, "side": 28, "words": len(LABELS)},
        labels=LABELS,
    )
