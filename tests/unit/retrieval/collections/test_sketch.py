"""Sketches: which vectors are worth multiplying, and that nothing is left of those that went."""

from pathlib import Path

import numpy as np
import pytest
from tests.collecting import Hashed, Shelved

from bottega.retrieval.collections import sketch
from bottega.retrieval.collections.sketch import Sketcher, SketchFile, differing, likeliest
from bottega.retrieval.embed import Vectors, unit


def clustered(count: int, dimensions: int) -> Vectors:
    """Vectors around some forty directions, as texts about some forty things."""
    chance = np.random.default_rng(1)
    middles = chance.standard_normal((40, dimensions))
    return unit(middles[chance.integers(0, 40, count)] + 0.8 * chance.standard_normal((count, dimensions)))


@pytest.mark.parametrize("dimensions", [8, 64, 256, 384, 512, 1024])
def test_a_sketch_depends_on_its_vector_alone(dimensions: int) -> None:
    vectors, sketcher = clustered(300, dimensions), Sketcher(dimensions)
    together = sketcher.codes(vectors)
    assert together.shape == (max(512, dimensions) // 64, 300)
    alone = [sketcher.codes(vectors[place : place + 1]) for place in range(300)]
    assert np.array_equal(together, np.concatenate(alone, axis=1))
    assert np.array_equal(together[:, ::-1], sketcher.codes(vectors[::-1]))


@pytest.mark.parametrize("dimensions", [256, 384])
def test_near_vectors_differ_in_few_bits(dimensions: int) -> None:
    """The share of bits that differ is the angle between two vectors, over pi (Charikar 2002)."""
    vectors, sketcher = clustered(2_000, dimensions), Sketcher(dimensions)
    codes = sketcher.codes(vectors)
    share = differing(codes, codes[:, :1]) / 512
    angle = np.arccos(np.clip(vectors @ vectors[0], -1, 1)) / np.pi
    assert share[0] == 0
    assert np.abs(share - angle).mean() < 0.02


def test_the_best_are_among_the_likeliest() -> None:
    vectors, sketcher = clustered(20_000, 256), Sketcher(256)
    codes = sketcher.codes(vectors)
    questions = unit(vectors[:50] + 0.03 * np.random.default_rng(2).standard_normal((50, 256)))
    shared = 0
    for question in questions:
        best = np.argsort(-(vectors @ question))[:10]
        chosen = likeliest(codes, sketcher.codes(question[None]), 400)
        assert 400 <= len(chosen) < 600 and np.all(np.diff(chosen) > 0)
        shared += len({*best} & {*chosen})
    assert shared >= 0.98 * 500


def test_equal_sketches_are_chosen_together() -> None:
    codes = Sketcher(8).codes(np.tile(unit(np.ones((1, 8))), (5, 1)))
    assert likeliest(codes, codes[:, :1], 2).tolist() == [0, 1, 2, 3, 4]


def test_a_file_may_be_short_or_lost(tmp_path: Path) -> None:
    codes = Sketcher(64).codes(clustered(10, 64))
    file = SketchFile(tmp_path / "a.bits", 8)
    assert file.read(np.arange(3)).shape == (8, 0)
    file.write(0, codes[:, :6])
    assert np.array_equal(file.read(np.array([1, 4, 5, 6, 9])), codes[:, [1, 4, 5]])
    file.blank([4, 9])
    assert not file.read(np.array([4])).any() and file.length == 6


def bits(shelved: Shelved) -> list[Path]:
    return sorted(shelved.place.glob("vectors/*.bits"))


def test_a_large_collection_answers_by_sketches_and_forgets_what_went(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sketch, "KEPT", 3)
    monkeypatch.setattr(sketch, "KEPT_EACH", 1)
    shelved = Shelved(tmp_path, Hashed(), exact=5)
    for number in range(5):
        shelved.write(f"{number}.md", f"The kettle number{number} boils water{number}.")
    shelved.index()
    assert not bits(shelved)  # so few are all compared
    shelved.write("late.md", "A heron stands in the river.")
    shelved.index()
    (file,) = bits(shelved)
    assert SketchFile(file, 8).length == 6
    reader = shelved.open()
    hits = reader.search("heron river", top=1, method="vectors")
    assert hits[0].document.name == "files/late.md"
    file.unlink()  # lost: the sketches are made from the vectors
    assert shelved.search("heron river", top=1, method="vectors") == hits
    shelved.index()
    (file,) = bits(shelved)
    late = SketchFile(file, 8).read(np.array([5]))
    assert late.any()
    shelved.remove("files/late.md")
    assert not SketchFile(file, 8).read(np.array([5])).any()
    assert all(hit.document.name != "files/late.md" for hit in reader.search("heron river", method="vectors"))
    reader.close()
    shelved.embedder = Hashed("other")
    shelved.write("late.md", "A heron stands in the river.")
    shelved.index()
    assert bits(shelved) != [file] and len(bits(shelved)) == 1  # of the new space
