"""Icons of 32 by 32 grey levels with the words in their names; near copies are left out, and no drawing is in both splits."""

import hashlib
import importlib
import io
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from bottega.core.errors import SetupError
from bottega.training.data import iconify
from bottega.training.data.base import Data, Watch, read
from bottega.training.data.icon_words import STYLES, WORDS
from bottega.training.data.iconify import Icon
from bottega.training.data.records import packed, unpacked

SIDE = 32  # pixels
HELD_OUT = 20  # one name in twenty
SAME = 0.95  # Dice overlap of the ink of two thumbnails, from which they are one drawing
LEAST = 24  # training icons that a word needs to be known
Pixels = NDArray[np.uint8]


def prepare(home: Path, watch: Watch) -> Data:
    """Fetch, draw, leave out near copies, split by name; about four minutes."""
    watch(f"fetching {iconify.PACKAGE}, 104 MB, from the npm registry")
    found = list(iconify.icons(iconify.fetch(home / "data" / "archives")))
    watch(f"drawing {len(found):,} icons")
    return arranged(found, LEAST)


def arranged(found: Sequence[Icon], least: int) -> Data:
    """The data set of these icons; words in fewer than ``least`` training icons are not known."""
    images = np.stack([drawn(icon.svg) for icon in found])
    border = np.concatenate((images[:, 0], images[:, -1], images[:, :, 0], images[:, :, -1]), axis=1)
    ink = 255 - images.mean((1, 2))
    seen = np.nonzero((ink > 4) & (border.mean(1) > 64))[0]  # neither empty nor negative
    thumbs = thumbnails(images)
    kept: NDArray[np.int64] = seen[_firsts(thumbs[seen])]
    order: list[Icon] = [found[int(i)] for i in kept]
    held = np.array([_held_out(icon.words) for icon in order])
    train, test = kept[~held], kept[held]
    test = test[nearest(thumbs[test], thumbs[train])[0] < SAME]
    known = Counter(word for i in train for word in found[int(i)].words)
    labels = (
        *(f"style:{style}" for style in STYLES),
        *(w for w, count in known.most_common() if count >= least),
    )
    places = {label: place for place, label in enumerate(labels, 1)}
    styles = np.concatenate([style_of(images[i : i + 4096]) for i in range(0, len(images), 4096)])

    def split(rows: NDArray[np.int64]) -> dict[str, torch.Tensor]:
        bags = torch.zeros(len(rows), 1 + WORDS, dtype=torch.int64)
        for bag, i in zip(bags, map(int, rows), strict=True):
            numbers = [places[word] for word in found[i].words if word in places][:WORDS]
            bag[: 1 + len(numbers)] = torch.tensor([1 + int(styles[i]), *numbers])
        names = [f"{found[i].set}:{found[i].name}".encode() for i in map(int, rows)]
        return {"images": torch.from_numpy(images[rows])[:, None], "bags": bags, **packed(names, "names")}

    licences = Counter(icon.licence for icon in order)
    return Data(
        name="icons",
        licence=" and ".join(sorted(licences)),
        attribution=f"{len({icon.set for icon in order})} icon sets of {iconify.PACKAGE} {iconify.VERSION}, by their authors",
        train=split(train),
        test=split(test),
        shape={"channels": 1, "side": SIDE, "words": len(labels), "styles": len(STYLES)},
        labels=labels,
    )


def drawn(svg: str) -> Pixels:
    """[32, 32]: black ink on white.

    Raises:
        SetupError: resvg is not installed.
    """
    try:
        resvg: Any = importlib.import_module("resvg_py")
    except ImportError as error:
        raise SetupError(
            "icons are drawn with resvg", where="icons", remedy="pip install 'bottega[train]'"
        ) from error
    sized = svg.replace("<svg ", f'<svg width="{SIDE}" height="{SIDE}" ', 1)
    png: bytes = resvg.svg_to_bytes(svg_string=sized, skip_system_fonts=True)
    return 255 - np.asarray(Image.open(io.BytesIO(png)).convert("RGBA"))[..., 3]


