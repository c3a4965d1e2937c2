"""Written text as it is read aloud: numbers, prices, units and signs in words, sentence by sentence."""

import re
from dataclasses import dataclass
from functools import cache

from bottega.engines.numerals import cardinal, decimal

_NUMBER = r"\d+(?:[.,]\d+)?"
_COINS = {"€": "€", "$": "$", "£": "£", "EUR": "€", "USD": "$", "GBP": "£"}


@dataclass(frozen=True)
class _Words:
    """One language's table. A unit is (singular, plural)."""

    point: str  # decimal separator as written
    to: str
    by: str
    hours: str
    cents: str  # between euros and cents
    money: dict[str, tuple[str, str]]
    small: dict[str, tuple[str, str]]
    units: dict[str, tuple[str, str]]
    signs: dict[str, str]
    months: tuple[str, ...]
    abbreviations: dict[str, str]


_EN = _Words(
    point=".",
    to="to",
    by="by",
    hours="o'clock",
    cents=" and ",
    money={"€": ("euro", "euros"), "$": ("dollar", "dollars"), "£": ("pound", "pounds")},
    small={"€": ("cent", "cents"), "$": ("cent", "cents"), "£": ("penny", "pence")},
    units={
        "W": ("watt", "watts"),
        "kW": ("kilowatt", "kilowatts"),
        "Wh": ("watt-hour", "watt-hours"),
        "kWh": ("kilowatt-hour", "kilowatt-hours"),
        "mAh": ("milliamp hour", "milliamp hours"),
        "V": ("volt", "volts"),
        "Hz": ("hertz", "hertz"),
        "kHz": ("kilohertz", "kilohertz"),
        "MHz": ("megahertz", "megahertz"),
        "GHz": ("gigahertz", "gigahertz"),
        "L": ("litre", "litres"),
        "l": ("litre", "litres"),
        "ml": ("millilitre", "millilitres"),
        "mL": ("millilitre", "millilitres"),
        "g": ("gram", "grams"),
        "kg": ("kilogram", "kilograms"),
        "mm": ("millimetre", "millimetres"),
        "cm": ("centimetre", "centimetres"),
        "m": ("metre", "metres"),
        "km": ("kilometre", "kilometres"),
        "km/h": ("kilometre per hour", "kilometres per hour"),
        "s": ("second", "seconds"),
        "ms": ("millisecond", "milliseconds"),
        "min": ("minute", "minutes"),
        "h": ("hour", "hours"),
        "dB": ("decibel", "decibels"),
        "MB": ("megabyte", "megabytes"),
        "GB": ("gigabyte", "gigabytes"),
        "TB": ("terabyte", "terabytes"),
        "Mbps": ("megabit per second", "megabits per second"),
        "Gbps": ("gigabit per second", "gigabits per second"),
        "%": ("percent", "percent"),
        "°C": ("degree Celsius", "degrees Celsius"),
        "°F": ("degree Fahrenheit", "degrees Fahrenheit"),
        "°": ("degree", "degrees"),
    },
    signs={"&": "and", "+": "plus", "=": "equals", "≥": "at least", "≤": "at most", "~": "about", "±": "plus or minus"},
    months=("January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"),
    abbreviations={
        "e.g.": "for example",
        "i.e.": "that is",
        "approx.": "approximately",
        "vs.": "versus",
        "Mr.": "Mister",
        "Mrs.": "Missus",
        "Dr.": "Doctor",
        "No.": "number",
    },
)  # fmt: skip
_FR = _Words(
    point=",",
    to="à",
    by="par",
    hours="heures",
    cents=" ",
    money={"€": ("euro", "euros"), "$": ("dollar", "dollars"), "£": ("livre", "livres")},
    small={"€": ("", ""), "$": ("", ""), "£": ("", "")},
    units={
        "W": ("watt", "watts"),
        "kW": ("kilowatt", "kilowatts"),
        "Wh": ("wattheure", "wattheures"),
        "kWh": ("kilowattheure", "kilowattheures"),
        "mAh": ("milliampère-heure", "milliampères-heures"),
        "V": ("volt", "volts"),
        "Hz": ("hertz", "hertz"),
        "kHz": ("kilohertz", "kilohertz"),
        "MHz": ("mégahertz", "mégahertz"),
        "GHz": ("gigahertz", "gigahertz"),
        "L": ("litre", "litres"),
        "l": ("litre", "litres"),
        "ml": ("millilitre", "millilitres"),
        "mL": ("millilitre", "millilitres"),
        "g": ("gramme", "grammes"),
        "kg": ("kilogramme", "kilogrammes"),
        "mm": ("millimètre", "millimètres"),
        "cm": ("centimètre", "centimètres"),
        "m": ("mètre", "mètres"),
        "km": ("kilomètre", "kilomètres"),
        "km/h": ("kilomètre à l'heure", "kilomètres à l'heure"),
        "s": ("seconde", "secondes"),
        "ms": ("milliseconde", "millisecondes"),
        "min": ("minute", "minutes"),
        "h": ("heure", "heures"),
        "dB": ("décibel", "décibels"),
        "Mo": ("mégaoctet", "mégaoctets"),
        "Go": ("gigaoctet", "gigaoctets"),
        "To": ("téraoctet", "téraoctets"),
        "%": ("pour cent", "pour cent"),
        "°C": ("degré Celsius", "degrés Celsius"),
        "°": ("degré", "degrés"),
    },
    signs={"&": "et", "+": "plus", "=": "égale", "≥": "au moins", "≤": "au plus", "~": "environ", "±": "plus ou moins"},
    months=("janvier", "février", "mars", "avril", "mai", "juin", "juillet", "août", "septembre", "octobre", "novembre", "décembre"),
    abbreviations={"p. ex.": "par exemple", "env.": "environ", "M.": "Monsieur", "Mme": "Madame", "n°": "numéro"},
)  # fmt: skip
_TABLES = {"en": _EN, "fr": _FR}


