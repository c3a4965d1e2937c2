"""Text to the phoneme alphabet of Kokoro, by espeak-ng.

Source: hexgrad/Kokoro-82M ``config.json`` (vocabulary) and hexgrad/misaki ``espeak.py`` (mapping), Apache-2.0.
"""

import re
from functools import cache
from typing import Any, Literal

from bottega.engines.base import require

Dialect = Literal["en-us", "en-gb", "fr-fr"]
LONGEST = 510  # tokens the model takes at once, without the two pads

# First id of each run of consecutive symbols in the vocabulary; 114 symbols, id 0 pads.
_RUNS = {
    1: ";:,.!?",
    9: '—…"()“” \u0303ʣʥʦʨᵝ\uab67AI',
    31: "O",
    33: "Q",
    35: "ST",
    39: "W",
    41: "Yᵊabcdef",
    50: "hijklmnopqrstuvwxyzɑɐɒæ",
    75: "βɔɕç",
    80: "ɖðʤə",
    85: "ɚɛɜ",
    90: "ɟ",
    92: "ɡ",
    99: "ɥ",
    101: "ɨɪʝ",
    110: "ɯɰŋɳɲɴø",
    118: "ɸθœ",
    123: "ɹ",
    125: "ɾɻ",
    128: "ʁɽʂʃʈʧ",
    135: "ʊʋ",
    138: "ʌɣɤ",
    142: "χʎ",
    147: "ʒʔ",
    156: "ˈˌː",
    162: "ʰ",
    164: "ʲ",
    169: "↓",
    171: "→↗↘",
    177: "ᵻ",
}
VOCABULARY = {symbol: first + offset for first, run in _RUNS.items() for offset, symbol in enumerate(run)}

# espeak-ng's symbols, ties written ^, to Kokoro's; the longest match is replaced first.
_ENGLISH = {
    "\u0303": "",
    "a^ɪ": "I",
    "a^ʊ": "W",
    "d^ʒ": "ʤ",
    "e": "A",
    "e^ɪ": "A",
    "r": "ɹ",
    "t^ʃ": "ʧ",
    "x": "k",
    "ç": "k",
    "ɐ": "ə",
    "ɔ^ɪ": "Y",
    "ə^l": "ᵊl",
    "ɚ": "əɹ",
    "ɬ": "l",
    "ʔ": "t",
    "ʔn": "tᵊn",
    "ʔˌn\u0329": "tᵊn",
    "ʲ": "",
}
_AMERICAN = {"o^ʊ": "O", "ɜːɹ": "ɜɹ", "ɜː": "ɜɹ", "ɪə": "iə", "ː": "", "ɾ": "T", "o": "ɔ"}
_BRITISH = {"e^ə": "ɛː", "iə": "ɪə", "ə^ʊ": "Q", "o": "ɔ"}
_OTHERS = {
    "a^ɪ": "I",
    "a^ʊ": "W",
    "d^z": "ʣ",
    "d^ʒ": "ʤ",
    "e^ɪ": "A",
    "o^ʊ": "O",
    "ə^ʊ": "Q",
    "t^s": "ʦ",
    "t^ʃ": "ʧ",
    "ɔ^ɪ": "Y",
    "-": "",
}


def phonemes(text: str, dialect: Dialect) -> str:
    """Kokoro's phonemes of one sentence; punctuation is kept, symbols that the model does not know are left out.

    Raises:
        ExtraMissing: without the extra ``speech``.
    """
    text = text.replace("«", "“").replace("»", "”").replace("–", "—").replace("%", " ")
    said: str = _espeak(dialect).phonemize([text], strip=True)[0]
    if dialect == "fr-fr":
        said = _replace(said, _OTHERS)
    else:
        said = re.sub(r"(\S)\u0329", r"ᵊ\1", _replace(said, _ENGLISH)).replace("\u0329", "")
        for old, new in (_AMERICAN if dialect == "en-us" else _BRITISH).items():
            said = said.replace(old, new)
    return "".join(symbol for symbol in said.replace("^", "") if symbol in VOCABULARY).strip()


def token_runs(said: str) -> list[list[int]]:
    """Vocabulary ids, in runs of at most `LONGEST`, cut at punctuation or else between words."""
    runs: list[list[int]] = []
    while said:
        cut = len(said)
        if cut > LONGEST:
            head = said[:LONGEST]
            cut = max(head.rfind(mark) for mark in ";:,—") + 1 or head.rfind(" ") + 1 or LONGEST
        runs.append([VOCABULARY[symbol] for symbol in said[:cut].strip()])
        said = said[cut:].strip()
    return runs


def sounds(words: list[str], language: str) -> list[str]:
    """How each word sounds, without stress: words that sound alike are equal ("litre" and "liter").

    A language without a dialect here keeps its letters.
    """
    dialects: dict[str, Dialect] = {"en": "en-us", "fr": "fr-fr"}
    if language not in dialects or not words:
        return list(words)
    said: list[str] = _espeak(dialects[language]).phonemize(words, strip=True)
    return [re.sub(r"[\^ˈˌː\s-]", "", sound) or word for sound, word in zip(said, words, strict=True)]


def _replace(said: str, table: dict[str, str]) -> str:
    for old in sorted(table, key=len, reverse=True):
        said = said.replace(old, table[old])
    return said


@cache
def _espeak(dialect: Dialect) -> Any:
    loader = require("espeakng_loader", extra="speech")
    wrapper = require("phonemizer.backend.espeak.wrapper", extra="speech").EspeakWrapper
    backend = require("phonemizer.backend", extra="speech").EspeakBackend
    wrapper.set_library(loader.get_library_path())
    wrapper.set_data_path(loader.get_data_path())
    return backend(
        dialect, preserve_punctuation=True, with_stress=True, tie="^", language_switch="remove-flags"
    )
