"""What a user may not see changes nothing in what he sees: not the hits, not their order, not one digit of a score."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from tests.collecting import Hashed, Shelved

from bottega.retrieval.collections import sketch
from bottega.retrieval.collections.collection import Method
from bottega.retrieval.collections.sketch import EXACT

WORDS = ("kettle", "kettles", "teapot", "green", "boils", "heron", "river", "salary", "merger", "the", "of")
LABELS = ("hr", "eu", "board")
METHODS: tuple[Method, ...] = ("words", "vectors", "fusion", "rrf")


@dataclass(frozen=True)
class Doc:
    words: tuple[str, ...]
    labels: frozenset[str]


docs = st.lists(
    st.builds(
        Doc,
        st.lists(st.sampled_from(WORDS), min_size=1, max_size=60).map(tuple),
        st.frozensets(st.sampled_from(LABELS), max_size=2),
    ),
    min_size=1,
    max_size=8,
)


def seen(
    folder: Path,
    held: Sequence[tuple[int, Doc]],
    queries: Sequence[str],
    allowed: frozenset[str],
    exact: int = EXACT,
) -> object:
    """Everything that a user can learn from a collection of these documents."""
    shelved = Shelved(folder, Hashed(), exact=exact)
    for labels in sorted(
        {doc.labels for _, doc in held}, key=sorted, reverse=True
    ):  # what is for all comes last
        for number, doc in held:
            if doc.labels == labels:
                shelved.write(f"{number}.md", " ".join(doc.words))
        paths = [shelved.files / f"{number}.md" for number, doc in held if doc.labels == labels]
        shelved.index(*paths, labels=labels or None)
    empty = folder / "empty"
    empty.mkdir()
    shelved.index(empty)  # so that there is a collection, also of nothing
    collection = shelved.open()
    try:
        return (
            [
                [
                    (hit.passage, hit.score, hit.language, hit.document.shown())
                    for hit in collection.search(query, allowed=allowed, method=method)
                ]
                for query in queries
                for method in METHODS
            ],
            [each.shown() for each in collection.documents(allowed=allowed)],
            collection.counts(allowed=allowed),
        )
    finally:
        collection.close()


@settings(max_examples=12, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@example([Doc(("kettle",), frozenset({"hr"})), Doc(("kettle",), frozenset())], ["kettle"], frozenset())
@given(
    docs,
    st.lists(st.lists(st.sampled_from(WORDS), min_size=1, max_size=4).map(" ".join), min_size=1, max_size=2),
    st.frozensets(st.sampled_from(LABELS)),
)
def test_hidden_documents_leave_no_trace(
    held: list[Doc], queries: list[str], allowed: frozenset[str]
) -> None:
    numbered = list(enumerate(held))
    visible = [(number, doc) for number, doc in numbered if doc.labels <= allowed]
    with tempfile.TemporaryDirectory() as all_, tempfile.TemporaryDirectory() as few:
        assert seen(Path(all_), numbered, queries, allowed) == seen(Path(few), visible, queries, allowed)


@settings(max_examples=8, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(
    docs,
    st.lists(st.lists(st.sampled_from(WORDS), min_size=1, max_size=4).map(" ".join), min_size=1, max_size=2),
    st.frozensets(st.sampled_from(LABELS)),
    st.integers(0, 3),
)
def test_hidden_documents_leave_no_trace_where_sketches_choose(
    held: list[Doc], queries: list[str], allowed: frozenset[str], exact: int
) -> None:
    numbered = list(enumerate(held))
    visible = [(number, doc) for number, doc in numbered if doc.labels <= allowed]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sketch, "KEPT", 1)
        patch.setattr(sketch, "KEPT_EACH", 0)
        with tempfile.TemporaryDirectory() as all_, tempfile.TemporaryDirectory() as few:
            assert seen(Path(all_), numbered, queries, allowed, exact) == seen(
                Path(few), visible, queries, allowed, exact
            )


def test_a_label_more_is_a_document_more(tmp_path: Path) -> None:
    shelved = Shelved(tmp_path, Hashed())
    shelved.index(shelved.write("a.md", "The kettle is green."))
    shelved.index(shelved.write("b.md", "The salary is secret."), labels={"hr", "board"})
    for method in METHODS:
        assert not any(hit.document.labels for hit in shelved.search("salary", "hr", method=method))
        assert shelved.search("salary", "hr", "board", method=method)[0].document.name == "b.md"


def test_new_labels_hold_at_once_and_are_never_lost_by_indexing_again(tmp_path: Path) -> None:
    shelved = Shelved(tmp_path, Hashed())
    path = shelved.write("b.md", "The salary is secret.")
    shelved.index(path)
    reader = shelved.open()
    assert reader.search("salary", method="words")
    shelved.index(path, labels={"hr"})
    assert not reader.search("salary", method="words") and not reader.search("salary", method="vectors")
    assert reader.search("salary", allowed=frozenset({"hr"}), method="words")
    shelved.index()
    shelved.write("b.md", "The salary is very secret.")
    shelved.index()  # no labels named: the new text keeps those of the old
    assert not reader.search("salary") and reader.search("salary", allowed=frozenset({"hr"}))
    shelved.index(labels=())
    assert reader.search("salary")
    reader.close()


def test_a_name_taken_by_a_hidden_document_is_free(tmp_path: Path) -> None:
    shelved = Shelved(tmp_path, Hashed())
    shelved.index(shelved.write("one/a.md", "The salary is secret."), labels={"hr"})
    shelved.index(shelved.write("two/a.md", "The kettle is green."))
    assert [hit.document.name for hit in shelved.search("kettle")] == ["a.md"]
    assert {hit.document.name for hit in shelved.search("salary kettle", "hr")} == {"a.md"}
