"""The rival classifiers: right on what words tell, at chance on what they do not; and the measures."""

import math
from collections.abc import Callable
from typing import cast

import pytest
import torch
from torch.nn import functional as F

from bottega.evaluation.labels import (
    Sparse,
    TfIdf,
    accuracy,
    logistic_regression,
    macro_f1,
    nearest_centroid,
)
from bottega.networks.encoder import Classifier, Layer
from bottega.networks.noise import key


def test_the_vectors_are_those_of_the_definition() -> None:
    vectors = TfIdf([b"a b b", b"A c", b"b c"])
    one = vectors([b"b b a z"])  # z is in no training text
    rarity = 1 + math.log(4 / 3)  # each word stands in two texts of three
    wanted = F.normalize(torch.tensor([rarity, rarity * (1 + math.log(2))]), dim=0)
    found = one.times(torch.eye(len(vectors.places)))[0]
    assert torch.allclose(found[[vectors.places[b"a"], vectors.places[b"b"]]], wanted)
    assert float(found.square().sum()) == pytest.approx(1)
    dense = torch.randn(1, 2, generator=key(0))
    assert torch.allclose(one.transposed_times(dense), found[:, None] @ dense)


@pytest.mark.parametrize("classifier", [nearest_centroid, logistic_regression])
def test_it_learns_what_words_tell_and_nothing_else(
    classifier: Callable[[Sparse, torch.Tensor, Sparse], torch.Tensor],
) -> None:
    texts = [b"red %d" % (i % 7) if i % 3 else b"blue %d" % (i % 7) for i in range(90)]
    true = torch.tensor([int(bool(i % 3)) for i in range(90)])
    noise = torch.randint(2, (90,), generator=key(1))
    vectors = TfIdf(texts[:60])
    train, test = vectors(texts[:60]), vectors(texts[60:])
    assert accuracy(classifier(train, true[:60], test), true[60:]) == 1
    assert accuracy(classifier(train, noise[:60], test), noise[60:]) < 0.8


def test_logistic_regression_reaches_the_optimum() -> None:
    texts = [b"a b", b"a c", b"b c", b"c", b"a"] * 4
    classes = torch.tensor([0, 1, 2, 2, 0] * 4)
    vectors = TfIdf(texts)(texts)
    dense = vectors.times(torch.eye(3))
    weights = torch.zeros(3, 3, requires_grad=True)
    exact = torch.optim.LBFGS([weights], max_iter=500, tolerance_grad=1e-9, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        exact.zero_grad()
        value = F.cross_entropy(dense @ weights, classes) + 0.05 * weights.square().sum()
        value.backward()
        return value

    exact.step(loss)
    said = logistic_regression(vectors, classes, vectors, decay=0.1)
    assert torch.equal(said, (dense @ weights).argmax(1))


def test_macro_f1_counts_rare_classes_as_much() -> None:
    true, lazy = torch.tensor([0] * 9 + [1]), torch.zeros(10, dtype=torch.int64)
    assert accuracy(lazy, true) == pytest.approx(0.9)
    assert macro_f1(lazy, true) == pytest.approx((18 / 19 + 0) / 2)
    assert macro_f1(true, true) == 1


def test_padding_changes_nothing_and_masks_are_filled_from_both_sides() -> None:
    net = Classifier(5, 16, 2, 2, 3, 4, 8)
    torch.nn.init.normal_(cast(Layer, net.layers[0]).mix.weight, generator=key(0))
    torch.nn.init.normal_(net.head.weight, generator=key(1))
    tokens = torch.tensor([[1, 2, 3]])
    padded = F.pad(tokens, (0, 4), value=5)
    assert torch.allclose(net(tokens), net(padded), atol=1e-5)
    later = net.body(torch.tensor([[1, 2, 4]]))[:, 0]
    assert not torch.allclose(later, net.body(tokens)[:, 0])  # the first token sees the last
    whole = net.masked_loss(padded, 1 - 1e-6, key(2))
    alike = torch.full((1, 3), 6)
    logits = F.linear(net.body(F.pad(alike, (0, 4), value=5))[0, :3], net.word.weight[:5]) * (16**-0.5 * 4)
    assert torch.allclose(whole, F.cross_entropy(logits, tokens[0]))
