"""Icons as rows of tokens with the words in their names: strokes and solid areas on a grid of half units."""

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import replace
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
from bottega.training.data.icon_words import words_of
from bottega.training.data.iconify import Icon
from bottega.training.data.records import packed

HELD_OUT = 20  # one combination of words in twenty
HELD_OUT_OWN = 10  # one file of a folder in ten
PLAINLY = r'(?:fill|stroke)[-a-z]*="[^"]*"'  # attributes of an <svg> that its shapes inherit
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
    icons = iconify.icons(iconify.fetch(home / "data" / "archives"))
    taken = (icon for icon in icons if icon.set in SETS and re.fullmatch(SETS[icon.set], icon.name))
    return arranged(
        taken,
        LEAST,
        lambda icon: held_out(icon.words),
        name="icon-drawings",
        attribution=f"%d icon sets of {iconify.PACKAGE} {iconify.VERSION}, by their authors",
    )


def of_folder(folder: Path, licence: str) -> Data:
    """SVG files of one's own, in one colour, named by their words (``arrow-left.svg``); every tenth is held out.

    Raises:
        InvalidValue: a file that is no SVG with a square view box; names it.
    """
    files = sorted(folder.glob("*.svg"))
    icons = [_icon(file, folder.name, licence) for file in files]
    held = {file.stem for file in files[HELD_OUT_OWN - 1 :: HELD_OUT_OWN]}
    digest = hashlib.sha256()
    for icon in icons:
        digest.update(f"{icon.name} {icon.body}".encode())
    data = arranged(
        icons, 1, lambda icon: icon.name in held, name=folder.name, attribution="data of one's own"
    )
    return replace(data, sha256=digest.hexdigest())


def _icon(file: Path, folder: str, licence: str) -> Icon:
    text = file.read_text("utf-8", errors="replace")
    found = re.search(r"<svg\b([^>]*)>(.*)</svg>", text, re.DOTALL)
    box = re.search(r'viewBox="([-\d.\s,]+)"', found[1]) if found else None
    numbers = [float(number) for number in re.split(r"[\s,]+", box[1].strip())] if box else []
    if found is None or len(numbers) != 4:
        raise InvalidValue("no SVG with a view box", where=str(file), remedy="remove or mend it")
    body = f"<g {' '.join(re.findall(PLAINLY, found[1]))}>{found[2]}</g>"
    colours = set(re.findall(r'\b(?:fill|stroke)="([^"]+)"', body)) - {"none", "currentColor"}
    if len(colours) == 1:
        body = body.replace(f'"{colours.pop()}"', '"currentColor"')
    left, top, wide, high = numbers
    return Icon(folder, file.stem, words_of(file.stem), licence, "", body, (left, top, wide, high))


def arranged(
    icons: Iterable[Icon], least: int, is_held: Callable[[Icon], bool], *, name: str, attribution: str
) -> Data:
    """The data set of these icons; words in fewer than ``least`` training icons are not known."""
    found: dict[tuple[int, ...], Drawn] = {}
    for icon in icons:
        if (drawn := drawn_of(icon)) is not None:
            found.setdefault(drawn.tokens, drawn)
    train = [drawn for drawn in found.values() if not is_held(drawn.icon)]
    test = [drawn for drawn in found.values() if is_held(drawn.icon)]
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
        name=name,
        licence=" and ".join(sorted(licences)),
        attribution=attribution.replace("%d", str(sets)),
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
    if left or top or wide != high:
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
