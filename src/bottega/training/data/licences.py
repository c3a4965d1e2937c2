"""What a licence says about training on a work: allowed, allowed with a duty, or not; each answer names its rule."""

import re
from pathlib import Path
from typing import Literal, NamedTuple

FILES = ("LICENCE", "LICENSE", "COPYING")
UNKNOWN = "unknown"


class Ruling(NamedTuple):
    """``rule`` is the name of what decided."""

    answer: Literal["allowed", "duty", "refused"]
    rule: str
    why: str


# The first pattern that fits decides, so what forbids stands first. Names are SPDX identifiers where there is one; those
# that are words of some language are taken in capitals only.
RULES: tuple[tuple[str, Ruling], ...] = (
    (
        r"\bno[- ]?ai\b|not? (?:be )?used? (?:for|to) (?:train|ai|machine learning)|text and data mining .*reserved",
        Ruling("refused", "reserved", "its owner has reserved it against training"),
    ),
    (
        r"(?-i:\bNC\b)|non-?commercial",
        Ruling("refused", "non-commercial", "nobody can hold the use of weights to what is not commercial"),
    ),
    (
        r"(?-i:\bND\b)|no-?deriv",
        Ruling("refused", "no-derivatives", "what a model makes may be an adaptation, which it forbids"),
    ),
    (
        r"proprietary|(?-i:\bBUSL)|business source",
        Ruling("refused", "proprietary", "it grants no such use"),
    ),
    (
        r"(?-i:\b[AL]?GPL)|general public license|(?-i:\bSA\b)|share-?alike|(?-i:\b(?:ODbL|EPL|MPL)\b)",
        Ruling("duty", "share-alike", "weights, and what they make, may have to carry the same licence"),
    ),
    (
        r"(?-i:\b(?:MIT|ISC|0BSD|BSD|Zlib|Apache)\b)|permission is hereby granted|redistribution and use in source",
        Ruling("allowed", "permissive", "keep its notice on the card"),
    ),
    (
        r"(?-i:\bCC[- ]BY\b|\bOFL\b)|attribution",
        Ruling("allowed", "attribution", "name its authors on the card"),
    ),
    (r"\bCC0|public domain|\bunlicense\b", Ruling("allowed", "public-domain", "nothing is asked")),
)
NONE = Ruling("refused", "no-known-licence", "nothing is allowed that no known licence allows")


class Licence(NamedTuple):
    """Its name, or first words, for people; its whole text for the rules."""

    name: str
    text: str = ""


def is_licence(path: Path) -> bool:
    """Whether a file is called like a licence: ``LICENSE``, ``licence.txt``, ``COPYING.md``."""
    return path.name.split(".")[0].upper() in FILES and path.suffix in ("", ".txt", ".md") and path.is_file()


def ruling(licence: Licence) -> Ruling:
    """What a licence says about training: its name decides, and where that says nothing known, its text."""
    for words in licence:
        for pattern, found in RULES:
            if re.search(pattern, words, re.IGNORECASE | re.DOTALL):
                return found
    return NONE


def licence_of(folder: Path, top: Path | None = None) -> Licence:
    """That of the licence file in the folder, or in the nearest one above it up to ``top``; else ``unknown``."""
    for each in (folder, *folder.parents):
        for file in sorted(path for path in each.iterdir() if is_licence(path)):
            text = file.read_text("utf-8", "replace").strip()
            if text:
                first = " ".join(text.split("\n\n")[0].split())
                return Licence(first.removeprefix("SPDX-License-Identifier:").strip()[:200], text)
        if each == (top or folder):
            break
    return Licence(UNKNOWN)
