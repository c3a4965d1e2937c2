"""Numbers in words, English and French, for reading aloud and for comparing what was read."""

import re

_EN_SMALL = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
]
_EN_TENS = ["-", "-", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
_FR_SMALL = [
    "zéro",
    "un",
    "deux",
    "trois",
    "quatre",
    "cinq",
    "six",
    "sept",
    "huit",
    "neuf",
    "dix",
    "onze",
    "douze",
    "treize",
    "quatorze",
    "quinze",
    "seize",
    "dix-sept",
    "dix-huit",
    "dix-neuf",
]
_FR_TENS = [
    "-",
    "-",
    "vingt",
    "trente",
    "quarante",
    "cinquante",
    "soixante",
    "soixante",
    "quatre-vingt",
    "quatre-vingt",
]
_SCALES = ((10**9, "billion", "milliard"), (10**6, "million", "million"), (10**3, "thousand", "mille"))
LONGEST = 12  # digits; longer runs are read digit by digit


def cardinal(digits: str, language: str) -> str:
    """Say a run of decimal digits; a leading zero or more than `LONGEST` digits are said one by one.

    Other languages than English and French get the digits back: their synthesisers read digits themselves.
    """
    if language not in ("en", "fr"):
        return digits
    say = _english if language == "en" else _french
    if len(digits) > LONGEST or (len(digits) > 1 and digits[0] == "0"):
        return " ".join(say(int(digit)) for digit in digits)
    return say(int(digits))


def decimal(whole: str, fraction: str, language: str) -> str:
    """Say a decimal number: "one point seven five", "un virgule soixante-quinze"."""
    if language == "en":
        return f"{cardinal(whole, 'en')} point {' '.join(_english(int(digit)) for digit in fraction)}"
    if language == "fr":
        tail = cardinal(fraction, "fr") if len(fraction) <= 2 else " ".join(_french(int(d)) for d in fraction)
        return f"{cardinal(whole, 'fr')} virgule {tail}"
    return f"{whole}.{fraction}"


def _english(number: int) -> str:
    if number < 20:
        return _EN_SMALL[number]
    if number < 100:
        tens, ones = divmod(number, 10)
        return _EN_TENS[tens] + (f"-{_EN_SMALL[ones]}" if ones else "")
    if number < 1000:
        hundreds, rest = divmod(number, 100)
        return f"{_EN_SMALL[hundreds]} hundred" + (f" {_english(rest)}" if rest else "")
    size, name, _ = next(scale for scale in _SCALES if number >= scale[0])
    count, rest = divmod(number, size)
    return f"{_english(count)} {name}" + (f" {_english(rest)}" if rest else "")


def _french(number: int) -> str:
    if number < 20:
        return _FR_SMALL[number]
    if number < 100:
        tens, ones = divmod(number, 10)
        if tens in (7, 9):
            ones += 10
        if number == 80:
            return "quatre-vingts"
        if not ones:
            return _FR_TENS[tens]
        link = " et " if ones in (1, 11) and tens < 8 else "-"
        return f"{_FR_TENS[tens]}{link}{_FR_SMALL[ones]}"
    if number < 1000:
        hundreds, rest = divmod(number, 100)
        head = "cent" if hundreds == 1 else f"{_FR_SMALL[hundreds]} cent{'' if rest else 's'}"
        return f"{head} {_french(rest)}" if rest else head
    size, _, name = next(scale for scale in _SCALES if number >= scale[0])
    count, rest = divmod(number, size)
    if size == 1000:
        # "cents" and "vingts" lose their s before "mille"
        count_said = re.sub(r"(cent|vingt)s$", r"\1", _french(count))
        head = "mille" if count == 1 else f"{count_said} mille"
    else:
        head = f"{_french(count)} {name}{'s' if count > 1 else ''}"
    return f"{head} {_french(rest)}" if rest else head
