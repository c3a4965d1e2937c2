"""State of a run as one safetensors file whose bytes depend only on the state: weights, averages, optimisers, step."""

import os
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from bottega.core.errors import InvalidValue
from bottega.storage.disk import digest_of, disk, draft, sync_folder
from bottega.training.family import Nets

Optimisers = dict[str, tuple[torch.optim.Optimizer, ...]]


def flat(nets: Nets, prefix: str) -> dict[str, Tensor]:
    """Every parameter that is trained, and every buffer, of the nets under ``prefix.net.name``."""
    return {
        f"{prefix}.{name}.{key}": value.detach().cpu().clone(memory_format=torch.contiguous_format)
        for name, net in nets.items()
        for key, value in _state(net).items()
    }  # copies, because two names may stand for one tensor, which a file would not take


def _state(net: torch.nn.Module) -> dict[str, Tensor]:
    every = net.named_parameters(remove_duplicate=False)
    frozen = {name for name, parameter in every if not parameter.requires_grad}
    return {name: value for name, value in net.state_dict().items() if name not in frozen}


def load_nets(nets: Nets, state: dict[str, Tensor], prefix: str, where: str) -> None:
    """Fill the nets; every tensor must be there with its shape, and none be left over.

    Raises:
        InvalidValue: the checkpoint is of another family, size or version.
    """
    for name, net in nets.items():
        start = f"{prefix}.{name}."
        mine = {key[len(start) :]: value for key, value in state.items() if key.startswith(start)}
        wanted = _state(net)
        try:
            if missing := sorted(wanted.keys() ^ mine.keys()):
                raise RuntimeError(f"'{missing[0]}' is in one of them only")
            net.load_state_dict(mine, strict=False)
        except RuntimeError as error:
            first = str(error).splitlines()[-1].strip()
            raise InvalidValue(
                f"the checkpoint is of another model: {first}",
                where=where,
                remedy="resume with the recipe, depth and data that it was begun with, or choose another --out",
            ) from error


def unchanged(path: Path, sha256: str, what: str = "base", otherwise: str = "begin again") -> Path:
    """The path of a file that a run holds on to, as it was when the run was begun.

    Raises:
        InvalidValue: it is gone, or no longer the same.
    """
    if not path.is_file() or digest_of(path) != sha256:
        raise InvalidValue(
            f"the {what} is gone or has changed", where=str(path), remedy=f"bring it back, or {otherwise}"
        )
    return path


def optimiser_state(optimisers: Optimisers) -> dict[str, Tensor]:
    """Moments and counts of every optimiser, by phase, place, parameter number and name."""
    return {
        f"opt.{phase}.{place}.{number}.{key}": value.detach().cpu().contiguous()
        for phase, several in optimisers.items()
        for place, optimiser in enumerate(several)
        for number, slots in optimiser.state_dict()["state"].items()
        for key, value in slots.items()
    }


def load_optimisers(optimisers: Optimisers, state: dict[str, Tensor]) -> None:
    """Give each optimiser its moments back."""
    for phase, several in optimisers.items():
        for place, optimiser in enumerate(several):
            slots: dict[int, dict[str, Tensor]] = {}
            for key, value in state.items():
                parts = key.split(".")
                if parts[:3] == ["opt", phase, str(place)]:
                    slots.setdefault(int(parts[3]), {})[parts[4]] = value
            optimiser.load_state_dict({**optimiser.state_dict(), "state": slots})


def write(path: Path, tensors: dict[str, Tensor]) -> None:
    """Write whole or not at all, and through to the disk.

    Raises:
        StorageFailed: the disk is full; the file of before stays.
    """
    with disk(path.parent), draft(path.parent) as temporary:
        temporary.write_bytes(save(tensors))
        with temporary.open("rb") as stream:
            os.fsync(stream.fileno())
        temporary.replace(path)
        sync_folder(path.parent)


def read(path: Path) -> dict[str, Tensor]:
    """The tensors of a file.

    Raises:
        InvalidValue: it is no safetensors file, or cut short.
    """
    try:
        return load(path.read_bytes())
    except (SafetensorError, OSError) as error:
        raise InvalidValue(
            f"not a readable checkpoint: {error}", where=str(path), remedy="train again, into another folder"
        ) from error
