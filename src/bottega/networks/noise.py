"""Randomness as a pure function of (seed, step, stream): there is no generator state to save or to lose."""

import hashlib

import torch


def key(seed: int, *path: int | str) -> torch.Generator:
    """A CPU generator for one purpose, for example ``key(seed, step, "batch")``: same arguments, same numbers."""
    digest = hashlib.blake2b(repr((seed, *path)).encode(), digest_size=8).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest, "little") >> 1)


def normal(shape: tuple[int, ...], generator: torch.Generator, like: torch.Tensor) -> torch.Tensor:
    """Standard normal numbers, drawn on the CPU so that they are the same on every device."""
    return torch.randn(shape, generator=generator).to(like.device, like.dtype)
