"""Amounts stay with the things that the quotes give them to."""

import pytest

from bottega.checks.quoting import things
from bottega.core.passage import Passage
from bottega.retrieval.answers.bound import exchanged
from bottega.retrieval.sentences import sentence_spans


def quote(text: str, heading: str = "") -> Passage:
    return Passage(
        id="a#1",
        source="a",
        sha256="0" * 64,
        page=1,
        start=0,
        end=max(1, len(text)),
        heading=heading,
        text=text,
    )


POWER = quote(
    "The controller of Rill Estate uses 18 W. Rill One and Rill Duo use 6 W. A valve is below 35 dB."
)
WARRANTY = quote("Rill One has a warranty of 24 months. Rill Duo has a warranty of 36 months.")
PRICES = quote("product: Replacement filter; price_eur: 6.80 EUR\nproduct: Leak Sensor; price_eur: 19.90 EUR")
TIMES = quote("In the EU the Rill Duo arrives in 3 days. It costs 149 EUR. Rill One costs 99 EUR.")


@pytest.mark.parametrize(
    ("claim", "source"),
    [
        ("Rill Estate uses 18 W for Rill One and 6 W for Rill Duo.", POWER),
        ("Rill One uses 18 W.", POWER),
        ("Rill Estate uses 6 W.", POWER),
        ("The warranty is 36 months for Rill One.", WARRANTY),
        ("Rill Duo has a warranty of 2 years.", WARRANTY),
        ("The Leak Sensor costs 6.80 EUR.", PRICES),
        ("The Rill One costs 149 EUR.", TIMES),
        ("Rill Estate uses 6 W and Rill One uses 18 W.", POWER),
    ],
)
def test_an_amount_of_another_thing_is_refused(claim: str, source: Passage) -> None:
    assert "its quote gives" in exchanged(claim, [source])


@pytest.mark.parametrize(
    ("claim", "source"),
    [
        ("Rill Estate uses 18 W.", POWER),
        ("Rill Estate uses 18 W, and Rill One and Rill Duo use 6 W.", POWER),
        ("18 W is used by the controller of Rill Estate, 6 W by Rill One and Rill Duo.", POWER),
        ("The controller uses 18 W.", POWER),
        ("Rill Duo has a warranty of 3 years.", WARRANTY),
        ("The warranty of Rill Duo is 36 months compared to 24 months for Rill One.", WARRANTY),
        ("24 months for Rill One and 36 months for Rill Duo.", WARRANTY),
        ("Unlike Rill One with 24 months, Rill Duo has a warranty of 36 months.", WARRANTY),
        ("Rill Duo's warranty of 36 months is longer than that of Rill One.", WARRANTY),
        ("The Leak Sensor costs 19.90 EUR.", PRICES),
        ("Rill Duo costs 149 EUR.", TIMES),  # the quote says "it"
        ("Rill Duo costs 149 EUR and Rill One 99 EUR.", TIMES),
        ("Rill Duo is better than Rill One and has 36 months.", WARRANTY),
        ("Duo has a warranty of 36 months and Rill One has 24 months.", WARRANTY),
        ("Rill Sky uses 18 W.", POWER),  # a name that the quotes lack is another rule's
    ],
)
def test_what_may_be_so_is_not(claim: str, source: Passage) -> None:
    assert exchanged(claim, [source]) == ""


def test_a_heading_names_what_stands_under_it() -> None:
    quotes = [
        quote("Power: 18 W.", "Models > Rill Estate"),
        quote("Rill One uses 6 W, Rill Estate no more than 20 W."),
    ]
    assert exchanged("Rill Estate uses 18 W.", quotes) == ""
    assert exchanged("Rill One uses 18 W.", quotes)


def test_words_of_one_name_stay_together() -> None:
    said = "The controller of Rill Estate and Rill Duo, made by Hollin."
    assert [name for name, *_ in things(said)] == ["Rill Estate", "Rill Duo", "Hollin"]
    for name, start, end in things(said):
        assert said[start:end] == name


def test_a_measure_ends_a_sentence_and_an_initial_does_not() -> None:
    text = "It uses 18 W. Rill One uses 6 W. J. Doe wrote this in 1999."
    assert [text[start:end] for start, end in sentence_spans(text)] == [
        "It uses 18 W.",
        "Rill One uses 6 W.",
        "J. Doe wrote this in 1999.",
    ]
