"""A large shelf has a graph: it finds what multiplying finds, never another shelf's rows, and goes with what it was made of."""

from pathlib import Path

import numpy as np
import pytest
from tests.collecting import Hashed, Shelved

from bottega.retrieval.collections import graph
from bottega.retrieval.collections.graph import Graph
from bottega.retrieval.collections.vectors import VectorFile
from bottega.retrieval.embed import unit

WORDS = ("kettle", "teapot", "ferry", "heron", "river", "lamp", "valve", "garden", "letter", "bridge")


@pytest.fixture
def large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shelved:
    """Forty documents for all and two for the board; twenty make a shelf large."""
    monkeypatch.setattr(graph, "LEAST", 20)
    shelved = Shelved(tmp_path, Hashed())
    for number in range(40):
        one, other = WORDS[number % 10], WORDS[number // 4]
        shelved.write(f"open/{number:02d}.md", f"The {one} stands by the {other}, number{number}.")
    for number in range(2):
        shelved.write(f"board/{number}.md", f"The kettle stands by the kettle, secret{number}.")
    shelved.index(shelved.files / "open")
    shelved.index(shelved.files / "board", labels=["board"])
    return shelved


def files(shelved: Shelved) -> list[Path]:
    return sorted((shelved.place / "vectors").glob("*-graph-*"))


def found(shelved: Shelved, query: str, *labels: str) -> list[tuple[str, float]]:
    hits = shelved.search(query, *labels, method="vectors")
    return [(hit.document.name, hit.score) for hit in hits]


def test_it_finds_what_is_nearest(tmp_path: Path) -> None:
    chance = np.random.default_rng(1)
    file = VectorFile(tmp_path / "1-0.f32", 32)
    file.write(0, unit(chance.standard_normal((3000, 32))))
    rows = np.arange(0, 3000, 3)
    path = graph.path_of(file.path, 7)
    graph.build(path, file, rows)
    made = Graph(path)
    assert made.covers(rows) and made.covers(np.append(rows, 2999)) and not made.covers(rows[1:])
    shared = 0
    for _ in range(20):
        query = unit(chance.standard_normal(32))
        nearest = made.nearest(query, 10)
        assert set(nearest) <= set(rows)
        shared += len(set(nearest) & set(rows[file.nearest(query, rows, 10)[0]]))
    assert shared >= 195, shared


def test_a_search_is_what_it_is_without_a_graph(large: Shelved, monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(files(large)) == 1
    queries = [f"{one} {other}" for one in WORDS for other in WORDS[:3]]
    with_graph = [found(large, query) for query in queries]
    with monkeypatch.context() as patched:
        patched.setattr(graph, "installed", lambda: False)
        assert [found(large, query) for query in queries] == with_graph
    large.write("open/40.md", "Number forty is new, number40 number40.")
    large.index(large.files / "open")
    assert found(large, "number40")[0][0].endswith("40.md")  # newer than the graph


def test_it_holds_what_everybody_may_see_and_no_more(large: Shelved) -> None:
    (path,) = files(large)
    assert len(Graph(path).rows) == 40
    assert not any("board" in name for name, _ in found(large, "kettle kettle secret0"))
    assert "board" in found(large, "kettle kettle secret0", "board")[0][0]


def test_what_is_taken_out_is_in_no_graph(large: Shelved) -> None:
    large.remove(found(large, "number3")[0][0])
    assert files(large) == []  # at once, with the vectors that it held
    assert found(large, "kettle teapot")
    large.index(large.files / "open", prune=True)
    assert len(files(large)) == 1


def test_a_document_under_another_label_is_not_found_by_the_old_graph(large: Shelved) -> None:
    name = found(large, "number7")[0][0]
    old = files(large)[0].read_bytes()
    large.index(large.files / "open" / Path(name).name, labels=["board"])
    files(large)[0].write_bytes(old)
    assert all(other != name for other, _ in found(large, "number7"))
    assert name in [other for other, _ in found(large, "number7", "board")]
