"""What is read aloud: sentences, numbers in words, phonemes."""

import pytest

from bottega.engines.kokoro import mended
from bottega.engines.numerals import cardinal, decimal
from bottega.engines.phonemes import LONGEST, VOCABULARY, phonemes, sounds, token_runs
from bottega.engines.script import sentences
from bottega.engines.spoken import spoken


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("the 1.7 L kettle", "the one point seven litres kettle"),
        ("It costs €49.90.", "It costs forty-nine euros and ninety cents."),
        ("£1.01 or 3 EUR", "one pound and one penny or three euros"),
        ("2200 W at 230 V", "two thousand two hundred watts at two hundred thirty volts"),
        ("Wi-Fi at 5 GHz", "Wi-Fi at five gigahertz"),
        ("1,200 units, 5–10 min", "one thousand two hundred units, five to ten minutes"),
        ("95 °C, 10 % off", "ninety-five degrees Celsius, ten percent off"),
        ("on 2026-03-14 at 09:30", "on fourteen March two thousand twenty-six at nine thirty"),
        ("$3 million & more", "three million dollars and more"),
        ("version 1.2.3, model K1700, 5G", "version 1.2.3, model K1700, 5G"),
    ],
)
def test_english_is_written_out(written: str, said: str) -> None:
    assert spoken(written, "en") == said


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("1,7 L pour 49,90 €", "un virgule sept litre pour quarante-neuf euros quatre-vingt-dix"),
        ("2 200 W, 71 fois", "deux mille deux cents watts, soixante et onze fois"),
        ("à 14:30, de 5 à 10 m", "à quatorze heures trente, de cinq à dix mètres"),
    ],
)
def test_french_is_written_out(written: str, said: str) -> None:
    assert spoken(written, "fr") == said


def test_other_languages_keep_their_digits() -> None:
    assert spoken("Der  Kocher fasst 1,7 L.", "de") == "Der Kocher fasst 1,7 L."


@pytest.mark.parametrize(
    ("number", "english", "french"),
    [
        ("0", "zero", "zéro"),
        ("21", "twenty-one", "vingt et un"),
        ("80", "eighty", "quatre-vingts"),
        ("81", "eighty-one", "quatre-vingt-un"),
        ("97", "ninety-seven", "quatre-vingt-dix-sept"),
        ("200", "two hundred", "deux cents"),
        ("3201", "three thousand two hundred one", "trois mille deux cent un"),
        ("80000", "eighty thousand", "quatre-vingt mille"),
        ("2000000", "two million", "deux millions"),
        ("007", "zero zero seven", "zéro zéro sept"),
    ],
)
def test_cardinals(number: str, english: str, french: str) -> None:
    assert (cardinal(number, "en"), cardinal(number, "fr")) == (english, french)


def test_decimals() -> None:
    assert decimal("1", "75", "en") == "one point seven five"
    assert decimal("1", "75", "fr") == "un virgule soixante-quinze"


def test_markup_is_not_read_and_the_text_stays_as_written() -> None:
    script = "# Aria\n\nIt holds **1.7 L**, e.g. [two pots](http://x.y). Buy it!\n\n- one\n- *two*\n\n```\ncode\n```"
    assert sentences(script) == [
        (0, "Aria"),
        (1, "It holds 1.7 L, e.g. two pots."),
        (1, "Buy it!"),
        (2, "one"),
        (3, "two"),
    ]


def test_abbreviations_do_not_end_a_sentence() -> None:
    said = "Ask Dr. Rossi or J. Smith. It holds 1.7 L. He knows."
    assert [text for _, text in sentences(said)] == [
        "Ask Dr. Rossi or J. Smith.",
        "It holds 1.7 L.",
        "He knows.",
    ]


def test_nothing_to_read() -> None:
    assert sentences("---\n\n  \n") == []


def test_vocabulary_is_the_models() -> None:
    assert len(VOCABULARY) == 114
    assert (VOCABULARY["ᵻ"], VOCABULARY["ˈ"], VOCABULARY[" "], VOCABULARY["ʧ"]) == (177, 156, 16, 133)


def test_phonemes_stay_in_the_vocabulary() -> None:
    assert phonemes("The kettle is ready.", "en-us") == "ðə kˈɛTᵊl ɪz ɹˈɛdi."
    assert phonemes("Bonjour à tous !", "fr-fr").startswith("bɔ̃ʒˈuʁ")
    assert set(phonemes("Čaj, 茶 and tea – “now”?", "en-gb")) <= set(VOCABULARY)


def test_long_sentences_are_cut_at_punctuation() -> None:
    runs = token_runs(("wˈɪndO, " * 90).strip())
    assert all(0 < len(run) <= LONGEST for run in runs)
    assert [run[-1] for run in runs] == [VOCABULARY[","]] * len(runs)


def test_words_that_sound_alike() -> None:
    assert sounds(["litre", "kettle"], "en") == sounds(["liter", "kettle"], "en")
    assert sounds(["kettle"], "en") != sounds(["bottle"], "en")


def test_an_unknown_export_is_left_alone() -> None:
    assert mended(b"another model") == b"another model"
