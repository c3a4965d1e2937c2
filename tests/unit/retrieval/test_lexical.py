"""Words, numbers and BM25."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bottega.core.passage import Passage
from bottega.retrieval.lexical import Lexical
from bottega.retrieval.words import fold, guess_language, numbers, stem, terms


def passage(number: int, text: str, source: str = "a.md", heading: str = "") -> Passage:
    return Passage(
        id=f"{source}#{number}",
        source=source,
        sha256="0" * 64,
        page=1,
        start=0,
        end=len(text),
        heading=heading,
        text=text,
    )


def test_bm25_against_figures_computed_by_hand() -> None:
    """N = 3, two passages hold "kettle": idf = ln(1 + 1.5 / 2.5); lengths 2, 3 and 4, mean 3; k1 1.2, b 0.75."""
    ranked = Lexical(
        [passage(1, "kettle boils"), passage(2, "kettle kettle tea"), passage(3, "tea cup saucer plate")]
    ).rank("kettle")
    idf = math.log(1.6)
    assert idf == pytest.approx(0.4700036)
    assert [(one.passage.id, round(one.score, 6)) for one in ranked] == [
        ("a.md#2", round(idf * 2 * 2.2 / 3.2, 6)),  # 2 + 1.2 * (0.25 + 0.75 * 3 / 3) = 3.2; 0.646255
        ("a.md#1", round(idf * 1 * 2.2 / 1.9, 6)),  # 1 + 1.2 * (0.25 + 0.75 * 2 / 3) = 1.9; 0.544215
    ]


def test_equal_scores_keep_the_order_of_the_sources() -> None:
    passages = [passage(number, "the same kettle") for number in range(1, 6)]
    assert [one.passage for one in Lexical(passages).rank("kettle")] == passages


def test_the_heading_counts() -> None:
    ranked = Lexical([passage(1, "Two years."), passage(2, "Two litres.", heading="Guide > Warranty")]).rank(
        "warranty"
    )
    assert [one.passage.id for one in ranked] == ["a.md#2"]


@pytest.mark.parametrize(
    ("language", "text", "query"),
    [
        ("en", "The batteries are charged and the kettles are on the table.", "charging battery kettle"),
        (
            "fr",
            "Les bouilloires sont garanties dans la boîte pour les clients.",
            "bouilloire garantie client",
        ),
        (
            "de",
            "Die Wasserkocher werden mit den Garantien und für Größen geliefert.",
            "Wasserkochern Garantie große",
        ),
        (
            "es",
            "Los hervidores son rápidos y las garantías de la cocina para el té.",
            "hervidor rápida garantía",
        ),
        ("it", "I bollitori sono veloci e le garanzie della cucina per il tè.", "bollitore veloce garanzia"),
        ("pt", "As chaleiras são rápidas e as garantias da cozinha para o chá.", "chaleira rápida garantia"),
        (
            "nl",
            "De waterkokers worden met de garanties van een keuken voor het huis.",
            "waterkoker garantie keukens",
        ),
    ],
)
def test_endings_and_accents_do_not_matter(language: str, text: str, query: str) -> None:
    lexical = Lexical([passage(1, text)])
    assert lexical.languages == {"a.md": language}
    held = set(terms(text, language))
    assert set(terms(query, language)) <= held


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("1,299.00 EUR", ["1299"]),
        ("1.299,00 EUR", ["1299"]),
        ("1 299 €", ["1299"]),
        ("1’299.50 CHF", ["1299.5"]),
        ("0.82 kg", ["0.82"]),
        ("0,82 kg", ["0.82"]),
        ("70 80 90", ["70", "80", "90"]),
        ("12 000 000", ["12000000"]),
        ("IEC 60335-2-15", ["60335", "2", "15"]),
        ("18.04.2026", ["18", "4", "2026"]),
        ("007", ["7"]),
        ("none", []),
    ],
)
def test_numbers_in_any_notation(text: str, plain: list[str]) -> None:
    assert numbers(text) == plain


@given(st.text(max_size=80), st.sampled_from(["en", "fr", "de", "es", "it", "pt", "nl"]))
def test_terms_do_not_depend_on_case(text: str, language: str) -> None:
    assert all(term == fold(term) for term in terms(text, language))
    for term in terms(text, language):
        assert stem(term, language) or not term


def test_no_words_at_all_count_as_english() -> None:
    assert guess_language(["12 34"]) == "en"
