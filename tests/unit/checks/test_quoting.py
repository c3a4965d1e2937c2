"""The citation gate: a quote stands verbatim at its place, and holds the numbers and names of its sentence."""

import pytest

from bottega.checks.quoting import misplaced, missing_names, missing_numbers, names
from bottega.core.passage import Passage

TEXT = "Rill Duo has a warranty of 36 months. Write to care@hollinvale.example."
PASSAGE = Passage(
    id="w.md#1",
    source="w.md",
    sha256="0" * 64,
    page=2,
    start=100,
    end=100 + len(TEXT),
    heading="Warranty > Rill",
    text=TEXT,
)


def test_its_own_words_at_their_place() -> None:
    assert misplaced(TEXT[:37], PASSAGE, 100, 137, source="w.md", page=2, sha256="0" * 64) == ""


@pytest.mark.parametrize(
    ("quote", "start", "said", "why"),
    [
        ("Rill Duo has a warranty of 63 months.", 100, {}, "does not stand"),
        ("Rill Duo has a warranty. Write to care", 100, {}, "does not stand"),
        (TEXT[:37], 101, {}, "does not stand"),
        (TEXT[:37].replace(" ", "  ", 1), 100, {}, "does not stand"),
        (TEXT[:37], 0, {}, "does not stand"),
        ("", 100, {}, "does not stand"),
        (TEXT[:37], 100, {"source": "other.md"}, "names other.md"),
        (TEXT[:37], 100, {"page": 1}, "page 1"),
        (TEXT[:37], 100, {"sha256": "1" * 64}, "another version"),
    ],
)
def test_anything_else_is_refused(quote: str, start: int, said: dict[str, str], why: str) -> None:
    assert why in misplaced(quote, PASSAGE, start, start + len(quote), **said)  # type: ignore[arg-type]
    assert misplaced(quote, None, start, start + len(quote))


def test_numbers_compare_by_value_and_unit() -> None:
    assert missing_numbers("It is 3 years, for one person.", [PASSAGE]) == []
    assert missing_numbers("It is 36 days.", [PASSAGE]) == ["36 days"]
    assert missing_numbers("It is 4 years.", [PASSAGE], computed=["4 years"]) == []


@pytest.mark.parametrize("said", ["five", "5"])
def test_a_number_spelled_out_is_held_to_its_quote(said: str) -> None:
    quote = PASSAGE.model_copy(update={"text": f"The controller runs {said} valves."})
    assert (
        missing_numbers("It runs five valves.", [quote])
        == missing_numbers("It runs 5 valves.", [quote])
        == []
    )
    assert missing_numbers("It runs six valves.", [quote]) == ["six"]
    assert missing_numbers("Sie steuert zwölf Ventile.", [quote]) == ["zwölf"]


def test_what_a_sentence_lists_itself_it_may_count() -> None:
    assert missing_numbers("It comes in three colours: steel, pine and copper.", [PASSAGE]) == []
    assert missing_numbers("There are two ways, by phone or by mail.", [PASSAGE]) == []
    assert missing_numbers("It comes in four colours: steel, pine and copper.", [PASSAGE]) == ["four"]
    assert missing_numbers("It runs two valves and a pump.", [PASSAGE]) == ["two"]
    assert missing_numbers("One of them is enough.", [PASSAGE]) == []


def test_names_are_words_with_a_capital_inside_a_sentence() -> None:
    said = "Customers of Rill Duo write to care@hollinvale.example, not to NASA or Mr Smith's shop."
    assert list(names(said)) == ["Rill", "Duo", "care@hollinvale.example", "NASA", "Mr", "Smith's"]
    assert missing_names(said, [PASSAGE]) == ["NASA", "Mr", "Smith's"]
    assert missing_names("The Rill Duo has three parts.", [PASSAGE]) == []
    assert missing_names("Rill One is a product of Acme.", [PASSAGE], computed=["Acme"]) == ["One"]
