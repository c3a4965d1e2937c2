"""Numbers with their units, as people write them in seven languages."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

_UNITS: dict[str, tuple[str, Fraction]] = {}  # spelling to (dimension, size in the dimension's base unit)


def _unit(dimension: str, size: str, spellings: str) -> None:
    _UNITS.update(dict.fromkeys(spellings.split(), (dimension, Fraction(size))))


_unit(
    "time",
    "1",
    "s sec secs second seconds seconde secondes sekunde sekunden segundo segundos secondo secondi seconden",
)
_unit("time", "60", "min mins minute minutes minuten minuto minutos minuti minuut")
_unit("time", "3600", "h hr hrs hour hours heure heures stunde stunden hora horas ora ore uur")
_unit("time", "86400", "day days jour jours tag tage tagen día días giorno giorni dia dias dag dagen")
_unit("time", "604800", "week weeks semaine semaines woche wochen semana semanas settimana settimane weken")
_unit("months", "1", "month months mois monat monate monaten mes meses mese mesi mês maand maanden")
_unit(
    "months", "12", "year years yr yrs an ans année années jahr jahre jahren año años anno anni ano anos jaar"
)
_unit("mass", "1/1000", "mg")
_unit("mass", "1", "g gram grams gramme grammes gramm gramo gramos grammo grammi grama gramas")
_unit(
    "mass", "1000", "kg kilo kilos kilogram kilograms kilogramme kilogrammes kilogramm kilogramo kilogramos"
)
_unit("mass", "45359237/100000", "lb lbs pound pounds")
_unit("mass", "45359237/1600000", "oz ounce ounces")
_unit(
    "length",
    "1",
    "mm millimetre millimetres millimeter millimeters millimètre millimètres milímetro milímetros",
)
_unit(
    "length",
    "10",
    "cm centimetre centimetres centimeter centimeters centimètre centimètres centímetro centímetros",
)
_unit("length", "1000", "m metre metres meter meters mètre mètres metro metros metri")
_unit(
    "length",
    "1000000",
    "km kilometre kilometres kilometer kilometers kilomètre kilomètres kilómetro kilómetros",
)
_unit("length", "127/5", "in inch inches ″")
_unit("length", "1524/5", "ft foot feet")
_unit("volume", "1", "ml millilitre millilitres milliliter milliliters")
_unit("volume", "10", "cl centilitre centilitres")
_unit("volume", "1000", "l litre litres liter liters litro litros litri")
_unit("power", "1", "w watt watts")
_unit("power", "1000", "kw kilowatt kilowatts")
_unit("energy", "1", "wh")
_unit("energy", "1000", "kwh")
_unit("charge", "1", "mah")
_unit("voltage", "1", "v volt volts")
_unit("current", "1", "a amp amps ampere amperes")
_unit("frequency", "1", "hz hertz")
_unit("frequency", "1000", "khz")
_unit("frequency", "1000000", "mhz")
_unit("frequency", "1000000000", "ghz")
_unit("pressure", "1", "bar bars")
_unit("sound", "1", "db dba db(a) decibel decibels décibels")
_unit("data", "1", "kb")
_unit("data", "1000", "mb")
_unit("data", "1000000", "gb")
_unit("data", "1000000000", "tb")
_unit("celsius", "1", "°c ℃ c")
_unit("fahrenheit", "1", "°f ℉")
_unit("percent", "1", "% percent prozent procent")
_unit("percent", "1", "pct")
_unit("EUR", "1", "€ eur euro euros")
_unit("USD", "1", "$ usd us$ dollar dollars")
_unit("GBP", "1", "£ gbp")
_unit("CHF", "1", "chf")
_unit("JPY", "1", "¥ jpy yen")
MONEY = frozenset({"EUR", "USD", "GBP", "CHF", "JPY"})

_MONTHS: dict[str, int] = {}
for _names in (
    "january february march april may june july august september october november december",
    "janvier février mars avril mai juin juillet août septembre octobre novembre décembre",
    "januar februar märz april mai juni juli august september oktober november dezember",
    "enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre",
    "gennaio febbraio marzo aprile maggio giugno luglio agosto settembre ottobre novembre dicembre",
    "janeiro fevereiro março abril maio junho julho agosto setembro outubro novembro dezembro",
    "januari februari maart april mei juni juli augustus september oktober november december",
    "jan feb mar apr may jun jul aug sep oct nov dec",
):
    _MONTHS.update({name: number for number, name in enumerate(_names.split(), 1)})

_WORDS: dict[str, int] = {}
for _names in (
    "two three four five six seven eight nine ten eleven twelve",
    "deux trois quatre cinq six sept huit neuf dix onze douze",
    "zwei drei vier fünf sechs sieben acht neun zehn elf zwölf",
    "dos tres cuatro cinco seis siete ocho nueve diez once doce",
    "due tre quattro cinque sei sette otto nove dieci undici dodici",
    "dois três quatro cinco seis sete oito nove dez onze doze",
    "twee drie vier vijf zes zeven acht negen tien elf twaalf",
):
    _WORDS.update({name: number for number, name in enumerate(_names.split(), 2)})
_WORDS.update(
    {
        "duas": 2,
        "one": 1,
        "une": 1,
        "ein": 1,
        "eine": 1,
        "una": 1,
        "uno": 1,
        "um": 1,
        "uma": 1,
        "een": 1,
    }
)

_SPACE = "[ \\u00a0\\u202f]"
_NUMBER = rf"\d{{1,3}}(?:{_SPACE}\d{{3}})+(?:[.,]\d+)?(?!\d)|\d{{1,3}}(?:[.,'’]\d{{3}})+(?:[.,]\d+)?(?!\d)|\d+(?:[.,]\d+)?"
_MONTH = "|".join(sorted(map(re.escape, _MONTHS), key=len, reverse=True))
_SPELLED = "|".join(sorted(map(re.escape, _WORDS), key=len, reverse=True))
_UNIT = "|".join(sorted(map(re.escape, _UNITS), key=len, reverse=True))
_SIGN = "€|US\\$|\\$|£|¥|EUR|USD|GBP|CHF"
_FOUND = re.compile(
    rf"""(?P<ymd>\b\d{{4}}-\d{{2}}-\d{{2}}\b)
    |(?P<dmy>\b\d{{1,2}}[./]\d{{1,2}}[./]\d{{4}}\b)
    |(?P<day_month>\b\d{{1,2}}(?:st|nd|rd|th|er|º|\.)?{_SPACE}+(?:de{_SPACE}+)?(?:{_MONTH})\b\.?(?:,?{_SPACE}+(?:de{_SPACE}+)?\d{{4}}\b)?)
    |(?P<month_day>\b(?:{_MONTH})\b\.?{_SPACE}+\d{{1,2}}(?:st|nd|rd|th)?\b(?:,?{_SPACE}+\d{{4}}\b)?)
    |(?P<month_year>\b(?:{_MONTH})\b\.?{_SPACE}+(?:de{_SPACE}+)?\d{{4}}\b)
    |(?P<clock>\b\d{{1,2}}:\d{{2}}(?::\d{{2}})?\b)
    |(?P<ordinal>\b\d+(?:st|nd|rd|th|er|ère|ème|e|º|ª)\b)
    |(?P<code>(?<![\w])(?=[\w-]*\d)[^\W\d_][\w]*(?:-[\w]+)*(?![\w]))
    |(?:(?P<sign>{_SIGN}){_SPACE}?)?(?<![\w.,])(?P<number>{_NUMBER}|(?:{_SPELLED})\b)(?:[-{_SPACE[1:-1]}]?(?P<unit>(?:{_UNIT})(?![^\W\d_])))?
    """,
    re.VERBOSE | re.IGNORECASE,
)

# Before a number word: it is the end of a larger one ("thirty-six", "treinta y seis", "one point seven").
_COMPOUND = re.compile(
    r"""(?:-|\b(?:twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety|hundred|thousand|vingt|trente|quarante|cinquante
    |soixante|cent|mille|et|y|e|und|en|cien|ciento|mil|cento|hundert|point|virgule|komma|coma|virgola|vírgula|punto)
    [ \u00a0-])$""",
    re.VERBOSE | re.IGNORECASE,
)
# Units that are also words: an ampere is a capital, "4 in the box" are no inches, "10 an hour" no years.
_AFTER_INCH = re.compile(r"\.?\s*(?:$|[,;:)×/]|(?:x|by|wide|high|deep|long|tall|diameter)\b)", re.IGNORECASE)


@dataclass(frozen=True)
class Quantity:
    """One number in a text. ``values`` are its possible readings in the base unit (1.299 is 1299 or 1.299).

    ``dimension`` is "" without a unit, "date" for dates (values are yyyymmdd, day or month 0 when not said),
    "clock" for times of day (minutes), "code" for product codes (compared by ``written``).
    """

    written: str
    start: int
    dimension: str
    values: frozenset[Fraction]
    unit: str = ""
    spelled: bool = False


def quantities(text: str) -> Iterator[Quantity]:
    """Every number of the text in reading order; ordinals (1st) are not numbers."""
    for match in _FOUND.finditer(text):
        kind = match.lastgroup or ""
        written = match[0].strip()
        start = match.start() + len(match[0]) - len(match[0].lstrip())
        if kind in ("ymd", "dmy", "day_month", "month_day", "month_year"):
            yield Quantity(written, start, "date", _dates(kind, written))
        elif kind == "clock":
            parts = [int(part) for part in written.split(":")]
            yield Quantity(written, start, "clock", frozenset({Fraction(parts[0] * 60 + parts[1])}))
        elif kind == "code":
            yield Quantity(written, start, "code", frozenset())
        elif kind != "ordinal":
            spelled = not match["number"][0].isdigit()
            if spelled and _COMPOUND.search(text[max(0, start - 14) : start]):
                continue
            spelling = (match["unit"] or match["sign"] or "").lower()
            if match["unit"] and not _is_unit(
                match["unit"], match["number"], text[match.end() : match.end() + 12]
            ):
                spelling, written = "", text[start : match.end("number")]
            dimension, size = _UNITS.get(spelling, ("", Fraction(1)))
            readings = frozenset(value * size for value in _readings(match["number"]))
            yield Quantity(written, start, dimension, readings, spelling, spelled)


def _is_unit(unit: str, number: str, after: str) -> bool:
    spelled = not number[0].isdigit()
    match unit.lower():
        case "a" | "c" | "v" | "w":
            return unit.isupper() and not spelled
        case "an":
            return number in ("1", "un")
        case "in":
            return bool(_AFTER_INCH.match(after)) and not spelled
        case other:
            return len(other) > 1 or other in "%€$£¥″" or not spelled


def apart(quantity: Quantity) -> list[Quantity]:
    """The numbers that a number grouped by plain spaces would be as table cells: 58 165 is 58 and 165, or 58165."""
    cells = re.split(r"(?<=\d) (?=\d{3}(?!\d))", quantity.written)
    return [found for cell in cells for found in quantities(cell)] if len(cells) > 1 else []


def mentioned(text: str) -> set[str]:
    """Dimensions whose units are named in the text, also inside names such as `price_eur`."""
    words = re.split(r"[^\w€$£¥%°]+|_|(?<=\d)(?=\D)", text.lower())
    return {_UNITS[word][0] for word in words if word in _UNITS}


def _readings(number: str) -> set[Fraction]:
    spelled = _WORDS.get(number.lower())
    if spelled is not None:
        return {Fraction(spelled)}
    plain = re.sub(r"[ \u00a0\u202f'’]", "", number)
    marks = [character for character in plain if character in ".,"]
    if not marks:
        return {Fraction(plain)}
    last = marks[-1]
    whole, _, tail = plain.rpartition(last)
    as_decimal = Fraction(f"{re.sub(r'[.,]', '', whole)}.{tail}")
    as_thousands = Fraction(re.sub(r"[.,]", "", plain))
    if marks.count(last) > 1:
        return {as_thousands}
    if len(marks) == 1 and len(tail) == 3 and len(whole) <= 3 and whole != "0" and plain == number:
        return {as_decimal, as_thousands}
    return {as_decimal}


def _dates(kind: str, written: str) -> frozenset[Fraction]:
    digits = [int(part) for part in re.findall(r"\d+", written)]
    named = next((_MONTHS[word] for word in re.findall(r"[^\W\d_]+", written.lower()) if word in _MONTHS), 0)
    match kind:
        case "ymd":
            found = {(digits[0], digits[1], digits[2])}
        case "dmy":
            found = {(digits[2], digits[1], digits[0]), (digits[2], digits[0], digits[1])}
        case "month_year":
            found = {(digits[0], named, 0)}
        case _:
            found = {(digits[1] if len(digits) > 1 else 0, named, digits[0])}
    return frozenset(Fraction(y * 10000 + m * 100 + d) for y, m, d in found if m <= 12 and d <= 31)
