"""The sampler in NumPy says what the network in torch says, under the grammar, from its seeds alone."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save

from bottega.core.errors import InvalidValue
from bottega.drawing import weights
from bottega.drawing.alphabet import BEGIN, CURVE, END, MOVE, POINT, SIZE, STROKE, decode
from bottega.drawing.sampler import How, Network, sample
from bottega.networks.transformer import Decoder

LABELS = ("outline", "filled", "arrow", "box", "glasses")
PROMPTS = [[1, 3], [2, 4, 5], [1, 5]]


@pytest.fixture(scope="module")
def decoder() -> Decoder:
    torch.manual_seed(0)
    net = Decoder(SIZE + len(LABELS), 32, 2, 2, SIZE)
    for weight in net.parameters():
        torch.nn.init.normal_(weight, std=0.1)
    return net.eval()


@pytest.fixture(scope="module")
def network(decoder: Decoder) -> Network:
    return Network({name: weight.numpy() for name, weight in decoder.state_dict().items()}, heads=2)


def test_it_says_what_torch_says_with_a_cache_and_with_padding(decoder: Decoder, network: Network) -> None:
    tokens = torch.randint(SIZE, (2, 9), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        said = decoder(tokens)[:, -1].numpy()
    padded = np.concatenate((np.zeros((2, 3), np.int64), tokens.numpy()), axis=1)
    seen = np.ones((2, 12), np.bool_)
    seen[:, :3] = False
    cache = network.room(2, 12)
    found = network.logits(padded[:, :8], 0, cache, seen)
    for place in range(8, 12):
        found = network.logits(padded[:, place : place + 1], place, cache, seen)
    np.testing.assert_allclose(found, said, atol=1e-5)


def test_every_row_parses_under_the_grammar_and_not_without(network: Network) -> None:
    seeds = range(30)
    for row in sample(network, PROMPTS * 10, How(longest=24), seeds):
        assert decode(row.tokens) and len(row.tokens) <= 24
        assert row.told < 0 and row.alone < 0
    broken = 0
    for row in sample(network, PROMPTS * 10, How(masked=False, longest=24), seeds):
        try:
            decode(row.tokens)
        except InvalidValue:
            broken += 1
    assert broken > 15


def test_a_row_depends_on_its_seed_and_not_on_its_neighbours(network: Network) -> None:
    together = sample(network, PROMPTS, How(longest=20), [5, 6, 7])
    (alone,) = sample(network, PROMPTS[1:2], How(longest=20), [6])
    assert together[1].tokens == alone.tokens
    (other,) = sample(network, PROMPTS[1:2], How(longest=20), [8])
    assert other.tokens != alone.tokens
    cold = [sample(network, PROMPTS[:1], How(temperature=0, longest=20), [seed])[0].tokens for seed in (1, 2)]
    assert cold[0] == cold[1]


def test_it_stops_when_asked_to(network: Network) -> None:
    def stop() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sample(network, PROMPTS, How(), [1, 2, 3], stop)


@pytest.mark.parametrize(
    ("tokens", "why"),
    [
        ([STROKE, MOVE, POINT, POINT], "no end"),
        ([STROKE, MOVE, POINT, END], "started"),
        ([STROKE, MOVE, POINT, CURVE, POINT, POINT, END], "bend3"),
        ([MOVE, POINT, POINT, END], "begin"),
        ([STROKE, SIZE + 3], "opened"),
        ([BEGIN], "begin"),
    ],
)
def test_broken_rows_are_refused_with_their_place(tokens: list[int], why: str) -> None:
    with pytest.raises(InvalidValue, match=why):
        decode(tokens)


def test_weights_are_read_without_torch_and_damage_is_said(tmp_path: Path, decoder: Decoder) -> None:
    file = tmp_path / "model.safetensors"
    state = {name: weight.half() for name, weight in decoder.state_dict().items()}
    file.write_bytes(save(state))
    found = weights.read(file)
    assert sorted(found) == sorted(state)
    np.testing.assert_array_equal(found["word.weight"], state["word.weight"].numpy())
    damages: list[Callable[[bytes], bytes]] = [
        lambda b: b[:50],
        lambda b: b"{" + b,
        lambda b: b[: len(b) // 2],
    ]
    for damage in damages:
        broken = tmp_path / "broken.safetensors"
        broken.write_bytes(damage(file.read_bytes()))
        with pytest.raises(InvalidValue, match="no readable weights"):
            weights.read(broken)
