"""One suite for every embedder that ships, on its real weights."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from bottega.catalog.catalog import Catalog
from bottega.core.errors import NotFound, WeightsMissing
from bottega.retrieval.embed import DEFAULT, EMBEDDERS, Embedder, load
from bottega.retrieval.embed_step import DIMENSIONS
from bottega.settings import Settings

KETTLE = "The kettle boils one litre of water in two minutes."
TEXTS = (
    KETTLE,
    "Our warranty covers repairs for twenty-four months.",
    "The choir sings in the old church on Sundays.",
    "",
    "!?",
    "kettle " * 2_000,
)

pytestmark = [pytest.mark.weights(name) for name in EMBEDDERS]


@pytest.fixture(scope="module", params=list(EMBEDDERS))
def embedder(request: pytest.FixtureRequest) -> Embedder:
    return load(request.param, Catalog(Settings().home), 2)


def test_vectors_have_length_one_and_depend_on_their_text_alone(embedder: Embedder) -> None:
    together = embedder.passages(TEXTS)
    assert embedder.dimensions == DIMENSIONS[embedder.id]
    assert together.shape == (len(TEXTS), embedder.dimensions) and together.dtype == np.float32
    assert np.isfinite(together).all()
    lengths = np.linalg.norm(together, axis=1)
    assert np.allclose(lengths[lengths > 0], 1, atol=1e-5) and (lengths[:3] > 0).all()
    for text, vector in zip(TEXTS, together, strict=True):
        assert np.array_equal(embedder.passages([text])[0], vector)
    assert embedder.passages([]).shape == (0, embedder.dimensions)


def test_a_question_is_nearest_to_what_answers_it(embedder: Embedder) -> None:
    vectors = embedder.passages(TEXTS[:3])
    asked = (
        "How long does the kettle need to boil water?",
        "How many months of warranty are there?",
        "Where do people sing?",
    )
    for number, question in enumerate(asked):
        query = embedder.query(question)
        assert query.shape == (embedder.dimensions,)
        assert int(np.argmax(vectors @ query)) == number


def test_the_multilingual_one_crosses_languages() -> None:
    model = load("use-multilingual", Catalog(Settings().home), 2)
    vectors = model.passages(TEXTS[:3])
    for said in ("La bouilloire fait bouillir un litre d'eau en deux minutes.", "水壶两分钟烧开一升水。"):
        scores = vectors @ model.query(said)
        assert int(np.argmax(scores)) == 0 and scores[0] > 0.5 > scores[2]


def test_what_is_not_there_is_named(tmp_path: Path, weights: Callable[[str], Path]) -> None:
    assert (weights(DEFAULT) / "model.onnx").is_file()
    with pytest.raises(NotFound, match="no embedder is called 'word2vec'"):
        load("word2vec", Catalog(tmp_path), 1)
    with pytest.raises(WeightsMissing) as missing:
        load(DEFAULT, Catalog(tmp_path), 1)
    assert missing.value.remedy == f"bottega pull {DEFAULT}"
