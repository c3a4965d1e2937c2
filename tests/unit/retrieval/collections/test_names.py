"""Names of letters and digits are found however they are written."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.collecting import Shelved

from bottega.retrieval.collections.analysis import PAIRS, PLAIN, analyser, named


@pytest.mark.parametrize(
    ("written", "asked"),
    [
        ("The TX-400 boils.", "TX400"),
        ("The TX400 boils.", "TX-400"),
        ("The TX400 boils.", "TX 400"),
        ("CD4 cells grow.", "CD 4"),
        ("It weighs 10kg.", "10 kg"),
        ("Covid-19 came.", "COVID19"),
        ("IL\u20106 rises.", "IL6"),
    ],
)
def test_a_name_is_found_in_another_spelling(shelved: Shelved, written: str, asked: str) -> None:
    shelved.embedder = None
    shelved.write("other.md", "# Other\n\nNothing of the kind stands in here.")
    shelved.write("named.md", written)
    shelved.index()
    assert shelved.names(asked) == ["files/named.md"]


@pytest.mark.parametrize("text", ["a well-known word", "2026-11-27", "1,299.00", "", "Zürich"])
def test_words_and_numbers_are_spelled_one_way(text: str) -> None:
    assert named(text, PLAIN) == text


def test_pairs_of_characters_are_left_alone() -> None:
    assert named("CD4", PAIRS) == "CD4"


@given(st.text(max_size=80))
def test_no_term_of_a_text_is_lost(text: str) -> None:
    found = analyser(PLAIN).analyze(text)
    assert analyser(PLAIN).analyze(named(text, PLAIN))[: len(found)] == found


def test_an_index_of_other_terms_is_written_again(shelved: Shelved) -> None:
    shelved.write("named.md", "The TX-400 boils.")
    shelved.index()
    (told,) = shelved.place.rglob("reached.json")
    stamp, generation, shelves, wording = json.loads(told.read_text())
    (index,) = (path for path in told.parent.iterdir() if path.is_dir())
    before = {path.name for path in index.iterdir()}
    told.write_text(json.dumps([stamp, generation, shelves]))  # as the release before wrote it
    assert shelved.names("TX400") == ["files/named.md"]
    assert json.loads(told.read_text()) == [stamp, generation, shelves, wording]
    assert {path.name for path in index.iterdir()} != before
