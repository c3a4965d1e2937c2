"""Networks say with their caches what they say without, and low-rank sums change nothing until they have learnt."""

import copy
import itertools
import math
from typing import cast

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from bottega.evaluation.density import PrincipalGaussian, area_under_curve, stitched
from bottega.evaluation.pictures import lines_met
from bottega.networks import lora
from bottega.networks.autoencoder import VAE
from bottega.networks.codebook import VQ, usage
from bottega.networks.control import Controlled, outline
from bottega.networks.embedder import SentenceEncoder
from bottega.networks.encoder_decoder import EncoderDecoder, corrupted, write
from bottega.networks.noise import key
from bottega.networks.transformer import Decoder, distil_loss, next_token_loss
from bottega.networks.unet import UNet
from bottega.training.families.modes import kinds_found


def stirred(net: torch.nn.Module) -> torch.nn.Module:
    """Weights that are not zero anywhere."""
    generator = key(0, "stirred")
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.2)
    return net


def test_writing_from_the_cache_is_writing_without() -> None:
    net = EncoderDecoder(50, 32, 2, 4, 8)
    stirred(net)
    source = torch.randint(50, (3, 9), generator=key(0))
    source[1, 5:] = net.pad
    said = write(net, source, 7, key(0))
    target = F.pad(said, (1, 0), value=net.end)
    with torch.no_grad():
        logs = net(source, target[:, :-1])
        assert torch.allclose(logs.exp().sum(-1), torch.ones(3, 7), atol=1e-4)
        logs[..., net.pad] = -torch.inf
        ended = said == net.pad
        assert torch.equal(logs[..., : net.first_span].argmax(-1)[~ended], said[~ended])
        target = torch.where(target == net.pad, 3, target)
        target[0, 5:] = net.pad
        direct = F.nll_loss(
            net(source, target[:, :-1]).flatten(0, 1), target[:, 1:].flatten(), ignore_index=net.pad
        )
        assert torch.allclose(net.loss(source, target), direct, atol=1e-5)
        alone = write(net, source[1:2, :5], 7, key(0))
    assert torch.equal(alone, said[1:2])  # padding is not read


def test_what_is_copied_goes_on_as_it_went_there() -> None:
    """A network that has learnt nothing yet points behind the word that was written last."""
    net = EncoderDecoder(50, 32, 1, 4, 8)
    source = torch.tensor([[7, 3, 9, 4, 11]])
    with torch.no_grad():
        net.share.bias.fill_(20.0)  # all is copied
        net.point.weight.zero_()
        said = write(net, source, 5, key(0))
    assert said.tolist() == source.tolist()


def test_no_run_is_written_twice() -> None:
    net = EncoderDecoder(6, 16, 1, 2, 2)
    source = torch.tensor([[1, 2, 1, 2, 1, 2, 3, 1]])
    with torch.no_grad():
        net.share.bias.fill_(20.0)  # all is copied, and goes on as it went there
        net.point.weight.zero_()

    def pairs(apart: int) -> list[tuple[int, int]]:
        line = cast(list[int], write(net, source, 12, key(0), apart=apart)[0].tolist())
        return [pair for pair in itertools.pairwise(line) if net.pad not in pair]

    assert len(set(pairs(0))) < len(pairs(0)) and len(set(pairs(2))) == len(pairs(2)) > 2


def test_a_branch_changes_nothing_until_it_has_learnt_and_leaves_its_base() -> None:
    base = cast(UNet, stirred(UNet(1, 8, 3)))
    inputs = (torch.randn(2, 1, 8, 8, generator=key(0)), torch.tensor([0.2, 0.8]), torch.tensor([[1], [3]]))
    net, lines = Controlled(copy.deepcopy(base)), torch.zeros(2, 1, 8, 8)
    net.freeze()
    lines[0, 0, 3] = 1
    assert torch.equal(net(*inputs, lines), base(*inputs))
    stirred(net.joins)
    stirred(net.see)
    assert not torch.equal(net(*inputs, lines)[0], net(*inputs, lines * 0)[0])
    assert torch.equal(net(*inputs, lines)[1], net(*inputs, lines * 0)[1])  # the second has no line
    trained = {name.split(".")[0] for name, parameter in net.named_parameters() if parameter.requires_grad}
    assert trained == {"branch", "see", "joins"}


