"""A flow that is asked in words: how it begins as another, which pictures it is shown, what it says of unknown words."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest
import torch

from bottega.core.errors import InvalidValue
from bottega.training import checkpoint
from bottega.training.data import base
from bottega.training.families.text_flow import TextFlow, TextFlowConfig, judged_view
from bottega.training.family import Wish
from bottega.training.recipe import Recipe
from bottega.training.runs import open_run, sample, train
from bottega.training.tune import begun_from


def test_it_begins_as_its_base_and_says_when_that_is_gone(
    recipe: Callable[..., Recipe], tmp_path: Path
) -> None:
    train(recipe("text-flow", steps=4), tmp_path / "base", tmp_path, evaluates=False)
    wanted = begun_from(recipe("text-flow", steps=4, fit__rate=1e-9), tmp_path / "base")
    train(wanted, tmp_path / "further", tmp_path, evaluates=False)
    before, after = (checkpoint.read(tmp_path / name / "model.safetensors") for name in ("base", "further"))
    assert before.keys() == after.keys()
    assert all(torch.allclose(before[name], after[name], atol=1e-6) for name in before)
    with pytest.raises(InvalidValue, match="a text-flow is no language model"):
        begun_from(recipe("sft"), tmp_path / "base")
    (tmp_path / "base" / "model.safetensors").write_bytes(b"other")
    with pytest.raises(InvalidValue, match="base is gone or has changed"):
        train(wanted, tmp_path / "again", tmp_path, evaluates=False)


def test_it_draws_what_words_say_and_refuses_words_that_it_does_not_know(
    recipe: Callable[..., Recipe], tmp_path: Path
) -> None:
    train(recipe("text-flow", steps=2), tmp_path / "run", tmp_path)
    run = open_run(tmp_path / "run")
    made = sample(run, Wish(count=3, prompt="a bright one", seed=5))
    assert len({each.data for each in made}) == 3
    assert sample(run, Wish(count=3, prompt="a bright one", seed=5)) == made
    with pytest.raises(InvalidValue, match="no word of 'zebra' is known"):
        sample(run, Wish(prompt="zebra"))


def words(pictures: Path) -> base.Data:
    """Squares whose bags hold a style and up to two words: 4 of 'cup', 2 of 'tree', 1 of both."""
    bags = torch.tensor([[1, 3, 0]] * 4 + [[2, 4, 0]] * 2 + [[1, 3, 4]])
    data = base.load(str(pictures), pictures)
    images = {"images": data.train["images"][:7], "bags": bags}
    shape = {**data.shape, "words": 4, "styles": 2}
    return replace(
        data, train=images, test=images, shape=shape, labels=("style:thin", "style:regular", "cup", "tree")
    )


@pytest.mark.parametrize(("plain", "shown"), [(0, 7), (2, 6), (3, 4)])
def test_plain_pictures_are_those_of_a_word_that_stands_alone_often_enough(
    pictures: Path, plain: int, shown: int
) -> None:
    data = words(pictures)
    family = TextFlow(TextFlowConfig(width=8, plain=plain), data.shape, data.labels, {})
    bags = family.batch(data, 200, torch.Generator().manual_seed(0))[1]
    assert len({tuple(bag) for bag in cast(list[list[int]], bags.tolist())}) == {7: 3, 6: 2, 4: 1}[shown]
    if plain:
        with pytest.raises(InvalidValue, match="so many pictures"):
            TextFlow(TextFlowConfig(width=8, plain=99), data.shape, data.labels, {}).batch(
                data, 2, torch.Generator()
            )


def test_the_judge_sees_each_picture_as_its_rarest_frequent_word(pictures: Path) -> None:
    view = judged_view(words(pictures), torch.tensor([3, 4]), pictures=100)
    assert view.labels == ("cup", "tree")
    assert sorted(cast(list[int], view.train["bags"][:, 0].tolist())) == [1, 1, 1, 1, 2, 2, 2]
