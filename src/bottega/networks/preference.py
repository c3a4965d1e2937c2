"""Losses of fine-tuning on answers: supervised, by preference (DPO) and by a reward that can be checked (GRPO)."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def token_logps(model: nn.Module, tokens: Tensor) -> Tensor:
    """Log-probability of each token of [B, T] after the first: [B, T - 1]."""
    logits = model(tokens[:, :-1]).float()
    return -F.cross_entropy(logits.transpose(1, 2), tokens[:, 1:], reduction="none")


def supervised_loss(logps: Tensor, mask: Tensor) -> Tensor:
    """Nats a token of the answers; both [B, T], ``mask`` 1 where an answer is."""
    return -(logps * mask).sum() / mask.sum()


def dpo_loss(chosen: Tensor, rejected: Tensor, before: tuple[Tensor, Tensor], beta: float) -> Tensor:
    """-log sigmoid of ``beta`` times how much more than ``before`` the model prefers the chosen answers (Rafailov 2023).

    All are log-probabilities of whole answers, [B]; ``before`` are those of the reference, of chosen and rejected.
    """
    margin = (chosen - before[0]) - (rejected - before[1])
    return -F.logsigmoid(beta * margin).mean()


def advantages(rewards: Tensor) -> Tensor:
    """Rewards [prompts, group] as deviations from the group's mean over its standard deviation: same shape (Shao 2024)."""
    return (rewards - rewards.mean(1, keepdim=True)) / (rewards.std(1, keepdim=True) + 1e-4)


def grpo_loss(logps: Tensor, before: Tensor, gains: Tensor, mask: Tensor, beta: float) -> Tensor:
    """Policy gradient of answers that the model gave just now, held near the reference (Shao 2024, equation 3).

    Sampled anew for every step, so the ratio to the sampling policy is 1 and nothing is clipped.

    Args:
        logps: of the tokens, [B, T].
        before: the same under the reference.
        gains: advantage of each answer, [B].
        mask: 1 where an answer is, its end included, [B, T].
        beta: weight of the divergence, in nats, by the estimator that is never negative (Schulman 2020).
    """
    ratio = torch.exp(logps - logps.detach())
    apart = before - logps
    each = -ratio * gains[:, None] + beta * (torch.exp(apart) - apart - 1)
    return ((each * mask).sum(1) / mask.sum(1).clamp(min=1)).mean()