def test_lines_are_where_brightness_changes_and_are_met_within_a_pixel() -> None:
    square = torch.full((1, 1, 8, 8), -1.0)
    square[..., 2:5, 2:5] = 1.0
    lines = outline(square)
    assert lines[0, 0, 3].tolist() == [0, 1, 0, 0, 1, 0, 0, 0] and lines[0, 0, 6:].sum() == 0
    assert lines_met(lines, lines) == 1.0 and lines_met(lines, lines.roll(1, 3)) == 1.0
    assert lines_met(lines, lines * 0) == 0.0 and lines_met(lines, lines.roll(3, 3)) < 0.7


def test_kinds_that_are_found_are_counted() -> None:
    assert kinds_found(torch.arange(8).repeat(5), 8) == (8, pytest.approx(0.0, abs=1e-6))
    found, divergence = kinds_found(torch.tensor([0, 0, 0, 5]), 8)
    assert found == 2 and divergence == pytest.approx(0.75 * math.log(6) + 0.25 * math.log(2), rel=1e-5)


def test_a_bag_of_words_learns_what_it_says_later() -> None:
    """The way that is only taken in training gives the same vectors."""
    net = SentenceEncoder(50, 16, 0, 2, 32, torch.linspace(0, 6, 50))
    stirred(net)
    tokens = torch.randint(50, (4, 9), generator=key(0))
    tokens[1, 4:] = 50  # padding
    assert torch.allclose(net.train()(tokens), net.eval()(tokens), atol=1e-5)
    assert torch.allclose(net(tokens[1:2, :4]), net(tokens)[1:2], atol=1e-5)


def test_hidden_spans_put_back_are_the_text() -> None:
    for length in (1, 2, 7, 40):
        text, pad = torch.arange(length), 100
        source, target = corrupted(text, pad, 16, 0.15, 3, key(length))
        assert target[0] == target[-1] == pad + 1 and int((source >= pad).sum()) >= 1
        found: list[int] = []
        spans = cast(list[int], target[1:-1].tolist())
        for token in cast(list[int], source.tolist()):
            if token < pad:
                found.append(token)
                continue
            at = spans.index(token) + 1
            while at < len(spans) and spans[at] < pad:
                found.append(spans[at])
                at += 1
        assert found == text.tolist()


def test_low_rank_sums_begin_at_nothing_and_merge_to_the_same() -> None:
    net = UNet(1, 8, 3)
    stirred(net)
    inputs = (torch.randn(2, 1, 8, 8, generator=key(0)), torch.tensor([0.2, 0.8]), torch.tensor([[1], [3]]))
    plain = net(*inputs)
    adapted = copy.deepcopy(net)
    lora.adapt(adapted, 2)
    assert torch.equal(adapted(*inputs), plain)
    trained = [parameter for parameter in adapted.parameters() if parameter.requires_grad]
    share = sum(map(torch.numel, trained)) / sum(p.numel() for p in net.parameters())
    assert 0 < share < 0.2
    with torch.no_grad():
        for parameter in trained:
            parameter.add_(0.1)
    changed = adapted(*inputs)
    assert not torch.allclose(changed, plain, atol=1e-3)
    lora.merge(adapted)
    assert torch.allclose(adapted(*inputs), changed, atol=1e-5)
    assert adapted.state_dict().keys() == net.state_dict().keys()


def test_a_codebook_follows_what_is_near_and_wakes_what_is_dead() -> None:
    net = VQ(1, 8, 8, 16, 4)
    net.book[:8] += 1000  # nothing will be near to these
    images = torch.rand(8, 1, 8, 8, generator=key(1)) * 2 - 1
    for step in range(200):
        net.loss(images, key(2, step))
    with torch.no_grad():
        vectors, codes = net.encode(images)
    assert float((vectors - net.book[codes]).square().mean()) < float(vectors.var(dim=(0, 1, 2)).mean()) / 2
    assert usage(codes, 16)[0] > 0.5 and net.book.abs().max() < 100
    assert usage(torch.zeros(5, dtype=torch.int64), 4) == (0.25, 1.0)


