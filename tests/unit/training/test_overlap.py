"""Overlap of texts, and search: each measure takes its own gold and refuses its counter-example."""

import pytest
import sacrebleu
import torch

from bottega.evaluation.overlap import chrf, first_sentence, rouge_l
from bottega.evaluation.retrieval import bm25_scores, nearest_texts, recalls, tf_idf_scores

SAID = ["libreria per immagini", "un server web, molto veloce", "font"]
WANTED = ["libreria per le immagini", "server web piccolo e veloce", "documentazione"]


def test_chrf_is_that_of_sacrebleu() -> None:
    assert chrf(SAID, WANTED) == pytest.approx(sacrebleu.corpus_chrf(SAID, [WANTED]).score)
    assert chrf(WANTED, WANTED) == 100 and chrf(["abc"], ["xyz"]) == 0 and chrf([""], ["xyz"]) == 0


def test_rouge_l_counts_words_in_order() -> None:
    assert rouge_l("A fast Server", "a fast server") == 1
    assert rouge_l("server fast", "fast server") == 0.5  # one of two words in order
    assert rouge_l("the cat sat", "the cat on a mat sat") == pytest.approx(2 * 3 / 9)
    assert rouge_l("", "word") == rouge_l("other", "word") == 0


def test_the_first_sentence_ends_with_its_stop() -> None:
    assert first_sentence("It is v1.2 of foo. It runs.") == "It is v1.2 of foo."
    assert first_sentence("no stop at all") == "no stop at all"


def test_search_finds_rare_words_before_frequent_ones() -> None:
    texts = [b"the the fast parser of the", b"the slow parser of xml", b"the fast reader of the xml"]
    for scores in (tf_idf_scores(texts * 2), bm25_scores(texts)):
        assert nearest_texts(scores, [b"slow", b"fast parser"]) == [1, 0]
    assert recalls(bm25_scores(texts), [b"fast parser", b"slow", b"reader"], (1,)) == [1.0]
    assert recalls(bm25_scores(texts), [b"slow", b"fast parser", b"reader"], (1, 3)) == [
        pytest.approx(1 / 3),
        1.0,
    ]
    blind = recalls(lambda asked: torch.zeros(len(asked), 3), texts, (1, 3))
    assert blind == [0.0, 1.0]  # of equal scores the right one comes last
