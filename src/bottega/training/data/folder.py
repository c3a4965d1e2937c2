"""Data of one's own: a folder of pictures in one folder a class, or of SVG icons, a text file, or records as JSON lines."""

import hashlib
from pathlib import Path

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from bottega.core.errors import InvalidValue, PolicyDenied
from bottega.training.data import icon_drawings, records
from bottega.training.data.base import Data
from bottega.training.data.licences import UNKNOWN, licence_of, ruling

ENDINGS = {".png", ".jpg", ".jpeg", ".webp"}
HELD_OUT = 10  # every tenth example


def read(path: Path) -> Data:
    """Read it whole; every tenth example, or the last tenth of a text, is held out.

    Raises:
        InvalidValue: no class folders, pictures that cannot be read or have different sizes.
    """
    if path.suffix == ".jsonl":
        return records.read(path, _licence(path.parent))
    if path.is_dir() and any(path.glob("*.svg")):
        return icon_drawings.of_folder(path, _licence(path))
    return _text(path) if path.is_file() else _pictures(path)


def _licence(folder: Path) -> str:
    """What the licence file beside the data says; ``unknown`` without one, which is the user's own business.

    Raises:
        PolicyDenied: it forbids training.
    """
    licence = licence_of(folder)
    says = ruling(licence)
    if licence.name != UNKNOWN and says.answer == "refused":
        raise PolicyDenied(
            f"the licence '{licence.name}' forbids training, by the rule {says.rule}: {says.why}",
            where=str(folder),
            remedy="bottega data check names the examples; take them out",
        )
    return licence.name


def _text(path: Path) -> Data:
    content = path.read_bytes()
    tokens = torch.from_numpy(np.frombuffer(content, np.uint8).copy())
    cut = len(tokens) * (HELD_OUT - 1) // HELD_OUT
    return Data(
        name=path.name,
        licence=_licence(path.parent),
        attribution="data of one's own",
        train={"tokens": tokens[:cut]},
        test={"tokens": tokens[cut:]},
        shape={"vocabulary": 256},
        sha256=hashlib.sha256(content).hexdigest(),
    )


def _pictures(path: Path) -> Data:
    labels = tuple(
        sorted(each.name for each in path.iterdir() if each.is_dir() and not each.name.startswith("."))
    )
    found = [
        (file, number)
        for number, label in enumerate(labels, 1)
        for file in sorted((path / label).iterdir())
        if file.suffix.lower() in ENDINGS
    ]
    if not found:
        raise InvalidValue(
            "no pictures in folders of a class", where=str(path), remedy="lay them as DIR/CLASS/PICTURE.png"
        )
    images = [_picture(file) for file, _ in found]
    shape = images[0].shape
    for image, (file, _) in zip(images, found, strict=True):
        if image.shape != shape or image.shape[1] != image.shape[2] or image.shape[1] % 4:
            size = "x".join(map(str, image.shape))
            raise InvalidValue(
                f"a picture of {size} (channels, height, width)",
                where=str(file),
                remedy="make all pictures square, of one size that divides by 4, and all grey or all RGB",
            )
    digest = hashlib.sha256()
    for image, (_, number) in zip(images, found, strict=True):
        digest.update(number.to_bytes(4, "big") + image.numpy().tobytes())
    # class by class in turn, so that each is held out as often
    place = torch.arange(len(found)) % HELD_OUT == HELD_OUT - 1
    all_images, bags = torch.stack(images), torch.tensor([[number] for _, number in found])
    return Data(
        name=path.name,
        licence=_licence(path),
        attribution="data of one's own",
        train={"images": all_images[~place], "bags": bags[~place]},
        test={"images": all_images[place], "bags": bags[place]},
        shape={"channels": shape[0], "side": shape[1], "words": len(labels)},
        labels=labels,
        sha256=digest.hexdigest(),
    )


def _picture(file: Path) -> Tensor:
    try:
        with Image.open(file) as image:
            grey = image.mode in ("1", "L", "LA", "I;16")
            pixels = np.asarray(image.convert("L" if grey else "RGB"))
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError) as error:
        raise InvalidValue(
            f"not a readable picture: {error}", where=str(file), remedy="remove or mend it"
        ) from error
    return (
        torch.from_numpy(pixels.copy().reshape(pixels.shape[0], pixels.shape[1], -1))
        .permute(2, 0, 1)
        .contiguous()
    )