def test_the_prior_of_an_autoencoder_draws_what_it_says_is_likely() -> None:
    net = VAE(1, 8, 8, 2, 3)
    with torch.no_grad():
        centres, shares = torch.tensor([[5.0, 0], [-5, 0], [0, 5]]), torch.tensor([[0.5], [0.25], [0.25]])
        net.counts.copy_(shares[:, 0])
        net.sums.copy_(centres * shares)
        net.squares.copy_((centres.square() + 1) * shares)
        drawn = net.draw(torch.rand(4000, generator=key(0)), torch.randn(4000, 2, generator=key(1)))
        assert abs(float((drawn[:, 0] > 2.5).float().mean()) - 0.5) < 0.05
        grid = torch.cartesian_prod(*[torch.linspace(-12, 12, 200)] * 2)
        assert abs(float((-net.prior(grid)).exp().mean()) * 24**2 - 1) < 0.05
        assert float(net.prior(drawn).mean()) < float(net.prior(torch.zeros(1, 2)))


def test_the_prior_of_an_autoencoder_follows_its_latents() -> None:
    """Three heaps of which it knows nothing at first are told apart, and as likely as they are."""
    net = VAE(1, 8, 8, 2, 8)
    net.sums.copy_(torch.zeros(8, 2))  # all Gaussians alike: the dead ones begin anew where latents are
    centres = torch.tensor([[5.0, 0], [-5, 0], [0, 5]])

    def latents(step: int, count: int) -> Tensor:
        heap = torch.randint(3, (count,), generator=key(0, step))
        return centres[heap] + torch.randn(count, 2, generator=key(1, step)) * 0.3

    before = float(net.prior(latents(-1, 1000)).mean())
    for step in range(400):
        net.follow(latents(step, 64), key(2, step))
    exact = math.log(3) + 2 * (math.log(0.3) + 0.5 * math.log(2 * math.pi) + 0.5)
    assert float(net.prior(latents(-1, 1000)).mean()) < exact + 0.3 < before


def test_a_gaussian_says_that_stitched_pictures_are_odd() -> None:
    level = torch.rand(400, 1, 1, 1, generator=key(0)) * 2 - 1
    images = (level + torch.randn(400, 1, 8, 8, generator=key(1)) * 0.05).expand(400, 1, 8, 8)
    density = PrincipalGaussian(images[:300], 1)
    held = images[300:]
    assert area_under_curve(density.nats(stitched(held)), density.nats(held)) > 0.9
    assert area_under_curve(density.nats(held), density.nats(held)) == 0.5
    assert float((density.rebuilt(held) - held).square().mean()) < 0.01


def test_a_student_is_told_off_for_what_it_says_otherwise_than_its_teacher() -> None:
    torch.manual_seed(0)
    teacher, student = (Decoder(11, 16, 1, 2) for _ in range(2))
    for net in (teacher, student):
        torch.nn.init.normal_(net.layers[0].get_parameter("mix.weight"))
    tokens = torch.randint(11, (3, 7), generator=key(0))
    odds, said = (net(tokens[:, :-1]).flatten(0, 1).log_softmax(-1) for net in (teacher, student))
    apart = (odds.exp() * (odds - said)).sum(-1).mean()
    assert distil_loss(student, teacher, tokens, 1.0, 1.0).item() == pytest.approx(apart.item(), rel=1e-5)
    assert distil_loss(teacher, teacher, tokens, 3.0, 1.0).item() == pytest.approx(0, abs=1e-6)
    alone = next_token_loss(student, tokens)
    assert distil_loss(student, teacher, tokens, 3.0, 0.0).item() == pytest.approx(alone.item())
    distil_loss(student, teacher, tokens, 2.0, 0.9).backward()
    assert all(p.grad is None for p in teacher.parameters()) and student.word.weight.grad is not None