def spoken(text: str, language: str) -> str:
    """Write out what a reader would say.

    English and French have tables; text in another language only gets its spaces folded.
    """
    text = re.sub(r"(?<=\d)[\u00a0\u202f](?=\d{3}(?!\d))", "", text)  # spaces that group thousands
    text = re.sub(r"[\s\u00a0\u202f]+", " ", text.replace("’", "'")).strip()
    words = _TABLES.get(language)
    if words is None:
        return text
    for short, long in words.abbreviations.items():
        text = re.sub(rf"(?<![\w.]){re.escape(short)}(?!\w)", long, text)
    if words is _EN:
        text = re.sub(r"(?<=\d),(?=\d{3}(?!\d))", "", text)
    else:
        text = re.sub(r"\b\d{1,3}(?: \d{3})+(?!\d)", lambda found: found[0].replace(" ", ""), text)
    text = re.sub(
        r"\b(\d{4})-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])\b",
        lambda found: f"{int(found[3])} {words.months[int(found[2]) - 1]} {found[1]}",
        text,
    )
    text = re.sub(r"(?<![\w.-])(\d{1,5}(?:[.,]\d+)?) ?[–-] ?(?=\d{1,5}(?![\d-]))", rf"\1 {words.to} ", text)
    text = _prices(text, words)
    text = re.sub(r"\b([01]?\d|2[0-3]):([0-5]\d)\b", lambda found: _time(found[1], found[2], words), text)
    text = _measures(text, words)
    text = re.sub(r"(?<=\d) ?[×x] ?(?=\d)", f" {words.by} ", text)
    for sign, said in words.signs.items():
        text = text.replace(sign, f" {said} ")
    text = re.sub(r" +", " ", text).strip()
    return _numbers(text, words, language)


def _prices(text: str, words: _Words) -> str:
    coin = "€|EUR|USD|GBP|[$£]"
    amount = rf"({_NUMBER})( (?:thousand|million|billion|milliers?|millions?|milliards?)\b)?"

    def say(number: str, scale: str, sign: str) -> str:
        one, many = words.money[_COINS[sign]]
        whole, _, small = number.replace(",", ".").partition(".")
        if scale:
            return f"{number}{scale} {many}"
        said = f"{whole} {one if whole == '1' else many}"
        if small.strip("0"):
            cents = int(small.ljust(2, "0")[:2])
            names = words.small[_COINS[sign]]
            said = f"{said}{words.cents}{cents} {names[0] if cents == 1 else names[1]}".rstrip()
        return said

    text = re.sub(rf"({coin}) ?{amount}", lambda m: say(m[2], m[3] or "", m[1]), text)
    return re.sub(rf"(?<![\w.,]){amount} ?({coin})(?!\w)", lambda m: say(m[1], m[2] or "", m[3]), text)


@cache
def _unit_pattern(names: tuple[str, ...]) -> re.Pattern[str]:
    longest_first = "|".join(re.escape(name) for name in sorted(names, key=len, reverse=True))
    return re.compile(rf"(?<![\w.,])({_NUMBER})[ -]?({longest_first})(?![\w°%/])")


def _measures(text: str, words: _Words) -> str:
    def say(found: re.Match[str]) -> str:
        one, many = words.units[found[2]]
        value = float(found[1].replace(",", "."))
        single = value == 1 if words is _EN else value < 2
        return f"{found[1]} {one if single else many}"

    return _unit_pattern(tuple(words.units)).sub(say, text)


def _time(hour: str, minute: str, words: _Words) -> str:
    if minute == "00":
        return f"{int(hour)} {words.hours}"
    return f"{int(hour)} {words.hours} {int(minute)}" if words is _FR else f"{int(hour)} {minute}"


def _numbers(text: str, words: _Words, language: str) -> str:
    point = re.escape(words.point)
    text = re.sub(
        rf"(?<![\w.,-])(\d+){point}(\d+)(?![\d.,]*\d|\w)",
        lambda found: decimal(found[1], found[2], language),
        text,
    )
    return re.sub(r"(?<![\w.,])\d+(?![\w]|[.,]\d)", lambda found: cardinal(found[0], language), text)
