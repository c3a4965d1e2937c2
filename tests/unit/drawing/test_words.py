"""A prompt is read as a style, known words and what is passed over; one plain thing is told from words to set."""

import pytest

from bottega.core.errors import InvalidValue
from bottega.drawing.words import asked, needed, thing

DRAWN = ("outline", "filled", "arrow", "box", "glasses", "light")
MEASURED = ("style:thin", "style:regular", "style:bold", "style:solid", "style:shaded", "cup", "tree", "up")


def test_words_are_looked_up_and_unknown_ones_said() -> None:
    assert asked("Filled arrows, please!", DRAWN) == (2, (3,), ("please",))
    assert asked("glasses box arrow", DRAWN) == (1, (3, 4, 5), ())
    assert asked("Two trees, and a filled CUP!", MEASURED) == (4, (6, 7), ("two", "and", "a"))
    assert asked("zebra", MEASURED) == (2, (), ("zebra",))
    assert asked("ankle boot", ("sandal", "ankle boot")) == (0, (2,), ())
    assert asked("cup tree", MEASURED, drawn={7}) == (2, (7,), ("cup",))


def test_a_word_that_the_model_draws_is_no_style() -> None:
    assert asked("light", DRAWN) == (1, (6,), ())
    assert asked("light cup", MEASURED) == (1, (6,), ())


def test_a_prompt_of_no_known_word_is_refused_with_words_near_to_it() -> None:
    with pytest.raises(InvalidValue, match="no word of 'arow' is known") as error:
        needed("arow", DRAWN)
    assert "arrow" in error.value.remedy and "filled" not in error.value.remedy


@pytest.mark.parametrize(
    ("prompt", "words"),
    [
        ("a cup", "regular cup"),
        ("solid trees", "solid tree"),
        ("an icon of a big green tree", "regular tree"),
        ("cup tree", ""),  # two things
        ("a green tree", ""),  # a thing, and what cannot be drawn
        ("Tree sale on Saturday", ""),
        ("zebra icon", ""),
        ("up", ""),  # too short to be sure
        ("arrow up icon", "regular up"),
        ("icon", ""),
        ("", ""),
    ],
)
def test_one_plain_thing_is_told_from_words_to_set(prompt: str, words: str) -> None:
    assert thing(prompt, MEASURED) == words
