"""What a data set is, and how it is kept once it was prepared."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load as load_tensors
from safetensors.torch import save
from torch import Tensor

from bottega.core.errors import InvalidValue, NotFound
from bottega.storage.disk import appearing, digest_of, disk

Watch = Callable[[str], None]


@dataclass(frozen=True, eq=False)
class Data:
    """Two splits of tensors.

    Pictures: ``images`` uint8 [N, C, H, W] and ``bags`` int64 [N, words], indices into ``labels`` from 1, 0 for none.
    Texts: ``tokens`` uint8 [N]. Records of texts: as in ``records``. ``whole`` names the data set that this is a part of.
    """

    name: str
    licence: str
    attribution: str
    train: dict[str, Tensor]
    test: dict[str, Tensor]
    shape: dict[str, int]
    labels: tuple[str, ...] = ()
    sha256: str = ""
    whole: str = ""

    @property
    def sizes(self) -> dict[str, int]:
        """Examples, or tokens, in each split; the bytes of texts are never fewer than the texts."""
        return {"train": min(map(len, self.train.values())), "test": min(map(len, self.test.values()))}


SETS = {
    "fashion-mnist": "bottega.training.data.fashion_mnist",
    "icons": "bottega.training.data.icons",
    "jargon-file": "bottega.training.data.jargon_file",
    "tiny-shakespeare": "bottega.training.data.tiny_shakespeare",
    "sums": "bottega.training.data.sums",
    "sums-in-words": "bottega.training.data.sums_in_words",
    "package-descriptions": "bottega.training.data.package_descriptions",
    "charts": "bottega.training.data.charts",
    "package-synopses": "bottega.training.data.package_synopses",
    "package-italian": "bottega.training.data.package_italian",
    "stacked-digits": "bottega.training.data.stacked_digits",
    "icon-drawings": "bottega.training.data.icon_drawings",
}


def load(name: str, home: Path, watch: Watch = lambda text: None) -> Data:
    """A data set by name, fetched and prepared once; or a folder or text file of one's own.

    ``NAME:boot,bag`` are the examples of these labels, ``NAME:-boot`` all others, and ``NAME:boot@200`` the first 200 to
    learn from; held-out examples are not counted. ``NAME:choosing`` is the training split alone, a block in ten held out in
    the place of the held-out split: sizes and rates are chosen by it.

    Raises:
        NotFound: neither a known name nor a path.
        InvalidValue: too few examples, not a number, or no such label.
    """
    if ":" in name and not Path(name).exists():
        whole, _, wanted = name.partition(":")
        if wanted == "choosing":
            return checked(choosing(load(whole, home, watch), name))
        return checked(part_of(load(whole, home, watch), name, *wanted.partition("@")[::2]))
    if name not in SETS:
        if not Path(name).exists():
            raise NotFound(
                f"unknown data set '{name}'", where="data", remedy=f"one of {', '.join(SETS)}, or a folder"
            )
        own: Any = import_module("bottega.training.data.folder")
        return checked(own.read(Path(name)))
    kept = home / "data" / f"{name}.safetensors"
    if not kept.is_file():
        module: Any = import_module(SETS[name])
        watch(f"preparing {name}")
        _keep(kept, module.prepare(home, watch))
    return checked(read(kept))


def part_of(data: Data, name: str, labels: str, count: str) -> Data:
    """The examples of some labels, or of all others; of the training split at most ``count``."""
    chosen = labels.removeprefix("-").split(",")
    kept = tuple(label for label in data.labels if (label in chosen) != labels.startswith("-"))
    if unknown := [label for label in chosen if label not in data.labels]:
        raise InvalidValue(f"no label '{unknown[0]}'", where=name, remedy=f"of {', '.join(data.labels)}")
    if "bags" not in data.train or not kept or not (count or "1").isdigit():
        raise InvalidValue("no part of it", where=name, remedy="NAME:LABEL,LABEL@COUNT, of labelled pictures")
    places = torch.zeros(len(data.labels) + 1, dtype=torch.int64)
    for place, label in enumerate(kept, 1):
        places[data.labels.index(label) + 1] = place

    def split(part: dict[str, Tensor], most: int | None) -> dict[str, Tensor]:
        bags = places[part["bags"]]
        mine = bags[:, 0].nonzero()[:most, 0]
        return {"images": part["images"][mine], "bags": bags[mine]}

    return replace(
        data,
        name=name,
        train=split(data.train, int(count) if count else None),
        test=split(data.test, None),
        shape={**data.shape, "words": len(kept)},
        labels=kept,
        sha256=hashlib.sha256(f"{data.sha256} {name}".encode()).hexdigest(),
        whole=name.partition(":")[0],
    )


BLOCKS, BYTES = 10, 16384  # one block in ten is held out; of a text blocks of 16 KiB


def choosing(data: Data, name: str) -> Data:
    """The training split in two: blocks, not single examples, because neighbours in a list share sentences.

    Records of texts and rows are cut in 100 blocks, a text in blocks of 16 KiB; every tenth block is held out.
    """
    ends = {key.removesuffix("_ends"): key for key in data.train if key.endswith("_ends")}

    def split(held_out: bool) -> dict[str, Tensor]:
        found: dict[str, Tensor] = {}
        for key, tensor in data.train.items():
            if key in ends or key in ends.values():
                continue
            block = BYTES if key == "tokens" else -(-len(tensor) // 100)
            found[key] = tensor[(torch.arange(len(tensor)) // block % BLOCKS == BLOCKS - 1) == held_out]
        for key, ending in ends.items():
            stop = data.train[ending]
            lengths = stop.diff(prepend=stop.new_zeros(1))
            mine = (torch.arange(len(stop)) // -(-len(stop) // 100) % BLOCKS == BLOCKS - 1) == held_out
            found[key] = data.train[key][mine.repeat_interleave(lengths)]
            found[ending] = lengths[mine].cumsum(0)
        return found

    return replace(
        data,
        name=name,
        train=split(False),
        test=split(True),
        sha256=hashlib.sha256(f"{data.sha256} {name}".encode()).hexdigest(),
        whole=name.partition(":")[0] if "bags" in data.train else "",
    )


def _keep(path: Path, data: Data) -> None:
    tensors = {f"train.{k}": v for k, v in data.train.items()} | {
        f"test.{k}": v for k, v in data.test.items()
    }
    facts = {
        "name": data.name,
        "licence": data.licence,
        "attribution": data.attribution,
        "shape": data.shape,
        "labels": data.labels,
    }
    with disk(path.parent), appearing(path) as temporary:
        whole = {name: tensor.contiguous() for name, tensor in tensors.items()}
        temporary.write_bytes(save(whole, {"facts": json.dumps(facts)}))


def read(path: Path) -> Data:
    """A prepared data set."""
    content = path.read_bytes()
    head = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    facts: dict[str, Any] = json.loads(head["__metadata__"]["facts"])
    tensors = load_tensors(content)
    return Data(
        name=facts["name"],
        licence=facts["licence"],
        attribution=facts["attribution"],
        train={k.removeprefix("train."): v for k, v in tensors.items() if k.startswith("train.")},
        test={k.removeprefix("test."): v for k, v in tensors.items() if k.startswith("test.")},
        shape=facts["shape"],
        labels=tuple(facts["labels"]),
        sha256=digest_of(path),
    )


def several(data: Data) -> None:
    """Refuse one class only, from which nothing can be told apart.

    Raises:
        InvalidValue: names the class.
    """
    if len(data.labels) == 1:
        raise InvalidValue(
            f"one class only: '{data.labels[0]}'", where=data.name, remedy="give two classes or more"
        )


def checked(data: Data) -> Data:
    """Refuse what no model can learn from.

    Raises:
        InvalidValue: says which split and what is wrong.
    """
    for part, tensors in (("train", data.train), ("test", data.test)):
        size = data.sizes[part]
        if size < 8:
            raise InvalidValue(
                f"{size} examples in the {part} split: too few",
                where=data.name,
                remedy="give at least 80 examples",
            )
        for name, tensor in tensors.items():
            if tensor.is_floating_point() and not tensor.isfinite().all():
                raise InvalidValue(
                    f"'{name}' of the {part} split holds NaN or infinity",
                    where=data.name,
                    remedy="clean the data",
                )
    if "bags" in data.train and int(data.train["bags"].max()) == 0:
        raise InvalidValue(
            "no example has a label", where=data.name, remedy="put images into one folder a class"
        )
    return data
