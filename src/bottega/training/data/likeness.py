"""Near duplicates: pictures by their thumbnails, texts by the words that they share."""

import hashlib
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SIDE = 16  # of a thumbnail
CLOSE = (
    3.0  # grey levels of 255, root mean square over a thumbnail: what a second encoding or scaling changes
)
WORDS = 5  # of a shingle
ALIKE = 0.8  # share of common shingles (Jaccard)
HASHES, BANDS = 64, 16  # of 4 hashes: texts alike by 0.8 meet in a band with a chance above 0.999


def thumbnail(image: Image.Image) -> NDArray[np.float32]:
    """[256] grey levels."""
    small = image.convert("L").resize((SIDE, SIDE), Image.Resampling.BOX)
    return np.asarray(small, np.float32).reshape(-1)


def alike_pictures(thumbnails: NDArray[np.float32]) -> Iterator[tuple[int, int]]:
    """Pairs of rows of [N, 256] that are nearer than ``CLOSE``.

    The means of two pictures are never further apart than the pictures, so only neighbours in the order of the means
    are compared.
    """
    if not len(thumbnails):
        return
    means = thumbnails.mean(1)
    order = np.argsort(means, kind="stable")
    ranked, levels = thumbnails[order], means[order]
    ends: list[int] = np.searchsorted(levels, levels + CLOSE, side="right").tolist()  # pyright: ignore[reportUnknownVariableType]
    for i in range(len(order) - 1):
        distance = np.sqrt(np.square(ranked[i + 1 : ends[i]] - ranked[i]).mean(1))
        for j in np.nonzero(distance < CLOSE)[0]:
            a, b = sorted((int(order[i]), int(order[i + 1 + j])))
            yield a, b


def shingles(text: str) -> set[int]:
    """Hashes of every five words in a row; of the whole text when it is shorter."""
    words = re.findall(r"\w+", text.casefold())
    runs = [" ".join(words[i : i + WORDS]) for i in range(max(1, len(words) - WORDS + 1))] if words else []
    return {int.from_bytes(hashlib.blake2b(run.encode(), digest_size=4).digest(), "little") for run in runs}


def alike_texts(texts: Sequence[set[int]]) -> Iterator[tuple[int, int]]:
    """Pairs of shingle sets that share ``ALIKE`` or more; found by MinHash (Broder 1997), then counted exactly."""
    draw = np.random.default_rng(0)
    factor, shift = draw.integers(1, 2**31, (2, HASHES, 1), dtype=np.uint64)
    buckets: dict[tuple[int, bytes], list[int]] = defaultdict(list)
    for number, each in enumerate(texts):
        if not each:
            continue
        values = np.fromiter(each, np.uint64, len(each))
        least = ((factor * values + shift) % np.uint64(2**32 - 5)).min(axis=1)  # [HASHES]
        for band, part in enumerate(least.reshape(BANDS, -1)):
            buckets[band, part.tobytes()].append(number)
    seen: set[tuple[int, int]] = set()
    for members in buckets.values():
        for place, a in enumerate(members):
            for b in members[place + 1 :]:
                if (a, b) not in seen:
                    seen.add((a, b))
                    if len(texts[a] & texts[b]) >= ALIKE * len(texts[a] | texts[b]):
                        yield a, b
