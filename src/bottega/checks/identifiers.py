"""Numbers that name a person or an account: their forms, and the checksums that tell them from other numbers."""

import ipaddress
import re
from collections.abc import Callable


def _digits(text: str) -> str:
    return re.sub(r"\D", "", text)


def _iban(value: str) -> bool:
    """ISO 13616: move the first four to the end, letters to numbers, modulo 97 is 1."""
    plain = re.sub(r"\W", "", value).upper()
    return 15 <= len(plain) <= 34 and int("".join(str(int(c, 36)) for c in plain[4:] + plain[:4])) % 97 == 1


def _card(value: str) -> bool:
    """ISO/IEC 7812: a scheme's first digit and length, and the Luhn sum."""
    digits = [int(c) for c in _digits(value)]
    lengths = {2: (16,), 3: (14, 15), 4: (13, 16, 19), 5: (16,), 6: (16, 19)}
    if len(digits) not in lengths.get(digits[0], ()) or len(set(digits)) < 2:
        return False
    doubled = [digit * 2 - 9 * (digit > 4) for digit in digits[-2::-2]]
    return (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0


def _french(value: str) -> bool:
    """Numéro de sécurité sociale: key = 97 - number modulo 97."""
    plain = (
        value.upper().replace("2A", "19", 1).replace("2B", "18", 1) if re.search("2[AB]", value) else value
    )
    digits = _digits(plain)
    return len(digits) == 15 and digits[0] in "12" and 97 - int(digits[:13]) % 97 == int(digits[13:])


def _german(value: str) -> bool:
    """Steuer-Identifikationsnummer: ISO 7064, MOD 11,10; one digit twice or three times."""
    digits = [int(c) for c in _digits(value)]
    if len(digits) != 11 or digits[0] == 0 or len(set(digits[:10])) not in (8, 9):
        return False
    product = 10
    for digit in digits[:10]:
        total = (digit + product) % 10 or 10
        product = total * 2 % 11
    return (11 - product) % 10 == digits[10]


def _spanish(value: str) -> bool:
    """DNI and NIE: the letter is the number modulo 23."""
    plain = re.sub(r"\W", "", value).upper()
    number = plain[:-1].translate(str.maketrans("XYZ", "012"))
    return number.isdigit() and "TRWAGMYFPDXBNJZSQVHLCKE"[int(number) % 23] == plain[-1]


def _american(value: str) -> bool:
    """Social security number: no area 000, 666 or 9xx, no group 00, no serial 0000."""
    area, group, serial = value.split("-")
    return area not in ("000", "666") and area[0] != "9" and group != "00" and serial != "0000"


def _phone(value: str) -> bool:
    return 9 <= len(_digits(value)) <= 15


def _public_ip(value: str) -> bool:
    try:
        return ipaddress.ip_address(value).is_global
    except ValueError:
        return False


KINDS: tuple[tuple[str, re.Pattern[str], Callable[[str], bool]], ...] = (
    ("e-mail", re.compile(r"[\w.+%-]+@[\w-]+(?:\.[\w-]+)*\.[^\W\d_]{2,}"), lambda value: True),
    ("IBAN", re.compile(r"\b[A-Z]{2}\d{2}(?:[ ]?[A-Z0-9]{4}){2,7}(?:[ ]?[A-Z0-9]{1,4})?\b"), _iban),
    (
        "social security number (FR)",
        re.compile(r"\b[12] ?\d\d ?\d\d ?(?:\d\d|2[AB]) ?\d{3} ?\d{3} ?\d\d\b"),
        _french,
    ),
    ("payment card", re.compile(r"(?<![\w.])\d(?:[ -]?\d){12,18}(?![\w])"), _card),
    ("social security number (US)", re.compile(r"(?<![\w-])\d{3}-\d{2}-\d{4}(?![\w-])"), _american),
    ("identity number (ES)", re.compile(r"\b(?:\d{8}|[XYZ]\d{7})-?[A-Z]\b"), _spanish),
    ("tax number (DE)", re.compile(r"(?<![\w.+])\d{2} ?\d{3} ?\d{3} ?\d{3}(?![\w])"), _german),
    ("IP address", re.compile(r"(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}(?![\w.]*\d)"), _public_ip),
    (
        "phone",
        re.compile(
            r"(?<![\w.])(?:\+\d{1,3}[ .-]?(?:\(0\)[ ]?)?|\(?00?(?=[1-9]))\d{1,4}\)?(?:[ ./-]?\d{2,4}){2,5}(?![\w])"
        ),
        _phone,
    ),
    ("phone", re.compile(r"(?<![\w.-])\(?[2-9]\d{2}\)?[ .-]\d{3}[ .-]\d{4}(?![\w-])"), _phone),
)


def found_in(text: str) -> list[tuple[str, str, int]]:
    """Kind, value and place; a stretch of text counts once, under the first kind that fits."""
    found: list[tuple[str, str, int]] = []
    taken: list[tuple[int, int]] = []
    for kind, pattern, holds in KINDS:
        for match in pattern.finditer(text):
            free = all(match.end() <= start or match.start() >= end for start, end in taken)
            if free and holds(re.sub(r"[^\w@.:+%-]", "", match[0])):
                taken.append(match.span())
                found.append((kind, match[0].strip(), match.start()))
    return sorted(found, key=lambda one: one[2])


def masked(kind: str, value: str) -> str:
    """Enough to find it again, too little to use it."""
    if kind == "e-mail":
        return f"{value[0]}***@***.{value.rpartition('.')[2]}"
    return f"{value[:2]}{'*' * max(4, len(value) - 4)}{value[-2:]}" if len(value) > 8 else f"{value[:1]}****"
