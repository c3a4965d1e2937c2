"""Weights in fewer bytes: rounded to nearest in groups with a scale, or pruned to n of every m; and back again.

Gholami 2021 (quantisation), Mishra 2021 (n:m sparsity). Both ways keep the order of a layer's rows; a group or a block
of m runs along the inputs of one output.
"""

import torch
from torch import Tensor
from torch.nn import functional as F


def quantise(weight: Tensor, bits: int, group: int) -> tuple[Tensor, Tensor]:
    """[R, ...] -> codes, packed into bytes, uint8 [R, groups * group * bits / 8], and scales, float16 [R, groups].

    ``bits`` is 8, 4 or 2; a ``group`` of 0 is a whole row. A weight is (code - zero) * scale; the largest one of a group
    gets the largest code.
    """
    rows = weight.flatten(1)
    group = group or rows.shape[1] + -rows.shape[1] % (8 // bits)
    padded = F.pad(rows, (0, -rows.shape[1] % group)).view(len(rows), -1, group)  # [R, groups, group]
    top = 2 ** (bits - 1) - 1
    scales = (padded.abs().amax(2) / top).clamp(min=1e-7).half()
    codes = ((padded / scales.float()[:, :, None]).round().clamp(-top, top) + top).byte().flatten(1)
    packed = torch.zeros(len(rows), codes.shape[1] * bits // 8, dtype=torch.uint8)
    for place in range(8 // bits):
        packed |= codes[:, place :: 8 // bits] << (bits * place)
    return packed, scales


def restore(packed: Tensor, scales: Tensor, bits: int, shape: tuple[int, ...]) -> Tensor:
    """The weights of ``quantise``, float32 of ``shape``."""
    parts = [(packed >> (bits * place)) & (2**bits - 1) for place in range(8 // bits)]
    codes = torch.stack(parts, 2).flatten(1).float() - (2 ** (bits - 1) - 1)
    rows = (codes.view(len(codes), scales.shape[1], -1) * scales.float()[:, :, None]).flatten(1)
    return rows[:, : _size(shape[1:])].reshape(shape)


def prune(weight: Tensor, n: int, m: int) -> tuple[Tensor, Tensor]:
    """[R, ...] -> the n largest of every m weights of a row, float16 [blocks, n], and their places."""
    rows = weight.flatten(1)
    blocks = F.pad(rows, (0, -rows.shape[1] % m)).view(-1, m)
    places = blocks.abs().topk(n, dim=1).indices.sort(dim=1).values
    return blocks.gather(1, places).half(), places.byte()


def fill(kept: Tensor, places: Tensor, m: int, shape: tuple[int, ...]) -> Tensor:
    """The weights of ``prune``, zero where they were left out, float32 of ``shape``."""
    blocks = torch.zeros(len(kept), m).scatter_(1, places.long(), kept.float())
    return blocks.view(shape[0], -1)[:, : _size(shape[1:])].reshape(shape)


def _size(shape: tuple[int, ...]) -> int:
    return torch.Size(shape).numel()
