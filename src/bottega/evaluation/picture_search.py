"""Measures of search: pictures that look for their own name."""

import torch
from torch import Tensor
from torch.nn import functional


def found_at(scores: Tensor, own: Tensor, near: int) -> float:
    """The share of rows of [N, M] whose own column [N] is among the ``near`` highest; equals count half."""
    mine = scores.gather(1, own[:, None])
    before = (scores > mine).sum(1) + ((scores == mine).sum(1) - 1) / 2
    return float((before < near).float().mean())


def overlap_scores(images: Tensor, train: Tensor, bags: Tensor, names: Tensor, words: int) -> Tensor:
    """The words of the training picture nearest by pixels, rare ones counting more, against those of each name.

    Args:
        images: [N, C, S, S]; ``train`` [T, C, S, S].
        train: pictures whose words are known.
        bags: those words, [T, W] indices from 1, 0 for none.
        names: [M, W], as ``bags``.
        words: how many there are.

    Returns:
        [N, M], higher is nearer.
    """
    flat, known = images.flatten(1), train.flatten(1)
    parts = [torch.cdist(flat[i : i + 100], known).argmin(1) for i in range(0, len(flat), 100)]
    counts = torch.zeros(words + 1).index_add_(0, bags.flatten(), torch.ones(bags.numel()))
    rarity = (len(train) / (1 + counts)).log().clamp(min=0)
    rarity[0] = 0

    def rows(indices: Tensor) -> Tensor:
        hot = torch.zeros(len(indices), words + 1).scatter_(1, indices, 1.0) * rarity
        return functional.normalize(hot, dim=1, eps=1e-6)

    return rows(bags[torch.cat(parts)]) @ rows(names).T
