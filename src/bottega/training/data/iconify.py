"""Openly licensed icon sets, one file of the npm registry: which of them may be trained on, and their drawings.

Sets are refused by licence, by kind (marks, flags, colour) and icons by name; every icon keeps its set, author and licence.
"""

import json
import re
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from bottega.training.data.icon_words import is_brand, is_flag, words_of
from bottega.training.data.pinned import from_registry

PACKAGE, VERSION = "@iconify/json", "2.2.535"
SHA256 = "1a545f86fa224d6531d8fb101dcbe83aac2b28689a21cbed6fc68318a5af4d91"
LICENCES = frozenset({"MIT", "Apache-2.0", "CC0-1.0", "ISC", "BSD-2-Clause", "BSD-3-Clause", "Unlicense"})
MARKS = re.compile(r"\b(brand|logo|compan)", re.IGNORECASE)
NOT_DRAWN = re.compile(r"<(animate|set|text|image|script|foreignObject|use)\b|url\(#")


class Icon(NamedTuple):
    """One drawing. ``body`` is SVG inside of ``view`` (left, top, width, height); it draws in ``currentColor``."""

    set: str
    name: str
    words: tuple[str, ...]
    licence: str
    author: str
    body: str
    view: tuple[float, float, float, float]

    @property
    def svg(self) -> str:
        """The whole file."""
        box = " ".join(f"{number:g}" for number in self.view)
        return f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{box}">{self.body}</svg>'


def refusal(info: Mapping[str, Any]) -> str:
    """Why a set is not trained on, or nothing."""
    licence = info.get("license", {}).get("spdx", "none")
    if licence not in LICENCES:
        return f"licence {licence}"
    if info.get("palette"):
        return "in colour"
    if info.get("hidden"):
        return "withdrawn by its authors"
    if info.get("category") in ("Logos", "Programming"):
        return "marks of companies and products"
    if "Contains Animations" in info.get("tags", ()):
        return "animated"
    return ""


def fetch(folder: Path) -> Path:
    """The package's archive in ``folder``, as `from_registry` says."""
    return from_registry("npm", PACKAGE, VERSION, SHA256, folder)


def icons(file: Path) -> Iterator[Icon]:
    """Every icon that may be trained on, by set and name."""
    with tarfile.open(file) as tarball:
        for member in tarball:
            if re.fullmatch(r"package/json/[^/]+\.json", member.name):
                stream = tarball.extractfile(member)
                assert stream is not None
                yield from icons_of(json.load(stream))


def icons_of(document: Mapping[str, Any]) -> Iterator[Icon]:
    """The icons of one set; none of a set that is refused."""
    info = document["info"]
    if refusal(info):
        return
    marks = {
        name for kind, names in document.get("categories", {}).items() if MARKS.search(kind) for name in names
    }
    for name, each in sorted(document["icons"].items()):
        words = words_of(name)
        if name in marks or is_brand(words) or is_flag(words, name) or NOT_DRAWN.search(each["body"]):
            continue
        side = document.get("height", 16), document.get("width", 16)
        yield Icon(
            document["prefix"],
            name,
            words,
            info["license"]["spdx"],
            info["author"]["name"],
            each["body"],
            (
                each.get("left", document.get("left", 0)),
                each.get("top", document.get("top", 0)),
                each.get("width", side[1]),
                each.get("height", side[0]),
            ),
        )
