"""Icons as rows of tokens with the words in their names: strokes and solid areas on a grid of half units."""

import hashlib
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from bottega.core.errors import InvalidValue
from bottega.drawing.alphabet import PAD, decode, encode, snapped
from bottega.drawing.raster import raster
from bottega.drawing.reading import read
from bottega.training.data import iconify
from bottega.training.data.base import Data, Watch
from bottega.training.data.iconify import Icon
from bottega.training.data.records import packed

HELD_OUT = 20  # one combination of words in twenty
LEAST = 12  # training icons that a word needs to be known
LONGEST = 160  # tokens
WORDS = 6  # of a name that are read, after the style
MOVED = 0.12  # units: mean way of a point to the grid, from which a drawing is left out
SOLID = 3.4  # pixels of 32: mean width of the ink, from which areas are solid and not drawn lines
WIDTHS = (0.9, 2.6)  # units: narrowest and widest stroke
STYLES = ("outline", "filled")
# The sets that are drawn on this grid or a multiple of it, and which of their variants are taken.
ANY, PLAIN = r".*", r"(?!.*(duotone|twotone|sharp|thin|bold)).*"
SETS = {
    "akar-icons": ANY,
    "boxicons": r".*-filled",
    "bxs": ANY,
    "feather": ANY,
    "flowbite": ANY,
    "grommet-icons": ANY,
    "heroicons-outline": ANY,
    "hugeicons": ANY,
    "humbleicons": ANY,
    "ic": r"baseline-.*",
    "icon-park-outline": ANY,
    "iconmind": r"(?!.*duotone).*-regular",
    "iconoir": ANY,
    "keyline-icons": PLAIN,
    "lucide": ANY,
    "lucide-lab": ANY,
    "mage": ANY,
    "majesticons": ANY,
    "mdi": r"(?!.*outline).*",
    "meteor-icons": ANY,
    "mingcute": ANY,
    "mynaui": ANY,
    "proicons": ANY,
    "reicon": PLAIN,
    "ri": r".*-fill",
    "si": PLAIN,
    "system-uicons": ANY,
    "tabler": ANY,
    "tdesign": ANY,
    "vadivam": ANY,
}


class Drawn(NamedTuple):
    """An icon and its tokens."""

    icon: Icon
    style: int  # of STYLES
    tokens: tuple[int, ...]


def prepare(home: Path, watch: Watch) -> Data:
    """Fetch, read, leave out copies, split by words."""
    watch(f"fetching {iconify.PACKAGE}, 104 MB, from the npm registry")
    return arranged(iconify.icons(iconify.fetch(home / "data" / "archives")), LEAST)


def arranged(icons: Iterable[Icon], least: int) -> Data:
    """The data set of these icons; words in fewer than ``least`` training icons are not known."""
    found: dict[tuple[int, ...], Drawn] = {}
    for icon in icons:
        if (drawn := drawn_of(icon)) is not None:
            found.setdefault(drawn.tokens, drawn)
    train = [drawn for drawn in found.values() if not held_out(drawn.icon.words)]
    test = [drawn for drawn in found.values() if held_out(drawn.icon.words)]
    known = Counter(word for drawn in train for word in drawn.icon.words)
    words = [word for word, count in known.most_common() if count >= least and word not in STYLES]
    labels = (*STYLES, *words)
    places = {label: place for place, label in enumerate(labels, 1)}

    def split(rows: list[Drawn]) -> dict[str, torch.Tensor]:
        bags = [
            [1 + row.style, *sorted(places[word] for word in row.icon.words if word in places)[:WORDS]]
            for row in rows
        ]
        kept = [place for place, bag in enumerate(bags) if len(bag) > 1]
        table = np.zeros((len(kept), 1 + WORDS), np.int16)
        tokens = np.full((len(kept), LONGEST), PAD, np.int16)
        for at, place in enumerate(kept):
            table[at, : len(bags[place])] = bags[place]
            tokens[at, : len(rows[place].tokens)] = rows[place].tokens
        names = [f"{rows[place].icon.set}:{rows[place].icon.name}".encode() for place in kept]
        return {
            "bags": torch.from_numpy(table),
            "drawings": torch.from_numpy(tokens),
            **packed(names, "names"),
        }

    licences = Counter(drawn.icon.licence for drawn in found.values())
    sets = len({drawn.icon.set for drawn in found.values()})
    return Data(
        name="icon-drawings",
        licence=" and ".join(sorted(licences)),
        attribution=f"{sets} icon sets of {iconify.PACKAGE} {iconify.VERSION}, by their authors",
        train=split(train),
        test=split(test),
        shape={"words": len(labels)},
        labels=labels,
    )


def held_out(words: tuple[str, ...]) -> bool:
    """Whether icons of these words are for testing: all that share them are, whatever their set."""
    return hashlib.sha256("-".join(words).encode()).digest()[0] % HELD_OUT == 0


def drawn_of(icon: Icon) -> Drawn | None:
    """The icon in tokens, or None where the grid or the alphabet does not hold it."""
    left, top, wide, high = icon.view
    wanted = SETS.get(icon.set)
    if wanted is None or not re.fullmatch(wanted, icon.name) or left or top or wide != high:
        return None
    try:
        drawing, width = read(icon.body, wide)
        if not drawing or (width and not WIDTHS[0] <= width <= WIDTHS[1]) or snapped(drawing) > MOVED:
            return None
        tokens = tuple(encode(drawing))
    except InvalidValue:
        return None
    if len(tokens) > LONGEST:
        return None
    filled = drawing[0].mode == "fill"
    if filled and thickness(raster(decode(tokens))) < SOLID:
        return None
    return Drawn(icon, int(filled), tokens)


def thickness(picture: np.ndarray) -> float:
    """Mean width of the ink in pixels, twice its area over its outline: [S, S] in 0..255."""
    ink = np.pad(picture.astype(np.float32) / 255, 1)
    across, down = np.diff(ink, axis=0)[:, :-1], np.diff(ink, axis=1)[:-1]
    return float(2 * ink.sum() / max(1e-3, np.sqrt(across**2 + down**2).sum()))