def thumbnails(images: Pixels) -> NDArray[np.float32]:
    """The share of ink in 16 by 16 places: [N, S, S] black on white -> [N, 256] in 0..1."""
    n, side, _ = images.shape
    parts = images.reshape(n, 16, side // 16, 16, side // 16)
    return (1 - parts.mean((2, 4), dtype=np.float32) / 255).reshape(n, 256)


def nearest(a: NDArray[np.float32], b: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """For each row of ``a`` the largest Dice overlap, 2ab / (aa + bb), with a row of ``b``, and which row that is."""
    lengths = np.square(b).sum(1)
    best, which = np.zeros(len(a), np.float32), np.zeros(len(a), np.int64)
    for start in range(0, len(a), 256):
        part = a[start : start + 256]
        overlap = 2 * (part @ b.T) / (np.square(part).sum(1)[:, None] + lengths + 1e-6)
        which[start : start + 256] = overlap.argmax(1)
        best[start : start + 256] = overlap.max(1)
    return best, which


def _firsts(thumbs: NDArray[np.float32]) -> NDArray[np.int64]:
    """Rows of which no row before is a near copy, among those whose difference hashes are the same."""
    grid = thumbs.reshape(-1, 8, 2, 8, 2).mean((2, 4))
    steps = np.concatenate(
        (np.diff(grid, axis=1).reshape(-1, 56), np.diff(grid, axis=2).reshape(-1, 56)), axis=1
    )
    hashes = np.packbits(np.concatenate((steps > 0.06, steps < -0.06), axis=1), axis=1)
    groups: dict[bytes, list[int]] = defaultdict(list)
    for row, each in enumerate(hashes):
        alike = groups[each.tobytes()]
        if not alike or nearest(thumbs[[row]], thumbs[alike])[0][0] < SAME:
            alike.append(row)
    return np.sort(np.array([row for alike in groups.values() for row in alike], np.int64))


def style_of(images: Pixels) -> NDArray[np.int64]:
    """An index into ``STYLES``, measured: flat grey is shaded; else by the width of the strokes, 2 area / outline."""
    ink = (255 - images.astype(np.float32)) / 255
    around = np.lib.stride_tricks.sliding_window_view(ink, (3, 3), axis=(1, 2)).reshape(
        *ink[:, 2:, 2:].shape, 9
    )
    flat = (around.max(-1) - around.min(-1) < 0.02) & (around[..., 4] > 0.1) & (around[..., 4] < 0.9)
    padded = np.pad(ink, ((0, 0), (1, 1), (1, 1)))
    across, down = np.diff(padded, axis=1)[:, :, :-1], np.diff(padded, axis=2)[:, :-1]
    width = 2 * ink.sum((1, 2)) / np.sqrt(across**2 + down**2).sum((1, 2)).clip(1e-3)
    widths = cast(NDArray[np.int64], np.digitize(width, WIDTHS))
    return np.where(flat.mean((1, 2)) > 0.02, 4, widths)


WIDTHS = (1.6, 2.3, 3.2)  # pixels of 32: thin, regular, bold, solid


def _held_out(words: tuple[str, ...]) -> bool:
    return hashlib.sha256("-".join(words).encode()).digest()[0] % HELD_OUT == 0


def kept(home: Path) -> Iterator[tuple[Icon, Literal["train", "test"]]]:
    """The icons of the prepared data set as drawings, with the split that each is in."""
    data = read(home / "data" / "icons.safetensors")
    split: dict[str, Literal["train", "test"]] = {}
    for name in unpacked(data.train, "names"):
        split[name.decode()] = "train"
    for name in unpacked(data.test, "names"):
        split[name.decode()] = "test"
    for icon in iconify.icons(iconify.fetch(home / "data" / "archives")):
        if part := split.get(f"{icon.set}:{icon.name}"):
            yield icon, part
