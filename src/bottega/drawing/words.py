"""A prompt's words as labels of a drawing model."""

import difflib
import re
from collections.abc import Sequence
from typing import cast

from bottega.core.errors import InvalidValue

MOST = 6  # words that are read


def asked(prompt: str, labels: Sequence[str], styles: Sequence[str] = ("outline", "filled")) -> list[int]:
    """Labels from 1: the style (the first one where none is named), then the known words, the more frequent first.

    A plural is looked up as its singular; words that the model does not know are left out.

    Raises:
        InvalidValue: it knows none of them; names words near to them.
    """
    places = {label: place for place, label in enumerate(labels, 1)}
    words = re.findall(r"[a-z0-9]+", prompt.casefold())
    style = next((word for word in words if word in styles), styles[0])
    known = {places[form] for word in words if word not in styles and (form := _form(word, places))}
    if not known:
        near: list[str] = [
            each
            for word in words
            for each in cast(list[str], difflib.get_close_matches(word, labels, n=2, cutoff=0.6))
        ]
        raise InvalidValue(
            f"no word of '{prompt}' is known",
            where="prompt",
            remedy=f"name what shall be seen, such as {', '.join(near or labels[len(styles) :][:8])}",
        )
    return [places[style], *sorted(known)[:MOST]]


def unknown(prompt: str, labels: Sequence[str], styles: Sequence[str] = ("outline", "filled")) -> list[str]:
    """The words of a prompt that the model does not know."""
    places = {label: place for place, label in enumerate(labels, 1)}
    return [
        word
        for word in re.findall(r"[a-z0-9]+", prompt.casefold())
        if word not in styles and not _form(word, places)
    ]


def _form(word: str, places: dict[str, int]) -> str:
    return next(
        (form for form in (word, word.removesuffix("s"), word.removesuffix("es")) if form in places), ""
    )
