"""Exact search over a mapped file, in blocks."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bottega.core.errors import StorageFailed
from bottega.retrieval.collections import vectors
from bottega.retrieval.collections.vectors import VectorFile
from bottega.retrieval.embed import unit


@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.sets(st.integers(0, 199)), st.integers(1, 50), st.integers(1, 64))
def test_nearest_is_what_sorting_all_products_gives(
    tmp_path: Path, seen: set[int], top: int, block: int
) -> None:
    table = unit(np.random.default_rng(1).standard_normal((200, 8)))
    file = VectorFile(tmp_path / "v.f32", 8)
    file.write(0, table)
    rows = np.array(sorted(seen), dtype=np.int64)
    query = unit(np.random.default_rng(2).standard_normal(8))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(vectors, "BLOCK", block)
        places, scores = file.nearest(query, rows, top)
    products = np.round(table[rows] @ query, 6)
    best = np.argsort(-products, kind="stable")[:top]
    assert np.allclose(scores, products[best], atol=2e-6)
    assert set(places) == set(best) or np.isclose(products[places], products[best], atol=2e-6).all()


def test_equal_products_keep_their_order_and_nothing_seen_finds_nothing(tmp_path: Path) -> None:
    file = VectorFile(tmp_path / "v.f32", 2)
    file.write(0, np.ones((5, 2), dtype=np.float32))
    query = np.ones(2, dtype=np.float32)
    assert file.nearest(query, np.arange(5), 3)[0].tolist() == [0, 1, 2]
    assert file.nearest(query, np.zeros(0, dtype=np.int64), 3)[0].tolist() == []


def test_a_file_cut_short_is_told(tmp_path: Path) -> None:
    file = VectorFile(tmp_path / "v.f32", 2)
    file.write(0, np.ones((5, 2), dtype=np.float32))
    file.path.write_bytes(file.path.read_bytes()[:-3])
    assert file.length == 4
    with pytest.raises(StorageFailed, match="end at row 4"):
        file.nearest(np.ones(2, dtype=np.float32), np.arange(5), 3)


def test_blank_and_copy(tmp_path: Path) -> None:
    file = VectorFile(tmp_path / "v.f32", 2)
    file.write(0, np.arange(10, dtype=np.float32).reshape(5, 2))
    file.blank([1, 3])
    assert np.fromfile(file.path, "<f4").tolist() == [0, 1, 0, 0, 4, 5, 0, 0, 8, 9]
    file.copy(tmp_path / "w.f32", np.array([4, 2]))
    assert np.fromfile(tmp_path / "w.f32", "<f4").tolist() == [8, 9, 4, 5]
    file.write(2, np.zeros((1, 2), dtype=np.float32))  # what a killed writer left is written over
    assert file.length == 5
