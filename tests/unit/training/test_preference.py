"""Losses of fine-tuning against what they are by hand, and rewards against gold and counter-examples."""

import math

import pytest
import torch
from torch import Tensor, nn

from bottega.evaluation.rewards import nearest_answer, reward
from bottega.networks.noise import key
from bottega.networks.preference import (
    advantages,
    dpo_loss,
    grpo_loss,
    supervised_loss,
    token_logps,
)


class Fixed(nn.Module):
    """The same logits after every token."""

    def __init__(self, logits: list[float]) -> None:
        super().__init__()
        self.logits = nn.Parameter(torch.tensor(logits))

    def forward(self, tokens: Tensor) -> Tensor:
        return self.logits.expand(*tokens.shape, -1)


def test_log_probabilities_and_the_supervised_loss_count_answers_only() -> None:
    net = Fixed([math.log(0.5), math.log(0.3), math.log(0.2)])
    logps = token_logps(net, torch.tensor([[0, 1, 2, 0]]))
    assert logps.exp().flatten().tolist() == pytest.approx([0.3, 0.2, 0.5])
    mask = torch.tensor([[0.0, 1.0, 1.0]])
    assert float(supervised_loss(logps, mask).detach()) == pytest.approx(-(math.log(0.2) + math.log(0.5)) / 2)


def test_dpo_is_the_logistic_loss_of_the_margin() -> None:
    same = torch.tensor([-3.0, -1.0])
    assert float(dpo_loss(same, same, (same, same), 0.1)) == pytest.approx(math.log(2))
    chosen, rejected = torch.tensor([-1.0]), torch.tensor([-4.0])
    before = torch.tensor([-2.0]), torch.tensor([-3.5])
    margin = (-1 + 2) - (-4 + 3.5)  # 1.5
    loss = dpo_loss(chosen.requires_grad_(), rejected, before, 0.2)
    assert float(loss.detach()) == pytest.approx(math.log(1 + math.exp(-0.2 * margin)))
    loss.backward()
    assert chosen.grad is not None
    assert float(chosen.grad) == pytest.approx(-0.2 / (1 + math.exp(0.2 * margin)))  # equation 7 of the paper


def test_advantages_have_no_mean_and_are_zero_where_all_did_alike() -> None:
    found = advantages(torch.tensor([[1.0, 0.0, 0.0, 0.0], [1.0, 1.0, 1.0, 1.0]]))
    deviation = 0.5  # of one in four, corrected for the sample
    assert found[0].tolist() == pytest.approx([0.75 / deviation, *[-0.25 / deviation] * 3], rel=1e-3)
    assert found[1].tolist() == [0, 0, 0, 0]


def test_grpo_is_the_policy_gradient_and_its_divergence_is_none_at_the_reference() -> None:
    logps = torch.tensor([[-1.0, -2.0, -9.0], [-0.5, -9.0, -9.0]], requires_grad=True)
    mask = torch.tensor([[1.0, 1.0, 0.0], [1.0, 0.0, 0.0]])
    gains = torch.tensor([2.0, -1.0])
    loss = grpo_loss(logps, logps.detach(), gains, mask, beta=0.3)
    assert float(loss.detach()) == pytest.approx(
        (-2.0 + 1.0) / 2
    )  # each answer's mean, then the mean of answers
    (slope,) = torch.autograd.grad(loss, logps)
    assert slope.flatten().tolist() == pytest.approx([-0.5, -0.5, 0, 0.5, 0, 0])
    away = logps.detach() + math.log(2)  # the reference finds every token twice as likely
    pulled = grpo_loss(logps, away, torch.zeros(2), mask, beta=0.3)
    assert float(pulled.detach()) == pytest.approx(0.3 * (2 - math.log(2) - 1))


def test_grpo_by_exact_expectation_raises_the_rewarded_token() -> None:
    net = Fixed([0.0, 0.0, 0.0])
    tokens = torch.tensor(
        [[0, each] for each in (0, 1, 2)]
    )  # each token once: the expectation under this policy
    logps = token_logps(net, tokens)
    gains = torch.tensor([1.0, 0.0, 0.0]) - 1 / 3
    loss = grpo_loss(logps, logps.detach(), gains, torch.ones(3, 1), beta=0.0)
    loss.backward()
    assert net.logits.grad is not None
    chances = torch.full((3,), 1 / 3)
    wanted = -chances * (torch.tensor([1.0, 0.0, 0.0]) - 1 / 3)  # of E[reward], by the softmax's derivative
    assert torch.allclose(net.logits.grad, wanted, atol=1e-6)


def test_losses_are_those_of_whole_batches() -> None:
    a, b, c, d = torch.randn(4, 8, generator=key(0))
    whole = dpo_loss(a, b, (c, d), 0.1)
    each = [dpo_loss(a[i], b[i], (c[i], d[i]), 0.1) for i in range(8)]
    assert torch.allclose(whole, torch.stack(each).mean())


@pytest.mark.parametrize(
    ("kind", "said", "holds"),
    [
        ("answer", b"46", True),
        ("answer", b"460", False),
        ("answer", b"", False),
        ("sentence", b"It all ends here.", True),
        ("sentence", b"It all ends here", False),
        ("sentence", b"it all ends here.", False),
        ("sentence", b"Too short.", False),
        ("sentence", b"It ends. It goes on.", False),
        ("sentence", b"", False),
    ],
)
def test_rewards_accept_gold_and_refuse_the_rest(kind: str, said: bytes, holds: bool) -> None:
    assert reward("answer" if kind == "answer" else "sentence", said, b"46") == holds


def test_the_nearest_prompt_is_the_one_that_shares_most() -> None:
    prompts, answers = [b"12+34=", b"92+35=", b"11+11="], [b"46", b"127", b"22"]
    assert nearest_answer(b"12+35=", prompts, answers) == b"46"  # four in front, one behind
    assert nearest_answer(b"82+35=", prompts, answers) == b"127"
