"""A prompt's words as labels of a model that draws: a style, things, and what else the prompt says."""

import difflib
import re
from collections.abc import Container, Mapping, Sequence
from typing import NamedTuple

from bottega.core.errors import InvalidValue

MOST = 6  # words that are read
SAID = {  # how a prompt may name a style, and what the models call it
    "thin": ("thin", "outline"),
    "light": ("thin", "outline"),
    "outline": ("regular", "outline"),
    "regular": ("regular", "outline"),
    "bold": ("bold", "outline"),
    "solid": ("solid", "filled"),
    "filled": ("solid", "filled"),
    "shaded": ("shaded", "filled"),
    "duotone": ("shaded", "filled"),
}
PLAIN_STYLES = ("outline", "filled")  # labels that are styles; others say so, "style:thin"
PICTURES = frozenset({"icon", "icons", "pictogram", "symbol", "glyph", "drawing", "sketch", "illustration"})
ARTICLES = frozenset({"a", "an", "the", "of"})  # some sets have icons of the letter A
ASIDE = ARTICLES | frozenset({"one", "simple", "plain", "small", "big", "little", "please"})


class Asked(NamedTuple):
    """Numbers of labels, from 1: the style, 0 where the model has none, and the known words, frequent ones first."""

    style: int
    words: tuple[int, ...]
    unknown: tuple[str, ...]

    @property
    def prompt(self) -> list[int]:
        """Style and words as one row."""
        return [self.style, *self.words]


def asked(prompt: str, labels: Sequence[str], drawn: Container[int] | None = None) -> Asked:
    """What a model of these labels knows of a prompt.

    A word that is not known is looked up as a singular; without a style the model's usual one is meant. A label of
    several words is known as a whole only.

    Args:
        prompt: words in any order.
        labels: of the model, in the order of their numbers.
        drawn: numbers of those that it can draw; default all.
    """
    styles: dict[str, int] = {}
    places: dict[str, int] = {}
    for place, label in enumerate(labels, 1):
        if label.startswith("style:") or label in PLAIN_STYLES:
            styles[label.removeprefix("style:")] = place
        elif drawn is None or place in drawn:
            places[label] = place
    if prompt in places:
        return Asked(_style("regular", styles), (places[prompt],), ())
    style, found, unknown = "regular", set[int](), list[str]()
    for word in re.findall(r"[a-z0-9]+", prompt.casefold()):
        if word not in ARTICLES and (place := _place(word, places)) is not None:
            found.add(place)
        elif word in SAID:
            style = word
        else:
            unknown.append(word)
    return Asked(_style(style, styles), tuple(sorted(found)[:MOST]), tuple(unknown))


def needed(prompt: str, labels: Sequence[str], drawn: Container[int] | None = None) -> Asked:
    """The same.

    Raises:
        InvalidValue: no word of it is known; names words near to them.
    """
    found = asked(prompt, labels, drawn)
    if found.words:
        return found
    names = [
        label
        for place, label in enumerate(labels, 1)
        if ":" not in label and label not in PLAIN_STYLES and (drawn is None or place in drawn)
    ]
    near = [
        each for word in found.unknown for each in difflib.get_close_matches(word, names, n=2, cutoff=0.6)
    ]
    raise InvalidValue(
        f"no word of '{prompt[:80]}' is known",
        where="prompt",
        remedy=f"name what shall be seen, such as {', '.join(near or names[:8])}",
    )


def thing(prompt: str, labels: Sequence[str], drawn: Container[int] | None = None) -> str:
    """The one plain thing that a prompt asks to see drawn, in words of the model; "" where it asks for something else.

    That is a prompt of one known word beside its style ("a heart", "solid umbrella"), or one that says that it wants an
    icon ("an icon of a delivery truck") and names known words.
    """
    words = re.findall(r"[a-z0-9]+", prompt.casefold())
    content = [word for word in words if word not in ASIDE and word not in PICTURES]
    found = asked(" ".join(content), labels, drawn)
    wanted = len(content) < len([word for word in words if word not in ASIDE])
    one = len(found.words) == 1 and not found.unknown and len(labels[found.words[0] - 1]) > 2
    if not found.words or not (wanted or one):
        return ""
    style = labels[found.style - 1].removeprefix("style:") if found.style else ""
    return " ".join((style, *(labels[word - 1] for word in found.words))).strip()


def _style(said: str, styles: Mapping[str, int]) -> int:
    return next((styles[name] for name in SAID[said] if name in styles), 0)


def _place(word: str, places: Mapping[str, int]) -> int | None:
    forms = (word, word.removesuffix("s"), word.removesuffix("es"))
    return next((places[form] for form in forms if form in places), None)
