"""A run as an entry of the catalog."""

from collections.abc import Callable
from pathlib import Path

import pytest

from bottega.catalog.catalog import Catalog
from bottega.core.errors import InvalidValue, NotFound
from bottega.service.training import Training
from bottega.training.family import Wish
from bottega.training.recipe import Recipe
from bottega.training.runs import open_run, sample, train


def test_a_run_is_published_once_for_a_name(recipe: Callable[..., Recipe], tmp_path: Path) -> None:
    first, second, home = tmp_path / "first", tmp_path / "second", tmp_path / "home"
    service = Training(home, 1)
    with pytest.raises(NotFound, match="not a run folder"):
        service.publish(first, "own")
    train(recipe("gan", steps=2), first, tmp_path, evaluates=False)
    train(recipe("gan", steps=2, seed=1), second, tmp_path, evaluates=False)
    service.publish(first, "own")
    service.publish(first, "own")
    with pytest.raises(InvalidValue, match="other weights"):
        service.publish(second, "own")
    with pytest.raises(InvalidValue, match="id"):
        service.publish(first, "Own Pictures")
    catalog = Catalog(home)
    assert catalog.get("own").licence == "CC0-1.0"
    assert sample(open_run(catalog.path("own")), Wish(count=1)) == sample(open_run(first), Wish(count=1))
